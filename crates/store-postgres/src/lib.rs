//! The store on one PostgreSQL that any number of nodes share.
//!
//! One task of each node writes, and commits in groups (`writer`); everything else borrows a
//! connection from a pool (`database`) and makes short transactions of its own; what deliveries
//! depend on has a small pool for itself. A task beside them listens for what other nodes do
//! (`watch`). Every use case has a module of its own. What the store must do, its traits say
//! (`tidings-store`), and `tidings-store-conformance` tests.
//!
//! Nodes keep the book in memory (`memory`), and it can be behind. What must not be wrong is
//! guarded by versions in the one row that publishing takes a lock on, the head of the log.

mod append;
mod attempt_lines;
mod attempt_rows;
mod attempts;
mod audit_log;
mod backlog;
mod beside;
mod book_change;
mod catalog;
mod claim;
mod clock;
mod columns;
mod companies;
mod copy_target;
mod database;
mod dead_rows;
mod doubt;
mod entry_links;
mod event_rows;
mod expired;
mod failure;
mod figure_reads;
mod figures;
mod gone;
mod group;
mod health;
mod job;
mod key_rows;
mod keys;
mod leases;
mod link;
mod log_places;
mod look;
mod memory;
mod merged;
mod old_rows;
mod open;
mod partitions;
mod people;
mod placed_attempts;
mod poll;
mod portal_surface;
mod probe;
mod queue_rows;
mod redelivery;
mod refresh;
mod release;
mod replay_count;
mod reserve;
mod schema;
mod search;
mod sessions;
mod settle;
mod store;
mod subscription_reads;
mod subscription_rows;
mod subscriptions;
mod surface;
mod tidy;
mod trace;
mod users;
mod waiting;
mod watch;
mod window;
mod writer;

pub use beside::KeysBeside;
pub use copy_target::PostgresCopyTarget;
pub use open::{MigrationReport, OpenError, PostgresOptions};
pub use store::PostgresStore;
