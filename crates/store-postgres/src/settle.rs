//! Settling: attempts into the log, deliveries out of the queue or on to their next time, in one
//! statement for many of them.
//!
//! It acts only on rows that the settling lease holds, and says which those were. What ends a
//! subscription goes another way ([`crate::gone`]).

use std::sync::LazyLock;

use deadpool_postgres::Pool;
use tidings_domain::{attempt::AttemptOutcome, company::CompanyId, verdict::Verdict};
use tidings_store::{Seq, Settled};
use tokio_postgres::{Row, types::ToSql};

use crate::{
    attempt_lines::{Line, LineColumns},
    database::{self, Database},
    failure::Failure,
    memory::Memory,
    subscription_rows,
};

/// Settles; returns the places of those lines whose delivery was there, counted from 1.
pub(crate) static SETTLE: LazyLock<String> = LazyLock::new(|| {
    let arrays: Vec<_> = (1..)
        .zip(LineColumns::TYPES)
        .map(|(number, (kind, _))| format!("${number}::{kind}[]"))
        .collect();
    let names = LineColumns::TYPES.map(|(_, name)| name).join(", ");
    let row = "q.position = l.position AND q.subscription = l.subscription
         AND q.round = l.round AND q.holder = l.holder";
    format!(
        "WITH lines AS MATERIALIZED (
             SELECT * FROM unnest({}) WITH ORDINALITY AS l ({names}, place)
         ), finished AS (
             DELETE FROM queue q USING lines l
             WHERE l.next_attempt_ms IS NULL AND {row}
             RETURNING q.company_id, q.event_id, l.*
         ), postponed AS (
             UPDATE queue q
             SET holder = 0, due_ms = l.next_attempt_ms, attempts = l.number,
                 first_attempt_ms = l.first_attempt_ms
             FROM lines l
             WHERE l.next_attempt_ms IS NOT NULL AND {row}
             RETURNING q.company_id, q.event_id, l.*
         ), done AS (
             SELECT * FROM finished UNION ALL SELECT * FROM postponed
         ), logged AS (
             INSERT INTO attempts
                 (id, seq, company_id, subscription, position, event_id, round, event_type, number,
                  attempted_ms, elapsed_ms, error, status, next_attempt_ms, ended, url, user_agent,
                  signatures, response_headers, body_truncated, response_body)
             SELECT id, nextval('attempt_numbers'), company_id, subscription, position, event_id,
                 round, event_type, number, attempted_ms, elapsed_ms, error, status,
                 next_attempt_ms, ended, url, user_agent, signatures, response_headers,
                 body_truncated, response_body
             FROM (SELECT * FROM done ORDER BY place) AS in_order
         )
         SELECT place FROM done",
        arrays.join(", ")
    )
});

/// Lines as columns, and what is to be answered for each that is there.
pub(crate) struct Staged<'l> {
    columns: LineColumns<'l>,
    answers: Vec<Settled>,
}

impl<'l> Staged<'l> {
    /// Lines with what becomes of them as memory knows the subscriptions now; `ended` are some
    /// that end in the same transaction.
    pub(crate) fn new(
        memory: &Memory,
        lines: impl IntoIterator<Item = &'l Line>,
        ended: &[Seq],
    ) -> Self {
        let book = memory.book.read();
        let mut staged = Self {
            columns: LineColumns::default(),
            answers: Vec::new(),
        };
        for line in lines {
            let settlement = &line.settlement;
            let live = !ended.contains(&line.subscription)
                && book
                    .by_seq(line.subscription)
                    .is_some_and(|entry| entry.endpoint.epoch == settlement.epoch);
            let retry = match settlement.verdict {
                Verdict::RetryAt(due) => Some(due.as_millis()),
                _ => None,
            };
            staged
                .columns
                .push(line, retry.filter(|_| live), retry.is_some() && !live);
            staged.answers.push(if live {
                Settled::Recorded
            } else {
                Settled::Ended
            });
        }
        staged
    }

    /// The parameters of [`SETTLE`].
    pub(crate) fn params(&self) -> [&(dyn ToSql + Sync); 20] {
        self.columns.params()
    }

    /// What became of each line, from what [`SETTLE`] returned.
    pub(crate) fn answers(&self, done: &[Row]) -> Result<Vec<Settled>, Failure> {
        let mut answers = vec![Settled::LeaseLost; self.answers.len()];
        for row in done {
            let place: i64 = row.get(0);
            let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
            match (answers.get_mut(place), self.answers.get(place)) {
                (Some(answer), Some(&settled)) => *answer = settled,
                _ => return Err(Failure::Broken("a settlement came from nowhere".to_owned())),
            }
        }
        Ok(answers)
    }
}

/// After the commit: counts the attempts that are in the log now.
pub(crate) fn count<'l>(
    memory: &Memory,
    lines: impl IntoIterator<Item = &'l Line>,
    answers: &[Settled],
) {
    memory.figures.count(|counts| {
        for (line, answer) in lines.into_iter().zip(answers) {
            if let (Some(company), Settled::Recorded | Settled::Ended) = (&line.company, answer) {
                let attempt = &line.settlement.attempt;
                let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
                counts.count_attempt(
                    company,
                    line.subscription,
                    attempt.attempted,
                    succeeded,
                    attempt.elapsed_ms,
                );
            }
        }
    });
}

/// Finds the numbers and companies of the lines' subscriptions, deleted ones included.
pub(crate) async fn name_subscriptions(
    pool: &Pool,
    memory: &Memory,
    mut lines: Vec<Line>,
) -> Result<Vec<Line>, Failure> {
    let unknown = name_known(memory, &mut lines);
    if unknown.is_empty() {
        return Ok(lines);
    }
    let client = database::borrow(pool).await?;
    let db = Database::new(&client, &memory.metrics);
    for place in unknown {
        let id = lines[place].settlement.key.subscription;
        if let Some((seq, company)) = subscription_rows::owner_of(&db, id).await? {
            lines[place].subscription = seq;
            lines[place].company = CompanyId::parse(&company).ok();
        }
    }
    Ok(lines)
}

/// Names those that are in memory; returns the places of the others.
fn name_known(memory: &Memory, lines: &mut [Line]) -> Vec<usize> {
    let book = memory.book.read();
    let mut unknown = Vec::new();
    for (place, line) in lines.iter_mut().enumerate() {
        match book.by_id(line.settlement.key.subscription) {
            Some(entry) => {
                line.subscription = entry.seq;
                line.company = Some(entry.endpoint.company.clone());
            }
            None => unknown.push(place),
        }
    }
    unknown
}
