//! The catalog of event types: what the platform says it publishes, for people and for pickers.
//!
//! Publishing a type that is not listed is allowed. A fresh database begins with the types that
//! [`shipped`] gives, which may be changed and deleted as any other.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{event_type::EventType, json_object::JsonObject};

/// The most characters of a description.
pub const TYPE_DESCRIPTION_CHARS_MAX: usize = 1000;
/// The most bytes of a schema or a sample.
pub const TYPE_DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// The most types that a catalog lists.
pub const CATALOG_TYPES_MAX: usize = 1000;

/// One event type of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogType {
    /// Its name.
    pub name: EventType,
    /// What it means, for people.
    pub description: String,
    /// A payload as it may be: a JSON object, byte for byte as it was given.
    pub sample_payload: Option<String>,
    /// What a payload must be like: a JSON Schema (2020-12), byte for byte as it was given.
    pub schema: Option<String>,
    /// Whether it should not be used any more.
    pub deprecated: bool,
}

impl CatalogType {
    /// The sample as a payload.
    #[must_use]
    pub fn sample(&self) -> Option<JsonObject<'_>> {
        let raw: &RawValue = serde_json::from_str(self.sample_payload.as_deref()?).ok()?;
        JsonObject::from_raw(raw).ok()
    }
}

const SHIPPED: &str = include_str!("shipped_types.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shipped<'a> {
    name: &'a str,
    description: String,
    #[serde(borrow)]
    sample_payload: &'a RawValue,
}

/// The types of a CRM that a fresh database begins with.
#[must_use]
pub fn shipped() -> Vec<CatalogType> {
    // A part of the program; a test reads it.
    let types: Vec<Shipped<'_>> = serde_json::from_str(SHIPPED).unwrap_or_default();
    let types = types.into_iter().filter_map(|shipped| {
        Some(CatalogType {
            name: EventType::parse(shipped.name).ok()?,
            description: shipped.description,
            sample_payload: Some(
                JsonObject::from_raw(shipped.sample_payload)
                    .ok()?
                    .as_str()
                    .to_owned(),
            ),
            schema: None,
            deprecated: false,
        })
    });
    types.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_types_are_shipped() {
        let types = shipped();
        let names: Vec<&str> = types.iter().map(|shipped| shipped.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "client.created",
                "client.status_changed",
                "lead.created",
                "invoice.created",
                "invoice.status_changed",
                "payment.succeeded",
                "payment.failed",
                "document.uploaded",
                "agreement.signed",
                "affiliate.created",
            ]
        );
        for shipped in types {
            assert!(!shipped.description.is_empty());
            let sample = shipped.sample().expect("a sample");
            assert!(sample.as_str().len() <= TYPE_DOCUMENT_BYTES_MAX);
        }
    }
}
