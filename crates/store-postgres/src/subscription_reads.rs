//! Reading subscriptions as their company sees them.

use deadpool_postgres::GenericClient;
use tidings_domain::{
    company::CompanyId, cursor::Order, id::SubscriptionId, subscription::Subscription,
};
use tidings_store::{Position, SubscriptionPage};

use crate::{database::Database, failure::Failure, subscription_rows};

/// One that exists; `company` none for whoever's it is.
pub(crate) async fn subscription<C: GenericClient>(
    db: &Database<'_, C>,
    company: Option<&CompanyId>,
    id: SubscriptionId,
) -> Result<Option<Subscription>, Failure> {
    let found = subscription_rows::find(db, id).await?;
    Ok(found
        .filter(|stored| !stored.deleted)
        .map(|stored| stored.subscription)
        .filter(|found| company.is_none_or(|company| *company == found.company)))
}

/// A page of a company's, in the order in which they were made.
pub(crate) async fn subscriptions<C: GenericClient>(
    db: &Database<'_, C>,
    company: &CompanyId,
    order: Order,
    after: Option<Position>,
    limit: usize,
) -> Result<SubscriptionPage, Failure> {
    let (comparison, direction, from) = match order {
        Order::Ascending => (">", "", after.unwrap_or(0)),
        Order::Descending => ("<", "DESC", after.unwrap_or(Position::MAX)),
    };
    let sql = format!(
        "SELECT {} FROM subscriptions
         WHERE company_id = $1 AND seq {comparison} $2 AND deleted_ms IS NULL
         ORDER BY seq {direction} LIMIT $3",
        subscription_rows::COLUMNS
    );
    // One more than the page takes, to know whether there is any.
    let look = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let rows = db.query(&sql, &[&company.as_str(), &from, &look]).await?;
    let mut page = SubscriptionPage {
        subscriptions: Vec::new(),
        next: after.unwrap_or(0),
        has_more: rows.len() > limit,
    };
    for row in rows.iter().take(limit) {
        let stored = subscription_rows::read(row)?;
        page.next = stored.seq;
        page.subscriptions.push(stored.subscription);
    }
    Ok(page)
}
