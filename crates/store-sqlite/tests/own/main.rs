//! What this store does beyond the conformance suite: group commit, opening files, and copying away.

mod copying;
#[path = "../directory/mod.rs"]
mod directory;
mod group_commit;
mod opening;
mod stage;
