//! Reading subscriptions as their company sees them.

use rusqlite::Connection;
use tidings_domain::{
    company::CompanyId, cursor::Order, id::SubscriptionId, subscription::Subscription,
};
use tidings_store::{Position, SubscriptionPage};

use crate::{database::first_of, failure::Failure, subscription_rows};

/// One that exists; `company` none for whoever's it is.
pub(crate) fn subscription(
    conn: &Connection,
    company: Option<&CompanyId>,
    id: SubscriptionId,
) -> Result<Option<Subscription>, Failure> {
    let columns = subscription_rows::COLUMNS;
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {columns} FROM subscriptions WHERE id = ? AND deleted_ms IS NULL"
    ))?;
    let found = first_of(&mut statement, [id.as_bytes()], subscription_rows::read)?;
    Ok(found
        .map(|stored| stored.subscription)
        .filter(|found| company.is_none_or(|company| *company == found.company)))
}

/// A page of a company's, in the order in which they were made.
pub(crate) fn subscriptions(
    conn: &Connection,
    company: &CompanyId,
    order: Order,
    after: Option<Position>,
    limit: usize,
) -> Result<SubscriptionPage, Failure> {
    let (comparison, direction, from) = match order {
        Order::Ascending => (">", "", after.unwrap_or(0)),
        Order::Descending => ("<", "DESC", after.unwrap_or(Position::MAX)),
    };
    let columns = subscription_rows::COLUMNS;
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {columns} FROM subscriptions
         WHERE company_id = ? AND seq {comparison} ? AND deleted_ms IS NULL
         ORDER BY seq {direction}"
    ))?;
    let mut rows = statement.query((company.as_str(), from))?;
    let mut page = SubscriptionPage {
        subscriptions: Vec::new(),
        next: after.unwrap_or(0),
        has_more: false,
    };
    while let Some(row) = rows.next()? {
        if page.subscriptions.len() == limit {
            page.has_more = true;
            break;
        }
        let stored = subscription_rows::read(row)?;
        page.next = stored.seq;
        page.subscriptions.push(stored.subscription);
    }
    Ok(page)
}
