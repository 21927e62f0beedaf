//! The courier against real sockets: what it sends, what it makes of every kind of answer, whom it
//! trusts, where it may go, and which connections it keeps.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, what cannot be unwrapped is the test's failure"
)]

mod answers;
mod environment;
mod guarding;
mod keeping;
mod names;
mod receiver;
mod sending;
mod tls;
