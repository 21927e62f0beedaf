//! The platform's own people: made, listed, given another password, removed.
//!
//! Changes of who there is hold one lock, so that of two operators who remove each other at the
//! same time, on whichever nodes, one stays.

use deadpool_postgres::GenericClient;
use tidings_domain::{actor::Actor, email::Email, id::UserId, time::UtcMillis};
use tidings_store::{User, UserDeleted, UserMade, audit_log as lines};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    audit_log, columns,
    database::{self, Access, Database},
    failure::Failure,
};

/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "id, email, password_hash, created_ms, last_sign_in_ms";

/// Makes a user.
pub(crate) async fn create(
    access: Access<'_>,
    user: &User,
    by: &Actor,
) -> Result<UserMade, Failure> {
    let mut client = database::borrow(access.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, access.metrics);
    lock(&db).await?;
    let made = db
        .execute(
            "INSERT INTO users (id, email, password_hash, created_ms, last_sign_in_ms)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email) DO NOTHING",
            &[
                &uuid_of(user.id),
                &user.email.as_str(),
                &user.password_hash,
                &user.created.as_millis(),
                &user.last_sign_in.map(UtcMillis::as_millis),
            ],
        )
        .await?;
    if made == 0 {
        return Ok(UserMade::EmailTaken);
    }
    audit_log::write(&db, &lines::user_created(user, by)).await?;
    transaction.commit().await?;
    Ok(UserMade::Made)
}

/// All of them, oldest first.
pub(crate) async fn list<C: GenericClient>(db: &Database<'_, C>) -> Result<Vec<User>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM users ORDER BY seq");
    db.query(&sql, &[]).await?.iter().map(read).collect()
}

/// The one with this address.
pub(crate) async fn by_email<C: GenericClient>(
    db: &Database<'_, C>,
    email: &Email,
) -> Result<Option<User>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE email = $1");
    let row = db.first(&sql, &[&email.as_str()]).await?;
    row.map(|row| read(&row)).transpose()
}

/// Sets a password and ends the user's sessions; false where there is no such user.
pub(crate) async fn set_password(
    access: Access<'_>,
    id: UserId,
    password_hash: &str,
    now: UtcMillis,
    by: &Actor,
) -> Result<bool, Failure> {
    let mut client = database::borrow(access.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, access.metrics);
    // The row first: who signs in at this moment holds it, and their session ends, too.
    let sql = "UPDATE users SET password_hash = $1 WHERE id = $2";
    if db.execute(sql, &[&password_hash, &uuid_of(id)]).await? == 0 {
        return Ok(false);
    }
    end_sessions(&db, id).await?;
    audit_log::write(&db, &lines::password_changed(id, now, by)).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Removes a user and ends their sessions. The last one stays.
pub(crate) async fn delete(
    access: Access<'_>,
    id: UserId,
    now: UtcMillis,
    by: &Actor,
) -> Result<UserDeleted, Failure> {
    let mut client = database::borrow(access.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, access.metrics);
    lock(&db).await?;
    let sql = format!(
        "SELECT {COLUMNS}, EXISTS (SELECT FROM users other WHERE other.id <> $1)
         FROM users WHERE id = $1"
    );
    let Some(row) = db.first(&sql, &[&uuid_of(id)]).await? else {
        return Ok(UserDeleted::NotFound);
    };
    let has_company: bool = row.get(5);
    if !has_company {
        return Ok(UserDeleted::Last);
    }
    let user = read(&row)?;
    db.execute("DELETE FROM users WHERE id = $1", &[&uuid_of(id)])
        .await?;
    end_sessions(&db, id).await?;
    audit_log::write(&db, &lines::user_deleted(&user, now, by)).await?;
    transaction.commit().await?;
    Ok(UserDeleted::Gone)
}

/// Keeps others from making and removing users until the transaction ends.
async fn lock<C: GenericClient>(db: &Database<'_, C>) -> Result<(), Failure> {
    let sql = "SELECT pg_advisory_xact_lock(hashtext('tidings users'))";
    db.query(sql, &[]).await.map(drop)
}

async fn end_sessions<C: GenericClient>(db: &Database<'_, C>, id: UserId) -> Result<(), Failure> {
    let sql = "DELETE FROM sessions WHERE user_id = $1";
    db.execute(sql, &[&uuid_of(id)]).await.map(drop)
}

fn read(row: &Row) -> Result<User, Failure> {
    Ok(User {
        id: UserId::from_bytes(columns::id(row, 0)),
        email: Email::parse(row.get(1)).map_err(|_| Failure::unreadable("email address"))?,
        password_hash: row.get(2),
        created: columns::time(row, 3),
        last_sign_in: columns::time_or_none(row, 4),
    })
}

/// An id as its column has it.
pub(crate) fn uuid_of(id: UserId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}
