//! Reading events back: by position for polling, by id for one.

use std::{fmt::Write as _, sync::Arc};

use deadpool_postgres::GenericClient;
use tidings_domain::{
    company::CompanyId, cursor::Order, event::Event, event_type::EventTypePattern, id::EventId,
};
use tidings_store::{EventPage, EventQuery, Position};

use crate::{
    database::Database,
    event_rows,
    failure::Failure,
    look::{self, Look},
};

/// A page of a company's events.
pub(crate) async fn read_events<C: GenericClient>(
    db: &Database<'_, C>,
    query: &EventQuery,
) -> Result<EventPage, Failure> {
    let (from, after) = match query.order {
        Order::Ascending => (
            "events WHERE company_id = $1 AND position > $2",
            query.after.unwrap_or(0),
        ),
        Order::Descending => (
            "events WHERE company_id = $1 AND position < $2",
            query.after.unwrap_or(Position::MAX),
        ),
    };
    let look = Look {
        order_by: "position",
        descending: query.order == Order::Descending,
        columns: event_rows::COLUMNS,
        from,
        wanted: WANTED,
        bytes: "octet_length(payload) + coalesce(octet_length(metadata), 0)",
        limit: "$4",
    };
    let rows = db
        .query(
            &look.sql(),
            &[
                &query.company.as_str(),
                &after,
                &like_forms(&query.types),
                &look::limit(query.limit),
            ],
        )
        .await?;
    let found = look::read(&rows, query.limit, |row, at| {
        Ok((
            row.get::<_, Position>(0),
            Arc::new(event_rows::read(row, at)?),
        ))
    })?;
    let (positions, events) = found.wanted.into_iter().unzip();
    Ok(EventPage {
        events,
        positions,
        next: found.looked_at.or(query.after).unwrap_or(0),
        has_more: found.has_more,
    })
}

/// One event; `company` none for whoever's it is.
pub(crate) async fn event<C: GenericClient>(
    db: &Database<'_, C>,
    company: Option<&CompanyId>,
    id: EventId,
) -> Result<Option<Arc<Event>>, Failure> {
    let sql = format!("SELECT {} FROM events WHERE id = $1", event_rows::COLUMNS);
    let row = db.first(&sql, &[&event_rows::uuid_of(id)]).await?;
    let event = row.map(|row| event_rows::read(&row, 0)).transpose()?;
    Ok(event
        .filter(|event| company.is_none_or(|company| company == event.company()))
        .map(Arc::new))
}

/// The highest position that is committed.
pub(crate) async fn head<C: GenericClient>(db: &Database<'_, C>) -> Result<Position, Failure> {
    let sql = "SELECT position FROM log_heads WHERE shard = 0";
    let row = db.first(sql, &[]).await?;
    row.map(|row| row.get(0))
        .ok_or_else(|| Failure::Broken("the log has no head".to_owned()))
}

/// Whether any pattern wants the column `type`; the third parameter has their [`like_forms`].
pub(crate) const WANTED: &str = "($3::text[] IS NULL OR type LIKE ANY ($3))";

/// Patterns as `LIKE` takes them; none where every type is wanted.
pub(crate) fn like_forms(patterns: &[EventTypePattern]) -> Option<Vec<String>> {
    if patterns.is_empty() || patterns.contains(&EventTypePattern::All) {
        return None;
    }
    Some(patterns.iter().map(like_form).collect())
}

fn like_form(pattern: &EventTypePattern) -> String {
    let (literal, wildcard) = match pattern {
        EventTypePattern::All => ("", "%"),
        EventTypePattern::Below(prefix) => (&**prefix, "%"),
        EventTypePattern::Exactly(event_type) => (event_type.as_str(), ""),
    };
    let mut form = String::with_capacity(literal.len() + 4);
    for character in literal.chars() {
        // The underscore is a wildcard of LIKE, and the only one that an event type can have.
        let escape = if character == '_' { "\\" } else { "" };
        write!(form, "{escape}{character}").expect("a String takes everything");
    }
    form + wildcard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_forms_of_like() {
        let parse = |text: &&str| EventTypePattern::parse(text).unwrap();
        let forms = |texts: &[&str]| like_forms(&texts.iter().map(parse).collect::<Vec<_>>());
        assert_eq!(forms(&[]), None);
        assert_eq!(forms(&["a", "*"]), None);
        assert_eq!(
            forms(&["client.created", "client_a.*", "a-b"]).unwrap(),
            ["client.created", "client\\_a.%", "a-b"]
        );
    }
}
