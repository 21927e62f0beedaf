//! The envelope as the description of the API shows it, and answers joined from stored bytes.
//!
//! Nothing serialises an event here: that was done once, when it was published.

use bytes::Bytes;
use utoipa::ToSchema;

use crate::openapi::{MetadataSchema, PayloadSchema};

/// An immutable record of something that happened. The members are always in this order, and the
/// bytes of `payload` and `metadata` are the publisher's.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes bytes that were serialised when the event was published"
)]
pub(crate) struct Envelope {
    /// A `TypeID` over a `UUIDv7`.
    #[schema(example = "evt_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    id: String,
    /// What happened, in lower case.
    #[schema(example = "client.created")]
    r#type: String,
    /// When it happened.
    #[schema(format = DateTime, example = "2026-11-23T08:30:00.000Z")]
    created_utc: String,
    /// Whose event it is.
    #[schema(example = "acme")]
    company_id: String,
    /// What there is to say about it.
    #[schema(value_type = PayloadSchema, inline)]
    payload: (),
    /// What is not part of the matter itself.
    #[schema(value_type = MetadataSchema, inline)]
    metadata: (),
}

/// Joins JSON values with commas, between `before` and `after`.
pub(crate) fn joined<'a>(
    before: &str,
    values: impl Iterator<Item = &'a Bytes> + Clone,
    after: &str,
) -> Bytes {
    let content: usize = values.clone().map(|value| value.len() + 1).sum();
    let mut json = Vec::with_capacity(before.len() + content + after.len());
    json.extend_from_slice(before.as_bytes());
    for (index, value) in values.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(value);
    }
    json.extend_from_slice(after.as_bytes());
    json.into()
}
