//! Looks at the event log that are not for following it: where a moment lies in it, and which
//! types there were lately.

use deadpool_postgres::GenericClient;
use tidings_domain::{company::CompanyId, event_type::EventType, time::UtcMillis};
use tidings_store::Position;
use uuid::Uuid;

use crate::{database::Database, failure::Failure, partitions};

/// A company's newest events whose types are told.
const RECENT_MAX: i64 = 3000;
/// How far an event may be stored behind others of a later time, in milliseconds: its time is
/// taken before it waits for the writer, and other nodes have writers of their own.
const STORED_LATE_MAX_MS: i64 = 60_000;
/// Events around a moment, so far before it and behind it, among which its place is found
/// precisely. Where there are more, it is found early by that margin.
const AROUND_MAX: i64 = 20_000;
/// Events that are looked at at a time for one that was stored early enough. Ids have the time in
/// which an event was received, positions the order in which events were stored.
const LOOK_MAX: i64 = 2000;
/// Looks at so many events each.
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

/// A position behind which everything lies that was stored at `time` or later: that of the last
/// event before the first of these, or of one at most some margin earlier; 0 where there is none.
///
/// Nothing has the order of positions over all companies but the positions themselves. Ids have
/// nearly that order, and an index.
pub(crate) async fn position_before<C: GenericClient>(
    db: &Database<'_, C>,
    time: UtcMillis,
) -> Result<Position, Failure> {
    let early = time.plus_millis(-STORED_LATE_MAX_MS);
    let around = db
        .first(
            "WITH around AS MATERIALIZED (
             SELECT position, stored_ms FROM events WHERE id >= $1 AND id < $2
             ORDER BY id LIMIT $4
         ), reach AS MATERIALIZED (
             SELECT min(position) AS first FROM around WHERE stored_ms >= $3
         )
         SELECT (SELECT count(*) FROM around), (SELECT first FROM reach),
             (SELECT max(position) FROM around
              WHERE stored_ms < $3 AND position < coalesce((SELECT first FROM reach), $5))",
            &[
                &partitions::first_id(early),
                &partitions::first_id(time.plus_millis(STORED_LATE_MAX_MS)),
                &time.as_millis(),
                &(AROUND_MAX + 1),
                &Position::MAX,
            ],
        )
        .await?;
    let Some(row) = around else {
        return Ok(0);
    };
    if row.get::<_, i64>(0) > AROUND_MAX {
        // Whatever was stored before `early` lies before all that was stored from `time` on.
        return last_before(db, early, early, Position::MAX).await;
    }
    if let Some(position) = row.get(2) {
        return Ok(position);
    }
    let first: Option<Position> = row.get(1);
    last_before(db, early, time, first.unwrap_or(Position::MAX)).await
}

/// The last position below `first` of an event that was stored before `time`, among those received
/// before `received`; 0 where there is none. The newest are looked at first.
async fn last_before<C: GenericClient>(
    db: &Database<'_, C>,
    received: UtcMillis,
    time: UtcMillis,
    first: Position,
) -> Result<Position, Failure> {
    let mut below = partitions::first_id(received);
    for _ in 0..LOOKS_MAX {
        let row = db
            .first(
                "SELECT max(position) FILTER (WHERE stored_ms < $2 AND position < $4),
                     (array_agg(id))[count(*)], count(*)
                 FROM (SELECT id, position, stored_ms FROM events WHERE id < $1
                     ORDER BY id DESC LIMIT $3) around",
                &[&below, &time.as_millis(), &LOOK_MAX, &first],
            )
            .await?;
        let Some(row) = row else { break };
        if let Some(position) = row.get(0) {
            return Ok(position);
        }
        let last: Option<Uuid> = row.get(1);
        match last {
            Some(last) if row.get::<_, i64>(2) == LOOK_MAX => below = last,
            _ => break,
        }
    }
    Ok(0)
}
