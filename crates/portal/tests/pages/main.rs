//! The portal's pages, driven through its router over a real database.

#![expect(
    clippy::unwrap_used,
    reason = "what does not hold in a test is to fail it"
)]

mod account;
mod audit;
mod boundaries;
mod embedding;
mod entry;
mod event_types;
mod events;
mod keys;
mod live;
mod log;
mod overview;
mod platform;
mod stage;
mod users;
mod webhooks;
