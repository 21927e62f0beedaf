//! Leases: who works on what, and what happens when somebody is lost.
//!
//! The file belongs to one process, so leases live in memory and renewing one writes nothing. The
//! table `leases` only makes sure that a number is never given out twice; opening the store frees
//! what earlier processes held.

use rusqlite::Connection;
use tidings_domain::time::UtcMillis;
use tidings_store::{LeaseId, Renewal};

use crate::{
    batch::{Batch, Effect},
    failure::Failure,
    load,
    memory::Memory,
};

/// A new lease.
pub(crate) fn acquire(
    batch: &mut Batch<'_, '_>,
    &(now, until): &(UtcMillis, UtcMillis),
) -> Result<LeaseId, Failure> {
    let db = batch.db()?;
    db.execute(
        "INSERT INTO leases (taken_ms) VALUES (?)",
        [now.as_millis()],
    )?;
    let lease = LeaseId(db.connection().last_insert_rowid());
    // The newest row is all that anybody needs; AUTOINCREMENT remembers the highest number.
    db.execute("DELETE FROM leases WHERE id < ?", [lease.0])?;
    batch.afterwards(Effect::PutLease(lease, until));
    Ok(lease)
}

/// Prolongs a lease that nobody has taken over.
pub(crate) fn renew(memory: &Memory, lease: LeaseId, until: UtcMillis) -> Renewal {
    match memory.leases.lock().get_mut(&lease) {
        Some(known) => {
            *known = until;
            Renewal::Held
        }
        None => Renewal::Lost,
    }
}

/// Ends a lease: what it held is free.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "every use case takes its input by reference"
)]
pub(crate) fn end(batch: &mut Batch<'_, '_>, &lease: &LeaseId) -> Result<(), Failure> {
    let until = batch.memory.leases.lock().remove(&lease);
    if let Some(until) = until {
        batch.lapse(lease, until);
    }
    free(batch, lease)
}

/// Frees what is held by leases whose time ran out, other than the asking one.
pub(crate) fn take_over_lapsed(
    batch: &mut Batch<'_, '_>,
    asking: LeaseId,
    now: UtcMillis,
) -> Result<(), Failure> {
    // Out of the map first: from here on a renewal answers that it is lost.
    let lapsed: Vec<_> = batch
        .memory
        .leases
        .lock()
        .extract_if(|&lease, until| lease != asking && *until <= now)
        .collect();
    for &(lease, until) in &lapsed {
        batch.lapse(lease, until);
    }
    for (lease, _) in lapsed {
        tracing::warn!(
            lease = lease.0,
            "a lease ran out; its deliveries are free again"
        );
        free(batch, lease)?;
    }
    Ok(())
}

fn free(batch: &mut Batch<'_, '_>, lease: LeaseId) -> Result<(), Failure> {
    batch.flush()?;
    let db = batch.db()?;
    let freed = db.execute("UPDATE queue SET holder = 0 WHERE holder = ?", [lease.0])?;
    if freed > 0 {
        for (subscription, due_ms) in waiting_now(batch, db.connection())? {
            batch.note_waiting(subscription, due_ms);
        }
        batch.wake();
    }
    Ok(())
}

/// The earliest waiting row of each subscription, as it is inside the transaction.
fn waiting_now(batch: &Batch<'_, '_>, conn: &Connection) -> Result<Vec<(i64, i64)>, Failure> {
    load::waiting(conn, &batch.memory.book.read())
}
