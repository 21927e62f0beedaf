//! The jobs of one transaction of the writer: settlements and publications that are committed
//! together.

use std::collections::HashMap;

use futures_util::future::{join, join3, join4};
use tidings_store::{Appended, LeaseId, Settled, StoreError};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    append::{self, Ground},
    database::Database,
    failure::Failure,
    job::{AppendJob, Job, SettleJob},
    link::Link,
    memory::Memory,
    reserve::Promises,
    settle,
};

/// Jobs that are done in one transaction.
#[derive(Default)]
pub(crate) struct Group {
    settles: Vec<SettleJob>,
    appends: Vec<AppendJob>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Every job is done.
    All,
    /// What is left in the group has to be prepared anew.
    Stale,
}

impl Group {
    pub(crate) fn len(&self) -> usize {
        self.settles.len() + self.appends.len()
    }

    /// Whether a job can be done in the same transaction: not where it may end a subscription or is
    /// a transaction by itself, and not under a key that the transaction uses already, as it has to
    /// see what that was.
    pub(crate) fn takes(&self, job: &Job) -> bool {
        match job {
            Job::Settle(job) => !job.may_end(),
            Job::Append(job) => match job.key() {
                None => true,
                key => self.appends.iter().all(|other| other.key() != key),
            },
            Job::Probe(_) => false,
        }
    }

    pub(crate) fn push(&mut self, job: Job) {
        match job {
            Job::Append(job) => self.appends.push(job),
            Job::Settle(job) => self.settles.push(job),
            // Is in no group, see [`Group::takes`].
            Job::Probe(_) => {}
        }
    }

    /// Each job by itself, in an order such that the last is to be done first.
    pub(crate) fn split(self) -> Vec<Self> {
        let appends = self.appends.into_iter().rev().map(|job| Self {
            settles: Vec::new(),
            appends: vec![job],
        });
        let settles = self.settles.into_iter().rev().map(|job| Self {
            settles: vec![job],
            appends: Vec::new(),
        });
        appends.chain(settles).collect()
    }

    /// Answers every job with an error.
    pub(crate) fn answer_all(self, error: &StoreError) {
        // Nobody may be waiting any more.
        for job in self.settles {
            let _ = job.reply.send(Err(error.clone()));
        }
        for job in self.appends {
            let _ = job.reply.send(Err(error.clone()));
        }
    }

    /// One transaction: settles, appends, commits, and answers what is done. `leased` tells, also
    /// where it fails, for which events deliveries were to be leased to this node.
    pub(crate) async fn transact(
        &mut self,
        link: &Link,
        memory: &Memory,
        ground: &Ground,
        leased: &mut Option<(LeaseId, Vec<Uuid>)>,
    ) -> Result<Done, Failure> {
        if self.appends.iter().any(|job| job.key().is_some()) {
            let result = self.transact_promised(link, memory, ground, leased).await;
            return match result {
                Err(failure) if failure.is_division_by_zero() => Ok(Done::Stale),
                Err(failure) if !failure.is_disconnect() => {
                    // Where the commit was sent already, this does nothing.
                    link.client.batch_execute("ROLLBACK").await?;
                    Err(failure)
                }
                result => result,
            };
        }
        let settle = stage_settles(memory, &self.settles);
        let append = (!self.appends.is_empty()).then(|| {
            let publications = self.appends.iter().map(|job| &job.publication);
            append::Staged::publications(memory, ground, publications)
        });
        *leased = append.as_ref().and_then(append::Staged::leased);
        let (settled, appended) = exchange(link, memory, settle.as_ref(), append.as_ref()).await?;
        if let Some(staged) = settle {
            let answers = staged.answers(&settled)?;
            answer_settles(memory, &mut self.settles, answers);
        }
        let Some(staged) = append else {
            return Ok(Done::All);
        };
        let Some(head) = appended.first() else {
            return Ok(Done::Stale);
        };
        staged.follow_up(memory, head.get(0));
        answer_appends(&mut self.appends, Vec::new());
        Ok(Done::All)
    }

    /// The same where publications asked for the promise not to be done twice: which of them are
    /// to be appended is known only when the keys are. Fails with a division by zero where the
    /// head has moved on.
    async fn transact_promised(
        &mut self,
        link: &Link,
        memory: &Memory,
        ground: &Ground,
        leased: &mut Option<(LeaseId, Vec<Uuid>)>,
    ) -> Result<Done, Failure> {
        let publications: Vec<_> = self.appends.iter().map(|job| &job.publication).collect();
        let Some(mut promises) = Promises::of(&publications) else {
            return Ok(Done::Stale);
        };
        let settle = stage_settles(memory, &self.settles);
        let (settled, taken) = begin(link, memory, settle.as_ref(), &promises).await?;
        let db = Database::new(&link.client, &memory.metrics);
        let answers = promises.judge(&db, &taken).await?;
        let mut place = 1;
        let mut appending = Vec::with_capacity(publications.len());
        for (number, publication) in publications.into_iter().enumerate() {
            if answers.iter().any(|(answered, _)| *answered == number) {
                continue;
            }
            promises.give(publication, place);
            place += i64::try_from(publication.events.len()).expect("a bounded publication");
            appending.push(publication);
        }
        if appending.is_empty() {
            link.client.batch_execute("COMMIT").await?;
        } else {
            let staged = append::Staged::publications(memory, ground, appending);
            *leased = staged.leased();
            let params = staged.params_promised(&promises);
            memory.metrics.statements.inc();
            let (appended, committed) = join(
                link.client.query(&link.append_promised, &params),
                link.client.batch_execute("COMMIT"),
            )
            .await;
            let appended = appended?;
            committed?;
            drop(params);
            let head = appended
                .first()
                .ok_or_else(|| Failure::Broken("an append gave no position".to_owned()))?;
            staged.follow_up(memory, head.get(0));
        }
        drop(promises);
        if let Some(staged) = settle {
            let answers = staged.answers(&settled)?;
            answer_settles(memory, &mut self.settles, answers);
        }
        answer_appends(&mut self.appends, answers);
        Ok(Done::All)
    }
}

fn stage_settles<'l>(memory: &Memory, jobs: &'l [SettleJob]) -> Option<settle::Staged<'l>> {
    let lines = jobs.iter().flat_map(|job| &job.lines);
    (!jobs.is_empty()).then(|| settle::Staged::new(memory, lines, &[]))
}

/// Sends settlements and publications, and the commit behind them, without waiting in between;
/// returns what the two statements returned. One statement alone is a transaction by itself.
///
/// Settlements come first, so that the head of the log is held for as short as can be.
async fn exchange(
    link: &Link,
    memory: &Memory,
    settle: Option<&settle::Staged<'_>>,
    append: Option<&append::Staged<'_>>,
) -> Result<(Vec<Row>, Vec<Row>), Failure> {
    let client = &link.client;
    let statements = &memory.metrics.statements;
    match (settle, append) {
        (None, None) => Ok((Vec::new(), Vec::new())),
        (Some(settle), None) => {
            statements.inc();
            let settled = client.query(&link.settle, &settle.params()).await?;
            Ok((settled, Vec::new()))
        }
        (None, Some(append)) => {
            statements.inc();
            let appended = client.query(&link.append, &append.params()).await?;
            Ok((Vec::new(), appended))
        }
        (Some(settle), Some(append)) => {
            statements.inc_by(2);
            let (settling, appending) = (settle.params(), append.params());
            let (begun, settled, appended, committed) = join4(
                client.batch_execute("BEGIN"),
                client.query(&link.settle, &settling),
                client.query(&link.append, &appending),
                client.batch_execute("COMMIT"),
            )
            .await;
            // The commit of a failed transaction reports no error; the first failure is its cause.
            begun?;
            let (settled, appended) = (settled?, appended?);
            committed?;
            Ok((settled, appended))
        }
    }
}

/// Begins a transaction with settlements and promises; returns what the two statements returned.
async fn begin(
    link: &Link,
    memory: &Memory,
    settle: Option<&settle::Staged<'_>>,
    promises: &Promises<'_>,
) -> Result<(Vec<Row>, Vec<Row>), Failure> {
    let client = &link.client;
    let reserving = promises.params();
    memory.metrics.statements.inc();
    let Some(settle) = settle else {
        let (begun, taken) = join(
            client.batch_execute("BEGIN"),
            client.query(&link.reserve, &reserving),
        )
        .await;
        begun?;
        return Ok((Vec::new(), taken?));
    };
    memory.metrics.statements.inc();
    let settling = settle.params();
    let (begun, settled, taken) = join3(
        client.batch_execute("BEGIN"),
        client.query(&link.settle, &settling),
        client.query(&link.reserve, &reserving),
    )
    .await;
    begun?;
    Ok((settled?, taken?))
}

/// Counts what is in the log now, and answers.
fn answer_settles(memory: &Memory, jobs: &mut Vec<SettleJob>, answers: Vec<Settled>) {
    settle::count(memory, jobs.iter().flat_map(|job| &job.lines), &answers);
    let mut answers = answers.into_iter();
    for job in jobs.drain(..) {
        let own = answers.by_ref().take(job.lines.len()).collect();
        // Nobody may be waiting any more.
        let _ = job.reply.send(Ok(own));
    }
}

/// Answers publications: those that were not appended as it was found, by their number.
fn answer_appends(jobs: &mut Vec<AppendJob>, answers: Vec<(usize, Appended)>) {
    let mut answers: HashMap<usize, Appended> = answers.into_iter().collect();
    for (number, job) in jobs.drain(..).enumerate() {
        let answer = answers.remove(&number).unwrap_or(Appended::Stored);
        // Nobody may be waiting any more.
        let _ = job.reply.send(Ok(answer));
    }
}
