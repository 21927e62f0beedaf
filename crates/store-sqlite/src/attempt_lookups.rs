//! Single attempts: one by its place, those of one delivery, and each subscription's newest.

use rusqlite::Connection;
use tidings_domain::{
    company::CompanyId,
    cursor::Order,
    id::{EventId, SubscriptionId},
};
use tidings_store::{AttemptSearch, PlacedAttempt, Position, Seq};

use crate::{
    attempt_rows,
    database::first_of,
    failure::Failure,
    log_index::{Newest, Tail},
    search,
};

/// Lines that are looked at for an event that is in its log no more.
const LOOK_MAX: usize = 20_000;

/// The attempt at a place, if it is the company's.
pub(crate) fn attempt(
    conn: &Connection,
    company: &CompanyId,
    place: Position,
) -> Result<Option<PlacedAttempt>, Failure> {
    let mut owner =
        conn.prepare_cached("SELECT id FROM subscriptions WHERE seq = ? AND company_id = ?")?;
    let mut statement = conn.prepare_cached(&attempt_rows::SELECT_PLACED)?;
    let mut rows = statement.query([place])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let subscription = attempt_rows::subscription(row)?;
    let id = first_of(&mut owner, (subscription, company.as_str()), |row| {
        Ok(SubscriptionId::from_bytes(row.get(0)?))
    })?;
    id.map(|id| attempt_rows::read_placed(row, id)).transpose()
}

/// All attempts made for an event at a subscription, oldest first.
pub(crate) fn of_delivery(
    conn: &Connection,
    tail: &Tail,
    company: &CompanyId,
    event: EventId,
    subscription: SubscriptionId,
    limit: usize,
) -> Result<Vec<PlacedAttempt>, Failure> {
    let of_delivery = AttemptSearch {
        company: company.clone(),
        subscription: Some(subscription),
        outcome: None,
        status: None,
        types: Vec::new(),
        event: Some(event),
        since: None,
        until: None,
        order: Order::Ascending,
        after: None,
        limit,
        look_at_max: limit.max(LOOK_MAX),
    };
    Ok(search::search(conn, tail, &of_delivery)?.attempts)
}

/// For each subscription of the company, its newest attempt.
pub(crate) fn newest(
    conn: &Connection,
    tail: &Tail,
    company: &CompanyId,
    subscriptions: &[SubscriptionId],
) -> Result<Vec<Option<PlacedAttempt>>, Failure> {
    let mut number =
        conn.prepare_cached("SELECT seq FROM subscriptions WHERE id = ? AND company_id = ?")?;
    let mut places = Newest::look(conn, tail)?;
    let mut statement = conn.prepare_cached(&attempt_rows::SELECT_PLACED)?;
    let mut newest = Vec::with_capacity(subscriptions.len());
    for id in subscriptions {
        let params = (id.as_bytes(), company.as_str());
        let seq: Option<Seq> = first_of(&mut number, params, |row| Ok(row.get(0)?))?;
        let last: Option<Position> = match seq {
            Some(seq) => places.of(seq)?,
            None => None,
        };
        newest.push(match last {
            Some(last) => first_of(&mut statement, [last], |row| {
                attempt_rows::read_placed(row, *id)
            })?,
            None => None,
        });
    }
    Ok(newest)
}
