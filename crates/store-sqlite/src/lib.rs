//! The store on one SQLite file.
//!
//! One thread writes, and commits in groups (`writer`); a few others read, each from its own
//! connection (`reads`); one moves the log into the file (`checkpoint`). Every use case has a
//! module of its own, runs inside a transaction in the making (`batch`), and touches memory
//! (`memory`) only once it is committed. What the store must do, its traits say
//! (`tidings-store`), and `tidings-store-conformance` tests.
//!
//! The file belongs to one server at a time, which is why leases can live in memory and numbers
//! can be given out without asking the database.

mod append;
mod attempt_lookups;
mod attempt_rows;
mod attempts;
mod audit_rows;
mod backlog;
mod batch;
mod beside;
mod bulk;
mod catalog;
mod checkpoint;
mod claim;
mod copy_rows;
mod copy_source;
mod dashboards;
mod database;
mod event_rows;
mod failure;
#[cfg(test)]
mod fault_tests;
mod figure_memory;
mod figure_rows;
mod health;
mod job;
mod key_rows;
mod keys;
mod leases;
mod links;
mod load;
mod log_index;
mod memory;
mod merge;
mod open;
mod places;
mod poll;
mod portal_chores;
mod portal_copy_rows;
mod portal_surface;
mod probe;
mod queue_rows;
mod reads;
mod redelivery;
mod replay;
mod round_rows;
mod schema;
mod search;
#[cfg(test)]
mod search_tests;
mod sessions;
mod settle;
mod state;
mod store;
mod subscription_reads;
mod subscription_rows;
mod subscriptions;
mod surface;
mod tidy;
mod trace;
mod users;
mod waiting;
mod window;
mod writer;

pub use beside::Beside;
pub use copy_source::SqliteSource;
pub use open::{MigrationReport, OpenError, SqliteOptions};
pub use store::SqliteStore;
