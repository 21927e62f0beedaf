//! Test events: what a subscription is sent to see whether its receiver works. Such an event is
//! stored nowhere.

use crate::{
    event::Event,
    event_type::{EventType, EventTypePattern},
    id::EventId,
    json_object::JsonObject,
    random::Random,
    subscription::Subscription,
    time::UtcMillis,
};

/// The type of a test where neither the caller nor the subscription names one.
const DEFAULT_TYPE: &str = "webhook.test";

/// What a test event holds where nobody says otherwise.
pub const SAMPLE_PAYLOAD: JsonObject<'static> =
    JsonObject::trusted(r#"{"message":"This is a test event."}"#);

/// By which receivers tell it from others.
const METADATA: JsonObject<'static> = JsonObject::trusted(r#"{"test":true}"#);

/// A test event for a subscription. Without a type it has [`default_type`].
#[must_use]
pub fn test_event(
    subscription: &Subscription,
    event_type: Option<EventType>,
    payload: JsonObject<'_>,
    now: UtcMillis,
    random: &dyn Random,
) -> Event {
    let event_type = event_type.unwrap_or_else(|| default_type(subscription));
    let company = subscription.company.clone();
    let id = EventId::new(now, random);
    Event::new(id, event_type, now, company, payload, METADATA)
}

/// The first type that the subscription names exactly, or `webhook.test`.
#[must_use]
pub fn default_type(subscription: &Subscription) -> EventType {
    let mut patterns = subscription.event_types.patterns().iter();
    let exact = patterns.find_map(|pattern| match pattern {
        EventTypePattern::Exactly(exact) => Some(exact.clone()),
        EventTypePattern::All | EventTypePattern::Below(_) => None,
    });
    exact.unwrap_or_else(|| EventType::parse(DEFAULT_TYPE).expect("the constant is a type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        breaker::EndpointHealth,
        company::CompanyId,
        id::SubscriptionId,
        random::SeededRandom,
        subscription::{EventTypes, ManagedBy},
        target::TargetUrl,
    };

    fn subscription(types: &[&str]) -> Subscription {
        let now = UtcMillis::from_millis(0);
        let patterns = types.iter().map(|text| EventTypePattern::parse(text));
        Subscription {
            id: SubscriptionId::new(now, &SeededRandom::new(1)),
            company: CompanyId::parse("acme").unwrap(),
            url: TargetUrl::from_stored("https://example.com/").unwrap(),
            event_types: EventTypes::new(patterns.collect::<Result<_, _>>().unwrap()).unwrap(),
            description: None,
            enabled: true,
            disabled_reason: None,
            managed_by: ManagedBy::Api,
            max_per_second: None,
            health: EndpointHealth::default(),
            created: now,
            updated: now,
            version: 1,
        }
    }

    #[test]
    fn the_first_exact_type_is_sent_where_nobody_says_otherwise() {
        let type_of = |types: &[&str]| default_type(&subscription(types)).to_string();
        assert_eq!(type_of(&["client.*", "a.b", "c.d"]), "a.b");
        assert_eq!(type_of(&["*", "client.*"]), "webhook.test");
    }

    #[test]
    fn a_test_event_says_that_it_is_one() {
        let (now, random) = (UtcMillis::from_millis(7), SeededRandom::new(2));
        let event = test_event(&subscription(&["*"]), None, SAMPLE_PAYLOAD, now, &random);
        let json: serde_json::Value = serde_json::from_slice(event.json()).unwrap();
        assert_eq!(json["metadata"]["test"], true);
        assert_eq!(json["payload"]["message"], "This is a test event.");
        assert_eq!(json["type"], "webhook.test");
        assert_eq!(json["companyId"], "acme");
    }
}
