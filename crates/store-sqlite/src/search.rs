//! Searching the delivery log of all of a company's subscriptions.
//!
//! The log has no index by company. But the one by subscription, and the tail, have each one's lines
//! in order, so the newest of all of them are found by merging: each subscription's next line is at hand, and
//! the newest of these is the next of all. Rows are looked at one by one until there are enough,
//! and at no more than the caller allows.

use std::collections::{HashMap, HashSet};

use rusqlite::{CachedStatement, Connection, Row};
use tidings_domain::{
    attempt::AttemptOutcome, company::CompanyId, id::EventId, id::SubscriptionId, time::UtcMillis,
};
use tidings_store::{
    AttemptSearch, AttemptsFound, OutcomeFilter, PlacedAttempt, Position, Seq, StatusFilter,
};

use crate::{
    attempt_rows,
    database::first_of,
    failure::Failure,
    log_index::{Between, Tail},
    merge::Merge,
    places, poll,
};

/// A page takes no further attempt beyond so many bytes.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// The attempts that are searched for, newest or oldest first.
pub(crate) fn search(
    conn: &Connection,
    tail: &Tail,
    search: &AttemptSearch,
) -> Result<AttemptsFound, Failure> {
    let mut found = AttemptsFound {
        attempts: Vec::new(),
        next: None,
        looked_up_to: None,
    };
    let mut candidates = candidates(conn, tail, search)?;
    let mut look = Look::new(conn, search)?;
    let (mut looked, mut bytes, mut last) = (0, 0, None);
    while let Some(place) = candidates.peek() {
        let full = found.attempts.len() == search.limit;
        if full || looked == search.look_at_max.max(1) || bytes > PAGE_BYTES_MAX {
            found.next = last.map(|(place, _)| place).or(search.after);
            found.looked_up_to = last.map(|(_, time)| time).filter(|_| !full);
            break;
        }
        candidates.advance(conn)?;
        looked += 1;
        // A line of the tail may have left the log meanwhile.
        let Some((attempted, wanted)) = look.at(place)? else {
            continue;
        };
        last = Some((place, attempted));
        if wanted && let Some(attempt) = look.read(place)? {
            bytes += attempt_rows::bytes_of(&attempt.attempt);
            found.attempts.push(attempt);
        }
    }
    Ok(found)
}

/// Everything that may be wanted, in the search's order.
fn candidates(conn: &Connection, tail: &Tail, search: &AttemptSearch) -> Result<Merge, Failure> {
    let theirs = subscriptions(conn, &search.company, search.subscription)?;
    let mut between = Between::behind(search.after, search.order);
    let mut since = search.since;
    if let Some(event) = search.event {
        if let Some(position) = position_of(conn, event)? {
            let places = of_event(conn, position, &theirs)?;
            return Ok(Merge::of_places(places, search.order, between));
        }
        // Retention has taken the event. None of its attempts is older than its id.
        since = since.max(Some(event.time()));
    }
    if let Some(since) = since {
        between.above = between.above.max(places::attempts_before(conn, since)?);
    }
    if let Some(until) = search.until {
        let last = places::attempts_up_to(conn, until)?;
        between.below = between.below.min(last.saturating_add(1));
    }
    Merge::of_subscriptions(conn, tail, theirs, search.order, between)
}

/// The numbers of a company's subscriptions, deleted ones included; or of one, if it is theirs.
fn subscriptions(
    conn: &Connection,
    company: &CompanyId,
    only: Option<SubscriptionId>,
) -> Result<Vec<Seq>, Failure> {
    if let Some(id) = only {
        let mut statement =
            conn.prepare_cached("SELECT seq FROM subscriptions WHERE id = ? AND company_id = ?")?;
        let params = (id.as_bytes(), company.as_str());
        let seq = first_of(&mut statement, params, |row| Ok(row.get(0)?))?;
        return Ok(seq.into_iter().collect());
    }
    let mut statement = conn.prepare_cached(
        "SELECT seq FROM subscriptions INDEXED BY subscriptions_by_company WHERE company_id = ?",
    )?;
    let rows = statement.query_map([company.as_str()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Where an event is in its log; none where it is there no more.
pub(crate) fn position_of(conn: &Connection, event: EventId) -> Result<Option<Position>, Failure> {
    let mut statement = conn.prepare_cached("SELECT position FROM events WHERE id = ?")?;
    first_of(&mut statement, [event.as_bytes()], |row| Ok(row.get(0)?))
}

/// The places of an event's attempts at some subscriptions, by the index alone.
pub(crate) fn of_event(
    conn: &Connection,
    position: Position,
    theirs: &[Seq],
) -> Result<Vec<Position>, Failure> {
    if let [only] = theirs {
        let mut statement = conn.prepare_cached(
            "SELECT seq FROM attempts INDEXED BY attempts_by_event
             WHERE position = ? AND subscription = ?",
        )?;
        let places = statement.query_map([position, *only], |row| row.get(0))?;
        return Ok(places.collect::<Result<_, _>>()?);
    }
    let theirs: HashSet<Seq> = theirs.iter().copied().collect();
    let mut statement = conn.prepare_cached(
        "SELECT seq, subscription FROM attempts INDEXED BY attempts_by_event WHERE position = ?",
    )?;
    let mut rows = statement.query([position])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        if theirs.contains(&row.get(1)?) {
            places.push(row.get(0)?);
        }
    }
    Ok(places)
}

/// Looks at rows: first at the columns that are filtered by, and only where these are as wanted at
/// all of them, since a row may have a long body behind it.
struct Look<'c> {
    search: &'c AttemptSearch,
    filtered: CachedStatement<'c>,
    whole: CachedStatement<'c>,
    id: CachedStatement<'c>,
    ids: HashMap<Seq, SubscriptionId>,
}

impl<'c> Look<'c> {
    fn new(conn: &'c Connection, search: &'c AttemptSearch) -> Result<Self, Failure> {
        Ok(Self {
            search,
            filtered: conn.prepare_cached(
                "SELECT event_id, event_type, error, status, attempted_ms FROM attempts
                 WHERE seq = ?",
            )?,
            whole: conn.prepare_cached(&attempt_rows::SELECT_PLACED)?,
            id: conn.prepare_cached("SELECT id FROM subscriptions WHERE seq = ?")?,
            ids: HashMap::new(),
        })
    }

    /// When the attempt at a place was made, and whether it is wanted; none where there is none.
    fn at(&mut self, place: Position) -> Result<Option<(UtcMillis, bool)>, Failure> {
        let search = self.search;
        first_of(&mut self.filtered, [place], |row| {
            let attempted = UtcMillis::from_millis(row.get(4)?);
            Ok((attempted, is_wanted(row, search, attempted)?))
        })
    }

    fn read(&mut self, place: Position) -> Result<Option<PlacedAttempt>, Failure> {
        let (ids, id) = (&mut self.ids, &mut self.id);
        first_of(&mut self.whole, [place], |row| {
            let seq = attempt_rows::subscription(row)?;
            let id = if let Some(id) = ids.get(&seq) {
                *id
            } else {
                let found = first_of(id, [seq], |row| Ok(row.get(0)?))?;
                let id = SubscriptionId::from_bytes(found.ok_or_else(missing)?);
                ids.insert(seq, id);
                id
            };
            attempt_rows::read_placed(row, id)
        })
    }
}

fn is_wanted(row: &Row<'_>, search: &AttemptSearch, attempted: UtcMillis) -> Result<bool, Failure> {
    let early = search.since.is_some_and(|since| attempted < since);
    if early || search.until.is_some_and(|until| attempted >= until) {
        return Ok(false);
    }
    if let Some(event) = &search.event {
        let id = row.get_ref(0)?.as_blob();
        if id.map_err(|_| Failure::unreadable("attempt"))? != event.as_bytes() {
            return Ok(false);
        }
    }
    if !search.types.is_empty() && !poll::wants(&search.types, row.get_ref(1)?.as_str().ok())? {
        return Ok(false);
    }
    if let Some(wanted) = search.outcome {
        let outcome = attempt_rows::read_outcome(row.get_ref(2)?)?;
        let succeeded = outcome == AttemptOutcome::Succeeded;
        if succeeded != (wanted == OutcomeFilter::Succeeded) {
            return Ok(false);
        }
    }
    let status: Option<u16> = row.get(3)?;
    Ok(match search.status {
        None => true,
        Some(StatusFilter::Exactly(wanted)) => status == Some(wanted),
        Some(StatusFilter::Class(hundreds)) => {
            status.is_some_and(|status| status / 100 == u16::from(hundreds))
        }
        Some(StatusFilter::NoAnswer) => status.is_none(),
    })
}

fn missing() -> Failure {
    Failure::Broken("an attempt has no subscription".to_owned())
}
