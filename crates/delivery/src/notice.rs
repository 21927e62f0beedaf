//! The event that tells a company that the server disabled its subscription.

use std::sync::Arc;

use serde_json::value::RawValue;
use tidings_domain::{
    event::Event, event_type::EventType, id::EventId, json_object::JsonObject, random::Random,
    subscription::DisabledReason, subscription::Endpoint, time::UtcMillis,
};

const EVENT_TYPE: &str = "webhook.subscription_disabled";

/// The notice that `endpoint` is disabled at `now` because of `reason`, which holds since `since`;
/// published into the company's own log by the store, in the transaction that disables it.
pub(crate) fn subscription_disabled(
    endpoint: &Endpoint,
    reason: DisabledReason,
    since: UtcMillis,
    now: UtcMillis,
    random: &dyn Random,
) -> Arc<Event> {
    // Ids, reasons and times have no character that JSON would escape; a URL may have a quote.
    let url = serde_json::Value::from(endpoint.url.as_str());
    let payload = format!(
        r#"{{"subscriptionId":"{}","url":{url},"reason":"{reason}","sinceUtc":"{since}"}}"#,
        endpoint.id
    );
    let payload = RawValue::from_string(payload).expect("the JSON that was just written");
    Arc::new(Event::new(
        EventId::new(now, random),
        EventType::parse(EVENT_TYPE).expect("two segments of small letters"),
        now,
        endpoint.company.clone(),
        JsonObject::from_raw(&payload).expect("an object of depth one"),
        JsonObject::EMPTY,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_endpoint::sample_endpoint;
    use tidings_domain::{id::SubscriptionId, random::SeededRandom};

    #[test]
    fn says_which_subscription_ended_why_and_when() {
        let random = SeededRandom::new(1);
        let now = UtcMillis::from_millis(1_700_000_000_123);
        let endpoint = Endpoint {
            id: SubscriptionId::parse("sub_01h455vb4pex5vsknk084sn02q").unwrap(),
            ..sample_endpoint("https://example.com/a?b='c")
        };
        let notice = subscription_disabled(&endpoint, DisabledReason::Gone, now, now, &random);
        assert_eq!(
            notice.event_type().as_str(),
            "webhook.subscription_disabled"
        );
        assert_eq!(
            (notice.company(), notice.created()),
            (&endpoint.company, now)
        );
        let payload: serde_json::Value = serde_json::from_slice(notice.payload()).unwrap();
        assert_eq!(
            payload,
            serde_json::json!({
                "subscriptionId": "sub_01h455vb4pex5vsknk084sn02q",
                "url": endpoint.url.as_str(),
                "reason": "gone",
                "sinceUtc": "2023-11-14T22:13:20.123Z",
            })
        );
    }
}
