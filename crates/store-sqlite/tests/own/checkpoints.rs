//! The write-ahead log stays as long as it is meant to be, whoever writes without a pause.

use std::{fs, sync::Arc};

use serde_json::value::RawValue;
use tidings_domain::{event::Event, event_type::EventType, id::EventId, json_object::JsonObject};
use tidings_store::{Appended, EventLog as _, Publication};

use crate::directory::Directory;
use crate::stage::{Stage, acme, now};

/// Far more than the log holds.
const EVENTS: usize = 1000;
const EVENT_BYTES: usize = 200_000;
/// It starts afresh at some 120 MiB, and goes on meanwhile.
const LOG_BYTES_MAX: u64 = 160 << 20;

#[tokio::test]
async fn the_log_starts_afresh_under_constant_load() {
    let directory = Directory::new();
    let path = directory.database();
    let stage = Stage::open(&path);
    let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(EVENT_BYTES));
    let payload = RawValue::from_string(text).unwrap();
    let mut longest = 0;
    for _ in 0..EVENTS {
        let event = Event::new(
            EventId::new(now(), &*stage.random),
            EventType::parse("a.b").unwrap(),
            now(),
            acme(),
            JsonObject::from_raw(&payload).unwrap(),
            JsonObject::EMPTY,
        );
        let publication = Publication {
            company: acme(),
            events: vec![Arc::new(event)],
            idempotency: None,
            now: now(),
        };
        let appended = stage.store.append(publication).await;
        assert_eq!(appended, Ok(Appended::Stored));
        let log = fs::metadata(path.with_extension("db-wal")).unwrap();
        longest = longest.max(log.len());
    }
    assert!(longest <= LOG_BYTES_MAX, "{longest} bytes");
    assert_eq!(stage.metrics.events_appended.get(), EVENTS as u64);
}
