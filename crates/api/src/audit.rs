//! In whose affairs a line of the audit log stands that the store does not write by itself: one about
//! deliveries that are asked for once more.

use tidings_domain::{company::CompanyId, id::SubscriptionId};

use crate::{problem::Problem, state::Api};

/// In whose affairs the line about a subscription stands. None where there is no such
/// subscription, and so will be no line.
pub(crate) async fn owner(
    api: &Api,
    company: Option<&CompanyId>,
    subscription: SubscriptionId,
) -> Result<Option<CompanyId>, Problem> {
    if let Some(company) = company {
        return Ok(Some(company.clone()));
    }
    let found = api.store.subscription(None, subscription).await?;
    Ok(found.map(|subscription| subscription.company))
}
