//! What touches nothing but memory.

use std::hint::black_box;

use bytes::Bytes;
use tidings_domain::{
    event_type::{EventType, EventTypePattern},
    id::EventId,
    matching::MatchIndex,
    random::SeededRandom,
    secret::Secret,
    signing::Signer,
    time::UtcMillis,
};

/// Who wants an event, among 1000 subscriptions of which 12 do.
pub(crate) fn match_events(count: usize) -> anyhow::Result<()> {
    let mut index = MatchIndex::default();
    for number in 0..1000_i64 {
        let pattern = match number % 100 {
            0 => "*".to_owned(),
            1 => "client.*".to_owned(),
            _ => format!("invoice.kind_{number}"),
        };
        index.insert(&number, &[EventTypePattern::parse(&pattern)?]);
    }
    let event_type = EventType::parse("client.created")?;
    for _ in 0..count {
        black_box(index.matches(black_box(&event_type)));
    }
    Ok(())
}

/// Both signatures over a body of 1 KiB.
pub(crate) fn sign(count: usize) {
    let random = SeededRandom::new(1);
    let now = UtcMillis::from_millis(1_769_846_400_000);
    let signer = Signer::new(&Secret::generate(&random), None);
    let id = EventId::new(now, &random);
    let body = Bytes::from(vec![b'x'; 1024]);
    for _ in 0..count {
        let signatures = signer.sign(id, now, black_box(&body));
        black_box((signatures.standard_header(), signatures.hub_header()));
    }
}
