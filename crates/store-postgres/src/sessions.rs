//! Stays in the portal. They are read from the table each time, so that one that was ended is
//! ended on every node at once.

use deadpool_postgres::GenericClient;
use tidings_domain::{
    actor::Actor,
    company::CompanyId,
    email::Email,
    id::UserId,
    portal_token::TokenHash,
    time::UtcMillis,
    visitor::{Role, Visitor},
};
use tidings_store::{Session, SessionsOf, audit_log as lines};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    audit_log, columns,
    database::{self, Access, Database},
    failure::Failure,
    users,
};

/// Opens a session. One of a user who was removed in this moment never is.
pub(crate) async fn open(
    access: Access<'_>,
    hash: &TokenHash,
    session: &Session,
    by: &Actor,
) -> Result<(), Failure> {
    let mut client = database::borrow(access.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, access.metrics);
    let (user, company, role) = match &session.visitor {
        Visitor::Operator { id, .. } => (Some(*id), None, None),
        Visitor::Guest { company, role } => (None, Some(company.as_str()), Some(role.as_str())),
    };
    if let Some(user) = user
        && !sign_in(&db, user, session.created).await?
    {
        return Ok(());
    }
    db.execute(
        "INSERT INTO sessions (hash, user_id, company_id, role, created_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &hash.as_slice(),
            &user.map(users::uuid_of),
            &company,
            &role,
            &session.created.as_millis(),
            &session.expires.as_millis(),
        ],
    )
    .await?;
    audit_log::write(&db, &lines::session_opened(session, by)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Notes that a user signed in; false where there is no such user.
async fn sign_in<C: GenericClient>(
    db: &Database<'_, C>,
    user: UserId,
    now: UtcMillis,
) -> Result<bool, Failure> {
    let sql = "UPDATE users SET last_sign_in_ms = greatest(last_sign_in_ms, $1) WHERE id = $2";
    let noted = db
        .execute(sql, &[&now.as_millis(), &users::uuid_of(user)])
        .await?;
    Ok(noted > 0)
}

/// The session with this hash, as long as it lives.
pub(crate) async fn find<C: GenericClient>(
    db: &Database<'_, C>,
    hash: &TokenHash,
    now: UtcMillis,
) -> Result<Option<Session>, Failure> {
    let row = db
        .first(
            "SELECT s.user_id, u.email, s.company_id, s.role, s.created_ms, s.expires_ms
             FROM sessions s LEFT JOIN users u ON u.id = s.user_id
             WHERE s.hash = $1 AND s.expires_ms > $2",
            &[&hash.as_slice(), &now.as_millis()],
        )
        .await?;
    match row {
        Some(row) => read(&row),
        None => Ok(None),
    }
}

/// Ends one session.
pub(crate) async fn end<C: GenericClient>(
    db: &Database<'_, C>,
    hash: &TokenHash,
) -> Result<(), Failure> {
    let sql = "DELETE FROM sessions WHERE hash = $1";
    db.execute(sql, &[&hash.as_slice()]).await.map(drop)
}

/// Ends all of somebody's sessions; returns how many of them were alive.
pub(crate) async fn end_all(
    access: Access<'_>,
    whose: &SessionsOf,
    now: UtcMillis,
    by: &Actor,
) -> Result<u64, Failure> {
    let mut client = database::borrow(access.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, access.metrics);
    let rows = match whose {
        SessionsOf::User(id) => {
            let sql = "DELETE FROM sessions WHERE user_id = $1 RETURNING expires_ms";
            db.query(sql, &[&users::uuid_of(*id)]).await?
        }
        SessionsOf::Company(company) => {
            // A link that nobody has opened yet would be a way back in.
            let sql = "DELETE FROM links WHERE company_id = $1";
            db.execute(sql, &[&company.as_str()]).await?;
            let sql = "DELETE FROM sessions WHERE company_id = $1 RETURNING expires_ms";
            db.query(sql, &[&company.as_str()]).await?
        }
    };
    let alive = rows.iter().filter(|row| columns::time(row, 0) > now);
    let alive = alive.count() as u64;
    if alive > 0 {
        audit_log::write(&db, &lines::signed_out(whose, now, by)).await?;
    }
    transaction.commit().await?;
    Ok(alive)
}

/// None where its user was removed.
fn read(row: &Row) -> Result<Option<Session>, Failure> {
    let unreadable = || Failure::unreadable("session");
    let user: Option<Uuid> = row.get(0);
    let (company, role): (Option<&str>, Option<&str>) = (row.get(2), row.get(3));
    let visitor = match (user, company, role) {
        (Some(user), None, None) => {
            let email: Option<&str> = row.get(1);
            let Some(email) = email else { return Ok(None) };
            Visitor::Operator {
                id: UserId::from_bytes(user.into_bytes()),
                email: Email::parse(email).map_err(|_| unreadable())?,
            }
        }
        (None, Some(company), Some(role)) => Visitor::Guest {
            company: CompanyId::parse(company).map_err(|_| unreadable())?,
            role: Role::parse(role).ok_or_else(unreadable)?,
        },
        _ => return Err(unreadable()),
    };
    Ok(Some(Session {
        visitor,
        created: columns::time(row, 4),
        expires: columns::time(row, 5),
    }))
}
