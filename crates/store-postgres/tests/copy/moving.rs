//! Plans of the conformance suite that begin on a file and end on PostgreSQL, with a copy at one
//! of their reopens. The model behind the plan knows nothing of it, so every answer after the move
//! must be the one that the file would have given: pages beyond a place that a poller was given
//! before, traces, the delivery log, promises, secrets, what is owed.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_domain::random::{Random, SeededRandom};
use tidings_store::{
    Store,
    copy::{CopyTable, Start},
};
use tidings_store_conformance::{Harness, plan};
use tidings_test_cluster::{Cluster, Database};

use crate::ends::{Directory, copy_all, copy_some, open_postgres, open_sqlite};

const OPERATIONS: usize = 1500;

/// A file that moves.
struct Moving {
    directory: Directory,
    database: Database,
    random: Arc<dyn Random>,
    /// Reopens on the file before the move.
    reopens_left: Mutex<usize>,
    /// After how many writes the copy is interrupted, each time it is run.
    interruptions: Vec<usize>,
}

impl Moving {
    fn after(reopens: usize, interruptions: &[usize]) -> Self {
        Self {
            directory: Directory::new(),
            database: Cluster::shared().database(),
            random: Arc::new(SeededRandom::new(1)),
            reopens_left: Mutex::new(reopens),
            interruptions: interruptions.to_vec(),
        }
    }

    /// Whether it is on the file still at the next reopen; counts it.
    fn stays(&self) -> Option<bool> {
        let mut left = self.reopens_left.lock();
        match *left {
            0 => None,
            1 => {
                *left = 0;
                Some(false)
            }
            _ => {
                *left -= 1;
                Some(true)
            }
        }
    }

    async fn move_over(&self) {
        let (path, url) = (self.directory.database(), self.database.url());
        for writes in &self.interruptions {
            copy_some(&path, url, *writes).await;
        }
        let outcome = copy_all(&path, url).await.expect("it is copied");
        let expected = if self.interruptions.is_empty() {
            Start::Afresh
        } else {
            Start::GoingOn
        };
        assert_eq!(outcome.start, expected);
        for table in CopyTable::ALL {
            let rows = outcome.progress[table].rows;
            assert_eq!(rows, outcome.survey.tally.rows[table], "{table:?}");
            // Nobody calls or visits in a plan.
            let needed = !matches!(
                table,
                CopyTable::Keys | CopyTable::Users | CopyTable::Links | CopyTable::Sessions
            );
            assert!(rows > 0 || !needed, "the plan shows nothing of {table:?}");
        }
        let again = copy_all(&path, url).await.expect("it is there");
        assert_eq!(again.start, Start::Finished);
    }
}

#[async_trait]
impl Harness for Moving {
    async fn fresh(&self) -> Arc<dyn Store> {
        Arc::new(open_sqlite(&self.directory.database(), &self.random))
    }

    async fn reopen(&self, store: Arc<dyn Store>, cleanly: bool) -> Arc<dyn Store> {
        let stays = self.stays();
        // A source is copied when its server has ended; an end without a close leaves its holders.
        if cleanly || stays != Some(false) {
            store.close().await.expect("it closes");
        }
        drop(store);
        match stays {
            Some(true) => self.fresh().await,
            Some(false) => {
                self.move_over().await;
                self.moved().await
            }
            None => self.moved().await,
        }
    }

    async fn at_rest(&self) -> Vec<u8> {
        panic!("plans do not ask for it")
    }
}

impl Moving {
    async fn moved(&self) -> Arc<dyn Store> {
        let opened = open_postgres(self.database.url(), &self.random).await;
        Arc::new(opened.expect("the copy opens"))
    }
}

/// Follows a plan that must have moved before its end.
async fn follow(seed: u64, harness: Moving) {
    plan::follow(&harness, seed, OPERATIONS).await;
    assert_eq!(*harness.reopens_left.lock(), 0, "the plan never moved");
    let parts = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'
                 AND relname ~ '_20260101$'";
    let parts = Cluster::shared().sql(harness.database.name(), parts);
    assert_eq!(parts, "2", "the day of the plan has its partitions");
    let rest =
        "SELECT (SELECT count(*) FROM events_default) + (SELECT count(*) FROM attempts_default)";
    assert_eq!(Cluster::shared().sql(harness.database.name(), rest), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_moves_halfway_notices_nothing() {
    follow(2, Moving::after(4, &[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_one_whose_move_was_interrupted() {
    follow(3, Moving::after(5, &[0, 1, 2, 1, 1])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_one_that_moves_late() {
    follow(20_260_102, Moving::after(9, &[4])).await;
}
