//! Looks at the event log that are not for following it: where a moment lies in it, and which
//! types there were lately.

use deadpool_postgres::GenericClient;
use tidings_domain::{company::CompanyId, event_type::EventType, time::UtcMillis};
use tidings_store::Position;
use uuid::Uuid;

use crate::{database::Database, failure::Failure, partitions};

/// A company's newest events whose types are told.
const RECENT_MAX: i64 = 3000;
/// Events that are looked at around a moment. Ids have the time in which an event was received,
/// positions the order in which events were stored; so many events lie between the two at most.
const AROUND_MAX: i64 = 2000;
/// Looks at so many events each that are taken for one that was stored early enough.
const LOOKS_MAX: usize = 10;

/// The types among a company's newest events, in alphabetical order.
pub(crate) async fn recent_types<C: GenericClient>(
    db: &Database<'_, C>,
    company: &CompanyId,
) -> Result<Vec<EventType>, Failure> {
    let rows = db
        .query(
            "SELECT DISTINCT type FROM (
                 SELECT type FROM events WHERE company_id = $1
                 ORDER BY position DESC LIMIT $2) newest",
            &[&company.as_str(), &RECENT_MAX],
        )
        .await?;
    let read = rows.iter().map(|row| {
        let event_type = EventType::parse(row.get(0));
        event_type.map_err(|_| Failure::unreadable("event type"))
    });
    let mut types = read.collect::<Result<Vec<_>, _>>()?;
    types.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok(types)
}

/// The position of the last event that was stored before `time`; 0 where there is none.
///
/// Nothing has the order of positions over all companies but the positions themselves. Ids have
/// nearly that order, and an index: those that were made before `time` are looked at, the newest
/// first.
pub(crate) async fn position_before<C: GenericClient>(
    db: &Database<'_, C>,
    time: UtcMillis,
) -> Result<Position, Failure> {
    let mut below = partitions::first_id(time);
    for _ in 0..LOOKS_MAX {
        let row = db
            .first(
                "SELECT max(position) FILTER (WHERE stored_ms < $2), (array_agg(id))[count(*)],
                     count(*)
                 FROM (SELECT id, position, stored_ms FROM events WHERE id < $1
                     ORDER BY id DESC LIMIT $3) around",
                &[&below, &time.as_millis(), &AROUND_MAX],
            )
            .await?;
        let Some(row) = row else { break };
        if let Some(position) = row.get(0) {
            return Ok(position);
        }
        let last: Option<Uuid> = row.get(1);
        match last {
            Some(last) if row.get::<_, i64>(2) == AROUND_MAX => below = last,
            _ => break,
        }
    }
    Ok(0)
}
