//! The real program, over real sockets and real files: what no test of a part can show.
//!
//! [`program`] starts and ends the binary, [`receiver`] plays a customer's endpoint, [`tls`]
//! puts TLS in front of either, [`scratch`] gives each test a directory of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod commands;
mod crash;
mod delivery;
mod demo;
#[path = "../../src/http_client.rs"]
mod http_client;
mod program;
mod receiver;
mod scratch;
mod settings;
mod shutdown;
mod startup;
mod storage;
mod tls;
