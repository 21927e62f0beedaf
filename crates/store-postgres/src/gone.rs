//! A receiver that is gone for good: its subscription ends with the settlement that says so, and
//! the company is told by an event.
//!
//! This is a change of the book and a publication in one, and rare, so it has a transaction of its
//! own that holds the head of the log from its beginning. The settlements that were handed in
//! together with it are recorded in it, in their order.

use std::sync::{Arc, atomic::Ordering};

use tidings_domain::{
    event::Event, subscription::DisabledReason, time::UtcMillis, verdict::Verdict,
};
use tidings_store::{Position, Seq, Settled, audit_log as lines};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    append::{self, Ground},
    attempt_lines::Line,
    audit_log,
    database::Database,
    event_rows::uuid_of,
    failure::Failure,
    link::Link,
    memory::Memory,
    settle, subscription_rows,
};

/// What a transaction did.
pub(crate) enum Ended<'l> {
    /// It is committed.
    Committed {
        settled: Vec<Settled>,
        /// Notices that were appended, each with the head as it was before.
        notices: Vec<(append::Staged<'l>, Position)>,
    },
    /// Memory was behind: nothing was done.
    Stale,
}

/// The transaction's own view.
struct Ending<'t, 'l, C> {
    db: Database<'t, C>,
    memory: &'t Memory,
    ground: Ground,
    version: i64,
    head: Position,
    ended: Vec<Seq>,
    settled: Vec<Settled>,
    notices: Vec<(append::Staged<'l>, Position)>,
}

/// Events that a transaction over some lines may append.
pub(crate) fn notices_of(lines: &[Line]) -> Vec<Uuid> {
    lines
        .iter()
        .filter_map(|line| line.settlement.notice.as_ref())
        .map(|notice| uuid_of(notice.id()))
        .collect()
}

/// Records attempts of which some may end their subscription.
pub(crate) async fn settle<'l>(
    link: &mut Link,
    memory: &Memory,
    ground: &Ground,
    lines: &'l [Line],
) -> Result<Ended<'l>, Failure> {
    let known = memory.book_version.load(Ordering::Acquire);
    let transaction = link.client.transaction().await?;
    let db = Database::new(&transaction, &memory.metrics);
    let row = lock_head(&db).await?;
    let (head, version, lease_version): (Position, i64, i64) = (row.get(0), row.get(1), row.get(2));
    if version != known + 1 || memory.book_version.load(Ordering::Acquire) != known {
        transaction.rollback().await?;
        return Ok(Ended::Stale);
    }
    let mut ground = ground.clone();
    if ground.lease_version != lease_version {
        // Whether this node's lease still stands is not known here; the notice waits for a claim.
        ground = Ground {
            lease_version,
            holder: None,
        };
    }
    let mut ending = Ending {
        db,
        memory,
        ground,
        version,
        head,
        ended: Vec::new(),
        settled: Vec::new(),
        notices: Vec::new(),
    };
    for segment in lines.split_inclusive(|line| line.settlement.verdict == Verdict::Gone) {
        ending.settle(segment).await?;
    }
    let notify = "SELECT pg_notify('tidings_book', $1)";
    ending.db.query(notify, &[&version.to_string()]).await?;
    let (settled, notices) = (ending.settled, ending.notices);
    transaction.commit().await?;
    Ok(Ended::Committed { settled, notices })
}

async fn lock_head<C: deadpool_postgres::GenericClient>(
    db: &Database<'_, C>,
) -> Result<Row, Failure> {
    db.first(
        "UPDATE log_heads SET book_version = book_version + 1 WHERE shard = 0
         RETURNING position, book_version, lease_version",
        &[],
    )
    .await?
    .ok_or_else(|| Failure::Broken("the log has no head".to_owned()))
}

impl<'l, C: deadpool_postgres::GenericClient> Ending<'_, 'l, C> {
    /// Records lines of which the last one may end its subscription.
    async fn settle(&mut self, lines: &'l [Line]) -> Result<(), Failure> {
        let staged = settle::Staged::new(self.memory, lines, &self.ended);
        let done = self.db.query(&settle::SETTLE, &staged.params()).await?;
        let answers = staged.answers(&done)?;
        if let (Some(line), Some(Settled::Recorded)) = (lines.last(), answers.last())
            && line.settlement.verdict == Verdict::Gone
        {
            self.end(line).await?;
        }
        self.settled.extend(answers);
        Ok(())
    }

    /// The receiver is gone for good: the subscription ends, and the company is told.
    async fn end(&mut self, line: &'l Line) -> Result<(), Failure> {
        let attempt = &line.settlement.attempt;
        let notice = line.settlement.notice.as_ref();
        // A settlement says when its attempt ended; the notice, when that was noticed.
        let now = notice.map_or_else(
            || attempt.attempted.plus_millis(attempt.elapsed_ms.into()),
            |notice| notice.created(),
        );
        let entry = self.memory.book.read().by_seq(line.subscription).cloned();
        let entry = entry.ok_or_else(|| {
            Failure::Broken("a live delivery has no subscription in memory".to_owned())
        })?;
        let ended = entry.disabled();
        let reason = DisabledReason::Gone;
        let before = subscription_rows::find(&self.db, entry.endpoint.id).await?;
        subscription_rows::disable(&self.db, &ended, reason, now, self.version).await?;
        subscription_rows::write_history(&self.db, self.head, &ended).await?;
        if let Some(before) = before {
            let line = lines::subscription_disabled(&before.subscription, reason, now);
            audit_log::write(&self.db, &line).await?;
        }
        self.ended.push(entry.seq);
        match notice {
            Some(notice) => self.tell(notice, now).await,
            None => Ok(()),
        }
    }

    async fn tell(&mut self, notice: &'l Arc<Event>, now: UtcMillis) -> Result<(), Failure> {
        let staged = append::Staged::notice(
            self.memory,
            &self.ground,
            (notice, now),
            &self.ended,
            self.version,
        );
        let row = self.db.first(&append::APPEND, &staged.params()).await?;
        let row = row.ok_or_else(|| {
            Failure::Broken("the head of the log moved although it was held".to_owned())
        })?;
        let base: Position = row.get(0);
        self.head = base + 1;
        self.notices.push((staged, base));
        Ok(())
    }
}
