//! The platform's own people: their rows, and what changes them. Each function works inside a
//! transaction of its caller, be it the writer's or that of a command beside a server.

use rusqlite::{Connection, Row};
use tidings_domain::{actor::Actor, email::Email, id::UserId, time::UtcMillis};
use tidings_store::{User, UserDeleted, UserMade, audit_log};

use crate::{
    audit_rows,
    database::{Database, first_of},
    failure::Failure,
};

/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "id, email, password_hash, created_ms, last_sign_in_ms";

/// A user to be made.
pub(crate) struct Creation {
    pub(crate) user: User,
    pub(crate) by: Actor,
}

/// A password to be set.
pub(crate) struct NewPassword {
    pub(crate) id: UserId,
    pub(crate) hash: String,
    pub(crate) now: UtcMillis,
    pub(crate) by: Actor,
}

/// A user to be removed.
pub(crate) struct Removal {
    pub(crate) id: UserId,
    pub(crate) now: UtcMillis,
    pub(crate) by: Actor,
}

/// Makes a user, unless somebody has the address.
pub(crate) fn create(db: &Database, creation: &Creation) -> Result<UserMade, Failure> {
    let user = &creation.user;
    let made = db.execute(
        "INSERT INTO users (id, email, password_hash, created_ms, last_sign_in_ms)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT (email) DO NOTHING",
        (
            user.id.as_bytes(),
            user.email.as_str(),
            &user.password_hash,
            user.created.as_millis(),
            user.last_sign_in.map(UtcMillis::as_millis),
        ),
    )?;
    if made == 0 {
        return Ok(UserMade::EmailTaken);
    }
    audit_rows::insert(db, &audit_log::user_created(user, &creation.by))?;
    Ok(UserMade::Made)
}

/// Sets a password and ends the user's sessions; false where there is no such user.
pub(crate) fn set_password(db: &Database, new: &NewPassword) -> Result<bool, Failure> {
    let changed = db.execute(
        "UPDATE users SET password_hash = ? WHERE id = ?",
        (&new.hash, new.id.as_bytes()),
    )?;
    if changed == 0 {
        return Ok(false);
    }
    end_sessions(db, new.id)?;
    audit_rows::insert(db, &audit_log::password_changed(new.id, new.now, &new.by))?;
    Ok(true)
}

/// Removes a user and their sessions, unless it is the last one.
pub(crate) fn delete(db: &Database, removal: &Removal) -> Result<UserDeleted, Failure> {
    let user = db.first(
        &format!("SELECT {COLUMNS} FROM users WHERE id = ?"),
        [removal.id.as_bytes()],
        read,
    )?;
    let Some(user) = user else {
        return Ok(UserDeleted::NotFound);
    };
    let deleted = db.execute(
        "DELETE FROM users WHERE id = ?1 AND EXISTS (SELECT 1 FROM users WHERE id <> ?1)",
        [removal.id.as_bytes()],
    )?;
    if deleted == 0 {
        return Ok(UserDeleted::Last);
    }
    end_sessions(db, removal.id)?;
    let line = audit_log::user_deleted(&user, removal.now, &removal.by);
    audit_rows::insert(db, &line)?;
    Ok(UserDeleted::Gone)
}

/// Notes that a user signed in; false where there is no such user.
pub(crate) fn note_sign_in(db: &Database, id: UserId, now: UtcMillis) -> Result<bool, Failure> {
    let noted = db.execute(
        "UPDATE users SET last_sign_in_ms = max(coalesce(last_sign_in_ms, ?1), ?1) WHERE id = ?2",
        (now.as_millis(), id.as_bytes()),
    )?;
    Ok(noted == 1)
}

/// All of them, oldest first.
pub(crate) fn list(conn: &Connection) -> Result<Vec<User>, Failure> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM users ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(read(row)?);
    }
    Ok(users)
}

/// The one with this address.
pub(crate) fn by_email(conn: &Connection, email: &Email) -> Result<Option<User>, Failure> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE email = ?"))?;
    first_of(&mut statement, [email.as_str()], read)
}

fn end_sessions(db: &Database, id: UserId) -> Result<(), Failure> {
    db.execute("DELETE FROM sessions WHERE user_id = ?", [id.as_bytes()])
        .map(drop)
}

/// Reads the columns of [`COLUMNS`].
fn read(row: &Row<'_>) -> Result<User, Failure> {
    let email = row.get_ref(1)?.as_str().map_err(|_| unreadable())?;
    Ok(User {
        id: UserId::from_bytes(row.get(0)?),
        email: Email::parse(email).map_err(|_| unreadable())?,
        password_hash: row.get(2)?,
        created: UtcMillis::from_millis(row.get(3)?),
        last_sign_in: row.get::<_, Option<i64>>(4)?.map(UtcMillis::from_millis),
    })
}

fn unreadable() -> Failure {
    Failure::unreadable("user")
}
