//! What is this store's own: partitions, several nodes, and that it answers as the other one does.

mod both_stores;
mod busy_reads;
mod companies;
mod cut_off;
mod delivering_again;
#[path = "../../../store-sqlite/tests/directory/mod.rs"]
mod directory;
mod figures;
mod group_commit;
#[path = "../harness/mod.rs"]
mod harness;
mod listening;
mod log_places;
mod nodes;
mod opening;
mod partitions;
mod people;
mod queue_size;
mod reading;
mod searching;
mod several_nodes;
mod stage;
