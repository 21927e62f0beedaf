//! Delivering an event once more: the button, and what it does.

use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use tidings_domain::{
    id::{EventId, SubscriptionId},
    subscription::Subscription,
};
use tidings_store::{Position, Redelivered, audit_log};

use crate::{
    events::event,
    fault::Fault,
    texts,
    visit::{AtCompany, PostedAt},
};

/// The button that delivers an event to a webhook once more, or why it cannot be pressed.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    pub(crate) path: String,
    pub(crate) webhook: SubscriptionId,
    /// The line of the delivery log to go back to; none for the event's page.
    pub(crate) back: Option<Position>,
    pub(crate) refusal: Option<&'static str>,
}

impl Again {
    /// The button for an event and a webhook, none where that was deleted.
    pub(crate) fn of(
        at: &AtCompany,
        event: EventId,
        id: SubscriptionId,
        webhook: Option<&Subscription>,
    ) -> Self {
        let words = &texts::default().events;
        Self {
            path: at.link(&format!("events/{event}/redeliver")),
            webhook: id,
            back: None,
            refusal: match webhook {
                None => Some(words.cannot_deleted),
                Some(webhook) if !webhook.enabled => Some(words.cannot_disabled),
                Some(_) => None,
            },
        }
    }

    /// Not to be pressed where the event is gone.
    pub(crate) fn unless_gone(mut self, is_there: bool) -> Self {
        if !is_there {
            self.refusal = Some(texts::default().events.cannot_gone);
        }
        self
    }

    /// Leads back to a line of the delivery log.
    pub(crate) fn back_to(mut self, place: Position) -> Self {
        self.back = Some(place);
        self
    }
}

pub(super) async fn redeliver(posted: PostedAt) -> Result<Response, Fault> {
    let at = &posted.at;
    let event = at.param("id", EventId::parse)?;
    let webhook = posted.fields.get("webhook").unwrap_or_default();
    let webhook = SubscriptionId::parse(webhook).map_err(|_| Fault::NotFound)?;
    let back = match posted.fields.get("back") {
        None => None,
        Some(text) => Some(text.parse::<Position>().map_err(|_| Fault::Malformed)?),
    };
    match owe(at, event, webhook).await? {
        Redelivered::Queued => {
            let tail = match back {
                Some(place) => format!("log/{place}?done=redelivered"),
                None => format!("events/{event}?done=redelivered"),
            };
            Ok(Redirect::to(&at.link(&tail)).into_response())
        }
        Redelivered::NoEvent | Redelivered::NoSubscription => Err(Fault::NotFound),
        Redelivered::Disabled => {
            let problem = texts::default().events.disabled_meanwhile;
            let page = event::page(at, event, Some(problem)).await?;
            Ok((StatusCode::CONFLICT, page).into_response())
        }
    }
}

/// Owes the event and writes the line about it, to the end, also where the browser goes away
/// meanwhile.
async fn owe(
    at: &AtCompany,
    event: EventId,
    webhook: SubscriptionId,
) -> Result<Redelivered, Fault> {
    let portal = std::sync::Arc::clone(&at.visit.portal);
    let (company, by) = (at.company.clone(), at.visit.actor());
    let owed = tokio::spawn(async move {
        let now = portal.now();
        let redelivered = portal
            .store
            .redeliver(Some(&company), event, webhook, now)
            .await?;
        if redelivered == Redelivered::Queued {
            let line = audit_log::redelivered(Some(company), webhook, event, now, &by);
            audit_log::record_what_was_done(portal.store.as_ref(), line).await;
        }
        Ok(redelivered)
    });
    owed.await.map_err(|_| Fault::Internal)?
}
