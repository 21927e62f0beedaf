//! The audit log's lines about what the store does not note by itself: deliveries that are asked
//! for once more.

use tidings_domain::{audit::AuditEntry, company::CompanyId, id::SubscriptionId};

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

/// Writes a line about what has been done. It is done, so a line that cannot be written is no
/// failure of the request: the server's log has it then.
pub(crate) async fn record(api: &Api, line: AuditEntry) {
    let (who, action, target) = (
        line.actor.clone(),
        line.action.as_str(),
        line.target.clone(),
    );
    if let Err(error) = api.store.record(line).await {
        tracing::error!(%error, ?who, action, target, "a line of the audit log could not be written");
    }
}
