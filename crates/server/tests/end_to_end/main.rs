//! The real program, over real sockets and real files: what no test of a part can show.
//!
//! [`program`] starts and ends the binary, [`home`] is the database it works on, [`fleet`] several
//! of them on one under load, [`receiver`] plays a customer's endpoint, [`tls`] puts TLS in front of
//! either, [`scratch`] gives each test a directory of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod client_address;
mod commands;
mod copy;
mod crash;
mod database_trouble;
mod delivery;
mod demo;
mod documents;
mod equal_servers;
mod figures;
mod fleet;
mod home;
#[path = "../../src/http_client.rs"]
mod http_client;
mod listen;
mod node_loss;
mod portal;
mod program;
mod receiver;
mod receivers;
mod rolling_restart;
mod scratch;
mod settings;
mod shutdown;
mod startup;
mod startup_postgresql;
mod storage;
mod tls;
mod users;
mod wrong_clock;
