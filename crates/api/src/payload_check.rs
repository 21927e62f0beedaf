//! Payloads against the catalog: whether what is published is what its type's schema says.
//!
//! Off unless configured. Schemas are compiled once and kept. One request at a time looks whether
//! the catalog has changed, and compiles what has, off the threads that serve; meanwhile others go
//! by what was known. A change by this node holds at once, so they wait for that; one by another
//! node holds after [`LOOK_AFTER_MS`] and the time that compiling takes.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use jsonschema::Validator;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use tidings_domain::{
    catalog::CatalogType, event_type::EventType, json_object::JsonObject, time::UtcMillis,
};
use tidings_store::{Store, StoreError};
use tokio::sync::OwnedMutexGuard;

use crate::problem::FieldError;

/// A catalog that was looked at so recently is not asked for its version again, in milliseconds.
const LOOK_AFTER_MS: i64 = 1000;
/// The most violations that are told, of one payload and of all payloads of a request.
const VIOLATIONS_MAX: usize = 100;
const VIOLATIONS_OF_REQUEST_MAX: usize = 1000;
/// The most characters of what is said of a violation: a rule is repeated in it, and may be large.
const VIOLATION_CHARS_MAX: usize = 300;
/// What a schema may say that it is written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
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
    known: Arc<Mutex<Known>>,
    /// Held by whoever looks at the catalog.
    looking: Arc<tokio::sync::Mutex<()>>,
    violations: Counter,
}

#[derive(Default)]
struct Known {
    /// When the catalog was looked at; none where it was changed here since.
    looked: Option<UtcMillis>,
    /// How often it was changed here.
    changes: u64,
    version: Option<i64>,
    schemas: Arc<Schemas>,
    warned: HashMap<EventType, UtcMillis>,
}

/// The schemas of the types that have one.
type Schemas = HashMap<EventType, Arc<Schema>>;

#[derive(Debug)]
struct Schema {
    /// SHA-256 of its text: what did not change is not compiled again.
    digest: Vec<u8>,
    validator: Validator,
}

impl Known {
    /// The schemas, where they were looked at lately.
    fn fresh(&self, now: UtcMillis) -> Option<Arc<Schemas>> {
        let ago = now.since(self.looked?);
        let lately = (0..LOOK_AFTER_MS).contains(&ago);
        lately.then(|| Arc::clone(&self.schemas))
    }

    /// Notes a look that began after so many changes. One that began before the last of them may
    /// not have seen it.
    fn looked_at(&mut self, now: UtcMillis, changes: u64) {
        if self.changes == changes {
            self.looked = Some(now);
        }
    }
}

impl PayloadCheck {
    /// Knowing nothing yet. `violations` counts payloads that break their schema.
    pub(crate) fn new(mode: CatalogEnforcement, violations: Counter) -> Self {
        Self {
            mode,
            known: Arc::default(),
            looking: Arc::default(),
            violations,
        }
    }

    /// The catalog was changed here.
    pub(crate) fn forget(&self) {
        let mut known = self.known.lock();
        known.looked = None;
        known.changes += 1;
    }

    /// Whether payloads that break their schema are refused.
    pub(crate) fn refuses(&self) -> bool {
        self.mode == CatalogEnforcement::Reject
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
        let schemas = self.schemas(store, now).await?;
        if schemas.is_empty() {
            return Ok(Vec::new());
        }
        let mut errors = Vec::new();
        for (pointer, event_type, payload) in events {
            let Some(schema) = schemas.get(event_type) else {
                continue;
            };
            let found = violations(&schema.validator, payload, &pointer);
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

    /// The schemas of the catalog as it is, or was a moment ago.
    async fn schemas(&self, store: &dyn Store, now: UtcMillis) -> Result<Arc<Schemas>, StoreError> {
        let turn = match self.turn(now).await {
            Ok(turn) => turn,
            Err(known) => return Ok(known),
        };
        let (changes, version, old) = {
            let known = self.known.lock();
            (known.changes, known.version, Arc::clone(&known.schemas))
        };
        let newest = store.catalog_version().await?;
        if version == Some(newest) {
            self.known.lock().looked_at(now, changes);
            return Ok(old);
        }
        let types = store.event_types().await?;
        let known = Arc::clone(&self.known);
        // Goes on to its end though the request that began it may be given up.
        let compiling = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let schemas = Arc::new(compile_all(types, &old));
            let mut known = known.lock();
            known.schemas = Arc::clone(&schemas);
            known.version = Some(newest);
            known.looked_at(now, changes);
            schemas
        });
        let broken = |error| StoreError::Broken(format!("the catalog's schemas: {error}"));
        compiling.await.map_err(broken)
    }

    /// The turn to look at the catalog; or what is known, where that will do.
    async fn turn(&self, now: UtcMillis) -> Result<OwnedMutexGuard<()>, Arc<Schemas>> {
        let old = {
            let known = self.known.lock();
            if let Some(fresh) = known.fresh(now) {
                return Err(fresh);
            }
            known.looked.map(|_| Arc::clone(&known.schemas))
        };
        let looking = Arc::clone(&self.looking);
        let turn = match (Arc::clone(&looking).try_lock_owned(), old) {
            (Ok(turn), _) => turn,
            (Err(_), Some(old)) => return Err(old),
            (Err(_), None) => looking.lock_owned().await,
        };
        // Whoever waited finds what the other has found.
        match self.known.lock().fresh(now) {
            Some(fresh) => Err(fresh),
            None => Ok(turn),
        }
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

/// The schemas of a catalog; those that did not change are taken over.
fn compile_all(types: Vec<CatalogType>, old: &Schemas) -> Schemas {
    let compiled = types.into_iter().filter_map(|entry| {
        let text = entry.schema?;
        let sum = digest(&SHA256, text.as_bytes());
        if let Some(same) = old.get(&entry.name)
            && same.digest == sum.as_ref()
        {
            return Some((entry.name, Arc::clone(same)));
        }
        // It was compiled once before it was stored.
        let validator = compile(&serde_json::from_str(&text).ok()?).ok()?;
        let digest = sum.as_ref().to_vec();
        Some((entry.name, Arc::new(Schema { digest, validator })))
    });
    compiled.collect()
}

/// Whether a text is a schema that payloads can be judged by; if not, why.
pub(crate) fn check_schema(text: &str) -> Result<(), Cow<'static, str>> {
    let schema: Value =
        serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    compile(&schema).map(drop)
}

fn compile(schema: &Value) -> Result<Validator, Cow<'static, str>> {
    if let Some(dialect) = schema.get("$schema")
        && dialect.as_str().map(|uri| uri.trim_end_matches('#')) != Some(DIALECT)
    {
        return Err(
            format!("must be a JSON Schema (2020-12), with $schema {DIALECT} or none").into(),
        );
    }
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

    fn at(ms: i64) -> UtcMillis {
        UtcMillis::from_millis(ms)
    }

    fn entry(name: &str, schema: Option<&str>) -> CatalogType {
        CatalogType {
            name: EventType::parse(name).unwrap(),
            description: String::new(),
            sample_payload: None,
            schema: schema.map(str::to_owned),
            deprecated: false,
        }
    }

    #[tokio::test]
    async fn one_looks_and_others_go_by_what_was_known() {
        let check = PayloadCheck::new(CatalogEnforcement::Reject, Counter::default());
        let first = check.turn(at(0)).await.unwrap();
        // Nothing is known yet, so others wait.
        let mut other = Box::pin(check.turn(at(0)));
        assert!(futures_util::poll!(other.as_mut()).is_pending());
        check.known.lock().looked_at(at(0), 0);
        drop(first);
        assert!(other.await.is_err(), "it finds what the first has found");
        assert!(check.turn(at(LOOK_AFTER_MS - 1)).await.is_err());
        let turn = check.turn(at(LOOK_AFTER_MS)).await.unwrap();
        assert!(
            check.turn(at(LOOK_AFTER_MS)).await.is_err(),
            "does not wait"
        );
        // A change here is waited for, and the look that began before it does not count.
        check.forget();
        let mut other = Box::pin(check.turn(at(LOOK_AFTER_MS)));
        assert!(futures_util::poll!(other.as_mut()).is_pending());
        check.known.lock().looked_at(at(LOOK_AFTER_MS), 0);
        drop(turn);
        assert!(other.await.is_ok(), "it looks itself");
    }

    #[test]
    fn what_did_not_change_is_not_compiled_again() {
        let (object, string) = (r#"{"type":"object"}"#, r#"{"type":"string"}"#);
        let name = |text| EventType::parse(text).unwrap();
        let types = vec![
            entry("a.same", Some(object)),
            entry("a.changed", Some(object)),
            entry("a.gone", Some(object)),
            entry("a.none", None),
        ];
        let old = compile_all(types, &Schemas::default());
        assert_eq!(old.len(), 3);
        let types = vec![
            entry("a.same", Some(object)),
            entry("a.changed", Some(string)),
            entry("a.none", None),
        ];
        let new = compile_all(types, &old);
        assert_eq!(new.len(), 2);
        let (same, changed) = (name("a.same"), name("a.changed"));
        assert!(Arc::ptr_eq(&old[&same], &new[&same]));
        let value = serde_json::json!("text");
        assert!(new[&changed].validator.is_valid(&value));
        assert!(!old[&changed].validator.is_valid(&value));
    }

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
