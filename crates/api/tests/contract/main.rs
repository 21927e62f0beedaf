//! The contract, sentence by sentence, against the router and a real store. Time stands still
//! unless a test turns it; nothing is dialled, the outbound side is scripted.

#![expect(
    clippy::unwrap_used,
    reason = "what does not hold in a test is to fail it"
)]

mod attempts;
mod audit;
mod auth;
mod batch;
mod bodies;
mod cursor;
mod event_types;
mod events;
mod fuzz;
mod harness;
mod health;
mod idempotency;
mod keys;
mod large_answers;
mod limits;
mod openapi;
mod patch;
mod portal_sessions;
mod problems;
mod rate_limits;
mod redelivery;
mod replay;
mod shares;
mod streaming;
mod subscriptions;
mod test_sends;
mod waiting;
