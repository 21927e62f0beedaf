//! Attempts by what is known of them: their place, their delivery, their subscription.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use tidings_domain::{
    company::CompanyId,
    id::{EventId, SubscriptionId},
};
use tidings_store::{PlacedAttempt, Position, Seq};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    attempt_rows, columns, database::Database, event_rows, failure::Failure, look, merged::Seen,
    subscription_rows,
};

/// The columns before [`attempt_rows::COLUMNS`].
const LEADING: usize = 2;

/// The attempt at a place, if it is the company's.
pub(crate) async fn at<C: GenericClient>(
    db: &Database<'_, C>,
    company: &CompanyId,
    place: Position,
) -> Result<Option<PlacedAttempt>, Failure> {
    // The order of the log has an index for each subscription.
    let row = db
        .first(
            &format!(
                "SELECT a.*, s.id AS subscription_id
                 FROM subscriptions s CROSS JOIN LATERAL (
                     SELECT seq, round, {} FROM attempts
                     WHERE subscription = s.seq AND seq = $2) a
                 WHERE s.company_id = $1 LIMIT 1",
                attempt_rows::COLUMNS
            ),
            &[&company.as_str(), &place],
        )
        .await?;
    let placed = row.map(|row| {
        let id = columns::id(&row, row.len() - 1);
        read(&row, 0, SubscriptionId::from_bytes(id))
    });
    placed.transpose()
}

/// All attempts made for an event at a subscription, oldest first, at most `limit`.
pub(crate) async fn of_delivery<C: GenericClient>(
    db: &Database<'_, C>,
    company: &CompanyId,
    event: EventId,
    subscription: SubscriptionId,
    limit: usize,
) -> Result<Vec<PlacedAttempt>, Failure> {
    let owner = subscription_rows::owner_of(db, subscription).await?;
    let Some((seq, _)) = owner.filter(|(_, owner)| owner == company.as_str()) else {
        return Ok(Vec::new());
    };
    // The sum keeps it from being read in the order of everything at the subscription.
    let rows = db
        .query(
            &format!(
                "SELECT seq, round, {} FROM attempts
                 WHERE event_id = $1 AND subscription = $2 ORDER BY seq + 0 LIMIT $3",
                attempt_rows::COLUMNS
            ),
            &[&event_rows::uuid_of(event), &seq, &look::limit(limit)],
        )
        .await?;
    rows.iter().map(|row| read(row, 0, subscription)).collect()
}

/// For each of the company's subscriptions, its newest attempt.
pub(crate) async fn newest<C: GenericClient>(
    db: &Database<'_, C>,
    company: &CompanyId,
    subscriptions: &[SubscriptionId],
) -> Result<Vec<Option<PlacedAttempt>>, Failure> {
    let ids: Vec<Uuid> = subscriptions
        .iter()
        .map(|id| subscription_rows::uuid_of(*id))
        .collect();
    let rows = db
        .query(
            &format!(
                "SELECT asked.place, a.*
                 FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, place)
                 JOIN subscriptions s ON s.id = asked.id AND s.company_id || '' = $2
                 CROSS JOIN LATERAL (
                     SELECT seq, round, {} FROM attempts
                     WHERE subscription = s.seq ORDER BY seq DESC LIMIT 1) a",
                attempt_rows::COLUMNS
            ),
            &[&ids, &company.as_str()],
        )
        .await?;
    let mut newest = vec![None; subscriptions.len()];
    for row in &rows {
        let place: i64 = row.get(0);
        let nth = usize::try_from(place - 1).unwrap_or(usize::MAX);
        if let (Some(slot), Some(id)) = (newest.get_mut(nth), subscriptions.get(nth)) {
            *slot = Some(read(row, 1, *id)?);
        }
    }
    Ok(newest)
}

/// Lines of the log that were looked at, in full; `subscriptions` has the ids of their
/// subscriptions. Those that retention has taken since are left out.
pub(crate) async fn in_full<C: GenericClient>(
    db: &Database<'_, C>,
    lines: &[Seen],
    subscriptions: &HashMap<Seq, SubscriptionId>,
) -> Result<Vec<PlacedAttempt>, Failure> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = lines.iter().map(|line| line.id).collect();
    let seqs: Vec<Seq> = lines.iter().map(|line| line.subscription).collect();
    let places: Vec<Position> = lines.iter().map(|line| line.place).collect();
    // The place is what the index has; the id tells in which day's partition to look.
    let rows = db
        .query(
            &format!(
                "SELECT asked.nth, a.*
                 FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) WITH ORDINALITY
                     AS asked (id, subscription, place, nth)
                 CROSS JOIN LATERAL (
                     SELECT seq, round, {} FROM attempts
                     WHERE attempts.id = asked.id AND attempts.seq = asked.place
                         AND attempts.subscription = asked.subscription) a
                 ORDER BY asked.nth",
                attempt_rows::COLUMNS
            ),
            &[&ids, &seqs, &places],
        )
        .await?;
    let read = rows.iter().map(|row| {
        let nth: i64 = row.get(0);
        let line = usize::try_from(nth - 1).ok().and_then(|nth| lines.get(nth));
        let id = line.and_then(|line| subscriptions.get(&line.subscription));
        let id = id.ok_or_else(|| Failure::Broken("an attempt is nobody's".to_owned()))?;
        read(row, 1, *id)
    });
    read.collect()
}

/// Reads `seq`, `round` and the columns of [`attempt_rows::COLUMNS`] from column `at` on.
fn read(row: &Row, at: usize, subscription: SubscriptionId) -> Result<PlacedAttempt, Failure> {
    Ok(PlacedAttempt {
        place: row.get(at),
        round: columns::number(row, at + 1)?,
        attempt: attempt_rows::read(row, at + LEADING, subscription)?,
    })
}
