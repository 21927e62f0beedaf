//! Reading the delivery log: a subscription's attempts, page by page.

use deadpool_postgres::GenericClient;
use tidings_domain::{company::CompanyId, cursor::Order, event_type::EventType};
use tidings_store::{AttemptFilter, AttemptPage, OutcomeFilter, Position, Seq};

use crate::{
    attempt_rows,
    database::Database,
    event_rows,
    failure::Failure,
    look::{self, Look},
    subscription_rows,
};

/// Whether a line is wanted; the parameters are an event type and whether it succeeded.
const WANTED: &str =
    "(($3::text IS NULL OR event_type = $3) AND ($4::boolean IS NULL OR (error IS NULL) = $4))";
const BYTES: &str = "octet_length(response_body) + coalesce(octet_length(response_headers), 0)";

/// A page of a subscription's attempts; none where there never was such a subscription.
pub(crate) async fn attempts<C: GenericClient>(
    db: &Database<'_, C>,
    company: Option<&CompanyId>,
    filter: &AttemptFilter,
) -> Result<Option<AttemptPage>, Failure> {
    match subscription_rows::owner_of(db, filter.subscription).await? {
        Some((seq, owner)) if company.is_none_or(|company| company.as_str() == owner) => {
            page(db, seq, filter).await.map(Some)
        }
        _ => Ok(None),
    }
}

async fn page<C: GenericClient>(
    db: &Database<'_, C>,
    seq: Seq,
    filter: &AttemptFilter,
) -> Result<AttemptPage, Failure> {
    let descending = filter.order == Order::Descending;
    let (comparison, after) = if descending {
        ("<", filter.after.unwrap_or(Position::MAX))
    } else {
        (">", filter.after.unwrap_or(0))
    };
    // An event narrows it to a handful of lines, of an index of its own. The sum keeps them from
    // being looked for in the order of everything at the subscription.
    let (order_by, from) = match filter.event {
        None => (
            "seq",
            format!("attempts WHERE subscription = $1 AND seq {comparison} $2"),
        ),
        Some(_) => (
            "place",
            format!(
                "(SELECT *, seq + 0 AS place FROM attempts
                     WHERE subscription = $1 AND event_id = $6) of_event
                 WHERE place {comparison} $2"
            ),
        ),
    };
    let look = Look {
        order_by,
        descending,
        columns: attempt_rows::COLUMNS,
        from: &from,
        wanted: WANTED,
        bytes: BYTES,
        limit: "$5",
    };
    let event_type = filter.event_type.as_ref().map(EventType::as_str);
    let succeeded = filter
        .outcome
        .map(|outcome| outcome == OutcomeFilter::Succeeded);
    let limit = look::limit(filter.limit);
    let event = filter.event.map(event_rows::uuid_of);
    let rows = match &event {
        Some(event) => {
            db.query(
                &look.sql(),
                &[&seq, &after, &event_type, &succeeded, &limit, event],
            )
            .await?
        }
        None => {
            db.query(
                &look.sql(),
                &[&seq, &after, &event_type, &succeeded, &limit],
            )
            .await?
        }
    };
    let found = look::read(&rows, filter.limit, |row, at| {
        attempt_rows::read(row, at, filter.subscription)
    })?;
    Ok(AttemptPage {
        attempts: found.wanted,
        next: found.looked_at.or(filter.after).unwrap_or(0),
        has_more: found.has_more,
    })
}
