//! Reading the delivery log: a subscription's attempts, page by page.

use rusqlite::{Connection, Row};
use tidings_domain::{attempt::AttemptOutcome, company::CompanyId};
use tidings_store::{AttemptFilter, AttemptPage, OutcomeFilter, Position};

use crate::{
    attempt_rows,
    database::first_of,
    failure::Failure,
    log_index::{Between, Tail},
    memory::Seq,
    merge::Merge,
    search,
};

/// Lines that one read looks at.
const LOOK_MAX: usize = 20_000;
/// A page takes no further attempt beyond so many bytes.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// A page of a subscription's attempts; none where there never was such a subscription.
pub(crate) fn attempts(
    conn: &Connection,
    tail: &Tail,
    company: Option<&CompanyId>,
    filter: &AttemptFilter,
) -> Result<Option<AttemptPage>, Failure> {
    let mut statement =
        conn.prepare_cached("SELECT seq, company_id FROM subscriptions WHERE id = ?")?;
    let found: Option<(Seq, String)> =
        first_of(&mut statement, [filter.subscription.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    match found {
        Some((seq, owner)) if company.is_none_or(|company| company.as_str() == owner) => {
            page(conn, tail, seq, filter).map(Some)
        }
        _ => Ok(None),
    }
}

fn page(
    conn: &Connection,
    tail: &Tail,
    seq: Seq,
    filter: &AttemptFilter,
) -> Result<AttemptPage, Failure> {
    let between = Between::behind(filter.after, filter.order);
    // The place of the event narrows it to a handful of lines; where it is not in the log any
    // more, its lines are found by looking.
    let mut candidates = match position_of_event(conn, filter)? {
        Some(position) => {
            let places = search::of_event(conn, position, &[seq])?;
            Merge::of_places(places, filter.order, between)
        }
        None => Merge::of_subscriptions(conn, tail, vec![seq], filter.order, between)?,
    };
    let columns = attempt_rows::COLUMNS;
    let mut statement =
        conn.prepare_cached(&format!("SELECT {columns} FROM attempts WHERE seq = ?"))?;
    let mut page = AttemptPage {
        attempts: Vec::new(),
        next: filter.after.unwrap_or(0),
        has_more: false,
    };
    let (mut looked, mut bytes) = (0, 0);
    while let Some(place) = candidates.peek() {
        if looked == LOOK_MAX {
            page.has_more = true;
            break;
        }
        candidates.advance(conn)?;
        looked += 1;
        let is_full = page.attempts.len() == filter.limit || bytes > PAGE_BYTES_MAX;
        let mut rows = statement.query([place])?;
        // A line of the tail may have left the log meanwhile.
        let Some(row) = rows.next()? else {
            continue;
        };
        let is_wanted = is_wanted(row, filter)?;
        // A full page is not the last one only if something follows that is wanted.
        if is_wanted && is_full {
            page.has_more = true;
            break;
        }
        page.next = place;
        if is_wanted {
            let attempt = attempt_rows::read(row, filter.subscription)?;
            bytes += attempt_rows::bytes_of(&attempt);
            page.attempts.push(attempt);
        }
    }
    Ok(page)
}

fn position_of_event(
    conn: &Connection,
    filter: &AttemptFilter,
) -> Result<Option<Position>, Failure> {
    match filter.event {
        Some(event) => search::position_of(conn, event),
        None => Ok(None),
    }
}

/// Looks at the first columns alone, so that a line which is not wanted costs little.
fn is_wanted(row: &Row<'_>, filter: &AttemptFilter) -> Result<bool, Failure> {
    let unreadable = |_| Failure::unreadable("attempt");
    if let Some(event) = &filter.event
        && row
            .get_ref(1)?
            .as_blob()
            .map_err(|_| Failure::unreadable("attempt"))?
            != event.as_bytes()
    {
        return Ok(false);
    }
    if let Some(event_type) = &filter.event_type
        && row.get_ref(2)?.as_str().map_err(unreadable)? != event_type.as_str()
    {
        return Ok(false);
    }
    let outcome = attempt_rows::read_outcome(row.get_ref(3)?)?;
    Ok(match filter.outcome {
        None => true,
        Some(OutcomeFilter::Succeeded) => outcome == AttemptOutcome::Succeeded,
        Some(OutcomeFilter::Failed) => outcome != AttemptOutcome::Succeeded,
    })
}
