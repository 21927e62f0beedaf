//! Sessions of the portal. They live in the table alone: each page asks, so that one that was
//! ended is ended for the very next page.

use rusqlite::{Connection, Row};
use tidings_domain::{
    actor::Actor,
    company::CompanyId,
    email::Email,
    id::UserId,
    portal_token::TokenHash,
    time::UtcMillis,
    visitor::{Role, Visitor},
};
use tidings_store::{Session, SessionsOf, audit_log};

use crate::{
    audit_rows,
    database::{Database, first_of},
    failure::Failure,
    users,
};

/// A session to be opened.
pub(crate) struct Opening {
    pub(crate) hash: TokenHash,
    pub(crate) session: Session,
    pub(crate) by: Actor,
}

/// Sessions to be ended.
pub(crate) struct Ending {
    pub(crate) whose: SessionsOf,
    pub(crate) now: UtcMillis,
    pub(crate) by: Actor,
}

/// Opens a session. A user who was removed meanwhile gets none, which the first look at it tells.
pub(crate) fn open(db: &Database, opening: &Opening) -> Result<(), Failure> {
    let session = &opening.session;
    let (user, company, role) = match &session.visitor {
        Visitor::Operator { id, .. } => (Some(id.as_bytes()), None, None),
        Visitor::Guest { company, role } => (None, Some(company.as_str()), Some(role.as_str())),
    };
    if let Visitor::Operator { id, .. } = &session.visitor
        && !users::note_sign_in(db, *id, session.created)?
    {
        return Ok(());
    }
    db.execute(
        "INSERT INTO sessions (hash, user_id, company_id, role, created_ms, expires_ms)
         VALUES (?, ?, ?, ?, ?, ?)",
        (
            &opening.hash,
            user,
            company,
            role,
            session.created.as_millis(),
            session.expires.as_millis(),
        ),
    )?;
    audit_rows::insert(db, &audit_log::session_opened(session, &opening.by))
}

/// The session with this hash, as long as it lives.
pub(crate) fn find(
    conn: &Connection,
    hash: &TokenHash,
    now: UtcMillis,
) -> Result<Option<Session>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT s.user_id, u.email, s.company_id, s.role, s.created_ms, s.expires_ms
         FROM sessions s LEFT JOIN users u ON u.id = s.user_id
         WHERE s.hash = ? AND s.expires_ms > ?",
    )?;
    first_of(&mut statement, (hash, now.as_millis()), read)
}

/// Ends one session.
pub(crate) fn end(db: &Database, hash: &TokenHash) -> Result<(), Failure> {
    db.execute("DELETE FROM sessions WHERE hash = ?", [hash])
        .map(drop)
}

/// Ends all of somebody's sessions; says how many of them still lived.
pub(crate) fn end_all(db: &Database, ending: &Ending) -> Result<u64, Failure> {
    let mut statement = db.statement(match &ending.whose {
        SessionsOf::User(_) => "DELETE FROM sessions WHERE user_id = ? RETURNING expires_ms",
        SessionsOf::Company(_) => "DELETE FROM sessions WHERE company_id = ? RETURNING expires_ms",
    })?;
    let mut rows = match &ending.whose {
        SessionsOf::User(id) => statement.query([id.as_bytes()])?,
        SessionsOf::Company(company) => statement.query([company.as_str()])?,
    };
    let mut ended = 0;
    while let Some(row) = rows.next()? {
        let expires: i64 = row.get(0)?;
        ended += u64::from(expires > ending.now.as_millis());
    }
    if let SessionsOf::Company(company) = &ending.whose {
        // A link that nobody has opened yet would be a way back in.
        db.execute("DELETE FROM links WHERE company_id = ?", [company.as_str()])?;
    }
    if ended > 0 {
        let line = audit_log::signed_out(&ending.whose, ending.now, &ending.by);
        audit_rows::insert(db, &line)?;
    }
    Ok(ended)
}

/// Reads a session with its user's address.
fn read(row: &Row<'_>) -> Result<Session, Failure> {
    let user: Option<[u8; 16]> = row.get(0)?;
    let (email, company, role): (Option<String>, Option<String>, Option<String>) =
        (row.get(1)?, row.get(2)?, row.get(3)?);
    let visitor = match (user, email, company, role) {
        (Some(id), Some(email), None, None) => Visitor::Operator {
            id: UserId::from_bytes(id),
            email: Email::parse(&email).map_err(|_| unreadable())?,
        },
        (None, None, Some(company), Some(role)) => Visitor::Guest {
            company: CompanyId::parse(&company).map_err(|_| unreadable())?,
            role: Role::parse(&role).ok_or_else(unreadable)?,
        },
        _ => return Err(unreadable()),
    };
    Ok(Session {
        visitor,
        created: UtcMillis::from_millis(row.get(4)?),
        expires: UtcMillis::from_millis(row.get(5)?),
    })
}

fn unreadable() -> Failure {
    Failure::unreadable("session")
}
