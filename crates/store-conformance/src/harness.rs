//! What the suite needs to know about the store under test: how to make an empty one, and how to
//! open the same database once more. Each store's own `tests/conformance.rs` says so.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use tidings_store::Store;

/// How long a case may take before it counts as hung.
const CASE_SECONDS_MAX: u64 = 120;

/// One database for one case. The suite makes a harness with [`Default`] for every case, calls
/// [`Harness::fresh`] on it once and first, and drops it at the end.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// A store on an empty database of this harness's own. Its encryption key and its random
    /// source are the harness's choice, but must be the same (the key) or go on (the random
    /// source) when it is opened again.
    async fn fresh(&self) -> Arc<dyn Store>;

    /// Opens the database of `store` once more. `store` is the only handle on it that is left.
    ///
    /// `cleanly`: after [`tidings_store::Upkeep::close`]. Otherwise as after a crash: dropped with
    /// neither a close nor an end to its leases; what it had not answered may be lost.
    async fn reopen(&self, store: Arc<dyn Store>, cleanly: bool) -> Arc<dyn Store>;

    /// Every byte that the database keeps: its files, or a dump of all rows with binary columns
    /// as they are. Asked for while the store is open.
    async fn at_rest(&self) -> Vec<u8>;
}

/// Runs one case on a runtime of its own with two workers, so that tasks meet in earnest.
pub(crate) fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a machine that runs tests has threads");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(CASE_SECONDS_MAX), case)
            .await
            .expect("the case ends in time");
    });
}
