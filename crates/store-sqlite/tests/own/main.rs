//! What this store does beyond the conformance suite: group commit, checkpoints, opening files,
//! filing attempts, copying away, and when figures reach the file.

mod beside;
mod checkpoints;
mod copying;
#[path = "../directory/mod.rs"]
mod directory;
mod figures;
mod filed_attempts;
mod group_commit;
mod opening;
mod stage;
