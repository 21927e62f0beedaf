//! Payloads against the catalog: whether what is published is what its type's schema says.
//!
//! Off unless configured. Schemas are compiled once and kept; a change by this node holds at once,
//! one by another node within [`LOOK_AFTER_MS`].

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use jsonschema::Validator;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use tidings_domain::{event_type::EventType, json_object::JsonObject, time::UtcMillis};
use tidings_store::{Store, StoreError};

use crate::problem::FieldError;

/// A catalog that was looked at so recently is not asked for its version again, in milliseconds.
const LOOK_AFTER_MS: i64 = 1000;
/// The most violations that are told, of one payload and of all payloads of a request.
const VIOLATIONS_MAX: usize = 100;
const VIOLATIONS_OF_REQUEST_MAX: usize = 1000;
/// The most characters of what is said of a violation: a rule is repeated in it, and may be large.
const VIOLATION_CHARS_MAX: usize = 300;
/// A type whose payloads break its schema is written to the log so often at the most, in
/// milliseconds.
const WARN_AFTER_MS: i64 = 60_000;

/// What becomes of a payload that breaks its type's schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatalogEnforcement {
    /// Nothing: it is not looked at.
    #[default]
    Off,
    /// It is published, counted, and told in the log.
    Warn,
    /// It is refused.
    Reject,
}

/// Judges payloads.
pub(crate) struct PayloadCheck {
    mode: CatalogEnforcement,
    known: Mutex<Known>,
    violations: Counter,
}

#[derive(Default)]
struct Known {
    looked: Option<UtcMillis>,
    version: Option<i64>,
    validators: Arc<HashMap<EventType, Arc<Validator>>>,
    warned: HashMap<EventType, UtcMillis>,
}

impl PayloadCheck {
    /// Knowing nothing yet. `violations` counts payloads that break their schema.
    pub(crate) fn new(mode: CatalogEnforcement, violations: Counter) -> Self {
        Self {
            mode,
            known: Mutex::default(),
            violations,
        }
    }

    /// The catalog was changed here.
    pub(crate) fn forget(&self) {
        self.known.lock().looked = None;
    }

    /// What is wrong with payloads of these types, each at the pointer of its event within the
    /// request. Empty where nothing is, or where nobody wants to know.
    pub(crate) async fn judge<'e>(
        &self,
        store: &dyn Store,
        now: UtcMillis,
        events: impl Iterator<Item = (String, &'e EventType, JsonObject<'e>)>,
    ) -> Result<Vec<FieldError>, StoreError> {
        if self.mode == CatalogEnforcement::Off {
            return Ok(Vec::new());
        }
        let validators = self.validators(store, now).await?;
        if validators.is_empty() {
            return Ok(Vec::new());
        }
        let mut errors = Vec::new();
        for (pointer, event_type, payload) in events {
            let Some(validator) = validators.get(event_type) else {
                continue;
            };
            let found = violations(validator, payload, &pointer);
            if found.is_empty() {
                continue;
            }
            self.violations.inc();
            match self.mode {
                CatalogEnforcement::Reject => errors.extend(found),
                _ => self.warn(event_type, &found, now),
            }
            // What is to be told stays bounded, whatever a batch holds.
            if errors.len() >= VIOLATIONS_OF_REQUEST_MAX {
                errors.truncate(VIOLATIONS_OF_REQUEST_MAX);
                break;
            }
        }
        Ok(errors)
    }

    async fn validators(
        &self,
        store: &dyn Store,
        now: UtcMillis,
    ) -> Result<Arc<HashMap<EventType, Arc<Validator>>>, StoreError> {
        {
            let known = self.known.lock();
            let looked = known.looked.map(|looked| now.since(looked));
            if looked.is_some_and(|ago| (0..LOOK_AFTER_MS).contains(&ago)) {
                return Ok(Arc::clone(&known.validators));
            }
        }
        let version = store.catalog_version().await?;
        if self.known.lock().version != Some(version) {
            let types = store.event_types().await?;
            let compiled = types.into_iter().filter_map(|entry| {
                let schema = serde_json::from_str(entry.schema.as_deref()?).ok()?;
                // It was compiled once before it was stored.
                let validator = compile(&schema).ok()?;
                Some((entry.name, Arc::new(validator)))
            });
            let validators = Arc::new(compiled.collect());
            let mut known = self.known.lock();
            known.validators = validators;
            known.version = Some(version);
        }
        let mut known = self.known.lock();
        known.looked = Some(now);
        Ok(Arc::clone(&known.validators))
    }

    fn warn(&self, event_type: &EventType, found: &[FieldError], now: UtcMillis) {
        {
            let warned = &mut self.known.lock().warned;
            let last = warned.get(event_type).map(|last| now.since(*last));
            if last.is_some_and(|ago| ago < WARN_AFTER_MS) {
                return;
            }
            warned.insert(event_type.clone(), now);
        }
        // Pointers and rules, never what was published.
        let first = found.first().map(|error| error.pointer.as_str());
        tracing::warn!(
            %event_type,
            violations = found.len(),
            first,
            "a payload breaks its type's schema"
        );
    }
}

/// Whether a text is a schema that payloads can be judged by; if not, why.
pub(crate) fn check_schema(text: &str) -> Result<(), Cow<'static, str>> {
    let schema: Value =
        serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    compile(&schema).map(drop)
}

fn compile(schema: &Value) -> Result<Validator, Cow<'static, str>> {
    jsonschema::draft202012::meta::validate(schema)
        .map_err(|error| format!("is no JSON Schema (2020-12): {error}"))?;
    // Nothing is fetched from elsewhere: a schema stands for itself.
    let compiled = jsonschema::draft202012::new(schema);
    compiled.map_err(|error| format!("cannot be used: {error}").into())
}

fn violations(validator: &Validator, payload: JsonObject<'_>, pointer: &str) -> Vec<FieldError> {
    let Ok(value) = serde_json::from_str::<Value>(payload.as_str()) else {
        // Numbers beyond every range, for example: what cannot be looked at breaks the schema.
        return vec![FieldError {
            pointer: format!("{pointer}/payload"),
            detail: "cannot be judged by its type's schema".into(),
        }];
    };
    let errors = validator.iter_errors(&value).take(VIOLATIONS_MAX);
    errors
        .map(|error| FieldError {
            pointer: format!("{pointer}/payload{}", error.instance_path()),
            detail: told(&error.masked().to_string()).into(),
        })
        .collect()
}

/// What is said of a violation.
fn told(rule: &str) -> String {
    let mut told = format!("breaks the schema of its type: {rule}");
    if let Some((end, _)) = told.char_indices().nth(VIOLATION_CHARS_MAX) {
        told.truncate(end);
        told.push('…');
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_violation_is_short() {
        assert!(told("is wrong").ends_with("type: is wrong"));
        let names: Vec<String> = (0..1000).map(|n| format!("é{n}")).collect();
        let schema = serde_json::json!({"not": {"not": {"required": names}}});
        let validator = compile(&schema).unwrap();
        let found = violations(&validator, JsonObject::EMPTY, "");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].detail.chars().count(), VIOLATION_CHARS_MAX + 1);
        assert!(found[0].detail.ends_with('…'));
    }

    #[test]
    fn a_schema_must_be_one_and_stand_for_itself() {
        assert!(check_schema(r#"{"type":"object","required":["id"]}"#).is_ok());
        for text in [
            r#"{"type":"thing"}"#,
            r#"{"properties":[]}"#,
            r#"{"$ref":"https://example.com/other.json"}"#,
            r##"{"$ref":"#/$defs/missing"}"##,
            r#"{"pattern":"("}"#,
        ] {
            assert!(check_schema(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_violation_is_told_with_its_pointer() {
        let schema = serde_json::json!({
            "type": "object",
            "required": ["id"],
            "properties": {"amount": {"type": "number", "minimum": 0}, "tags": {"items": {"type": "string"}}}
        });
        let validator = compile(&schema).unwrap();
        let raw: &serde_json::value::RawValue =
            serde_json::from_str(r#"{"amount": -1, "tags": ["a", 2]}"#).unwrap();
        let found = violations(&validator, JsonObject::from_raw(raw).unwrap(), "/events/3");
        let mut pointers: Vec<&str> = found.iter().map(|error| error.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(
            pointers,
            [
                "/events/3/payload",
                "/events/3/payload/amount",
                "/events/3/payload/tags/1"
            ]
        );
    }
}
