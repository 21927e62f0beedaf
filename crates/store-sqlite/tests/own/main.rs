//! What this store does beyond the conformance suite: group commit, and opening files.

#[path = "../directory/mod.rs"]
mod directory;
mod group_commit;
mod opening;
mod stage;
