//! The event envelope: one immutable record of something that happened, and its one JSON form.

use std::{fmt, ops::Range};

use bytes::Bytes;

use crate::{
    company::CompanyId, event_type::EventType, id::EventId, json_object::JsonObject,
    time::UtcMillis,
};

/// An event with its envelope already serialised. The JSON is built once, here; every answer, poll
/// and attempt sends these bytes, and a clone shares them.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    id: EventId,
    event_type: EventType,
    created: UtcMillis,
    company: CompanyId,
    json: Bytes,
    payload: Range<usize>,
    metadata: Range<usize>,
}

impl Event {
    /// Builds the envelope; `payload` and `metadata` go in byte for byte.
    #[must_use]
    pub fn new(
        id: EventId,
        event_type: EventType,
        created: UtcMillis,
        company: CompanyId,
        payload: JsonObject<'_>,
        metadata: JsonObject<'_>,
    ) -> Self {
        Self::from_stored(
            id,
            event_type,
            created,
            company,
            payload.as_str(),
            metadata.as_str(),
        )
    }

    /// Builds the envelope from a store's columns, which hold what [`Event::payload`] and
    /// [`Event::metadata`] gave when the event was appended.
    #[must_use]
    pub fn from_stored(
        id: EventId,
        event_type: EventType,
        created: UtcMillis,
        company: CompanyId,
        payload: &str,
        metadata: &str,
    ) -> Self {
        use std::fmt::Write as _;
        const AROUND_BYTES: usize = 160;
        let names = event_type.as_str().len() + company.as_str().len();
        let mut json = String::with_capacity(AROUND_BYTES + names + payload.len() + metadata.len());
        // Type and company id have no character that JSON would escape. Writing to a String
        // cannot fail.
        let _ = write!(
            json,
            r#"{{"id":"{id}","type":"{event_type}","createdUtc":"{created}","companyId":"{company}","payload":"#
        );
        let payload_start = json.len();
        json.push_str(payload);
        let payload = payload_start..json.len();
        json.push_str(r#","metadata":"#);
        let metadata_start = json.len();
        json.push_str(metadata);
        let metadata = metadata_start..json.len();
        json.push('}');
        Self {
            id,
            event_type,
            created,
            company,
            json: json.into(),
            payload,
            metadata,
        }
    }

    /// `evt_…`.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.id
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// When it happened, as the publisher says.
    #[must_use]
    pub fn created(&self) -> UtcMillis {
        self.created
    }

    /// Whose event it is.
    #[must_use]
    pub fn company(&self) -> &CompanyId {
        &self.company
    }

    /// The whole envelope: the body of every attempt.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The payload's bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.json[self.payload.clone()]
    }

    /// The metadata's bytes.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        &self.json[self.metadata.clone()]
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn the_envelope_has_its_order_and_keeps_its_bytes() {
        let payload = RawValue::from_string(r#"{"amount": 99.00}"#.to_owned()).unwrap();
        let event = Event::new(
            EventId::parse("evt_01h455vb4pex5vsknk084sn02q").unwrap(),
            EventType::parse("payment.failed").unwrap(),
            UtcMillis::from_millis(1_700_000_000_123),
            CompanyId::parse("acme").unwrap(),
            JsonObject::from_raw(&payload).unwrap(),
            JsonObject::EMPTY,
        );
        assert_eq!(
            std::str::from_utf8(event.json()).unwrap(),
            r#"{"id":"evt_01h455vb4pex5vsknk084sn02q","type":"payment.failed","createdUtc":"2023-11-14T22:13:20.123Z","companyId":"acme","payload":{"amount": 99.00},"metadata":{}}"#
        );
        assert_eq!(event.payload(), br#"{"amount": 99.00}"#);
        assert_eq!(event.metadata(), b"{}");
    }
}
