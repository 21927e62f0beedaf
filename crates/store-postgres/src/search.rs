//! Searching the delivery log of all of a company's subscriptions.
//!
//! The log has an order by subscription. So each subscription's part of it is read piece by piece,
//! and the pieces are read as one ([`crate::merged`]): what is looked at is small, and only what is
//! found is read in full. An event has an index of its own, and few attempts.

use std::{cmp::Reverse, collections::HashMap};

use deadpool_postgres::GenericClient;
use tidings_domain::{cursor::Order, id::SubscriptionId, time::UtcMillis};
use tidings_store::{AttemptSearch, AttemptsFound, OutcomeFilter, Position, Seq, StatusFilter};
use tokio_postgres::{Row, types::ToSql};

use crate::{
    columns,
    database::{Database, Params},
    event_rows,
    failure::Failure,
    merged::{Merged, Seen, Wanted},
    partitions, placed_attempts, poll, subscription_rows,
};

/// How long it may take from the beginning of an attempt until it is in the log, in milliseconds.
/// The order of the log is the one in which attempts came to be there, so a search between two
/// times looks that much further.
const LOGGED_WITHIN_MS: i64 = 10 * 60 * 1000;
/// Lines around a moment that tell where it lies in the order of the log.
const AROUND_MAX: i64 = 200;
/// Whether a line is wanted.
const WANTED: &str = "coalesce(($4::boolean IS NULL OR (error IS NULL) = $4)
     AND ($5::integer IS NULL OR status BETWEEN $5 AND $6)
     AND (NOT $7::boolean OR status IS NULL)
     AND ($8::text[] IS NULL OR event_type LIKE ANY ($8))
     AND ($9::bigint IS NULL OR attempted_ms >= $9)
     AND ($10::bigint IS NULL OR attempted_ms < $10), false)";

/// What [`WANTED`] goes by.
struct Filter {
    succeeded: Option<bool>,
    status_low: Option<i32>,
    status_high: Option<i32>,
    no_answer: bool,
    types: Option<Vec<String>>,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
}

/// Places between which everything wanted is, both exclusive.
#[derive(Clone, Copy)]
struct Range {
    low: Position,
    high: Position,
}

/// Searches.
pub(crate) async fn search<C: GenericClient>(
    db: &Database<'_, C>,
    search: &AttemptSearch,
) -> Result<AttemptsFound, Failure> {
    let subscriptions = subscriptions(db, search).await?;
    let mut range = range(db, search).await?;
    match (search.order, search.after) {
        (Order::Descending, Some(after)) => range.high = range.high.min(after),
        (Order::Ascending, Some(after)) => range.low = range.low.max(after),
        (_, None) => {}
    }
    let filter = Filter::of(search);
    let seqs: Vec<Seq> = subscriptions.keys().copied().collect();
    let looked = if search.event.is_some() {
        look_at_event(db, search, &filter, &seqs, range).await?
    } else {
        look_at_all(db, search, &filter, &seqs, range).await?
    };
    Ok(AttemptsFound {
        attempts: placed_attempts::in_full(db, &looked.found, &subscriptions).await?,
        next: looked.next,
        looked_up_to: looked.up_to,
    })
}

/// The numbers and ids of those to search at, deleted ones included.
async fn subscriptions<C: GenericClient>(
    db: &Database<'_, C>,
    search: &AttemptSearch,
) -> Result<HashMap<Seq, SubscriptionId>, Failure> {
    let one = search.subscription.map(subscription_rows::uuid_of);
    let sql = "SELECT seq, id FROM subscriptions
               WHERE company_id = $1 AND ($2::uuid IS NULL OR id = $2)";
    let rows = db.query(sql, &[&search.company.as_str(), &one]).await?;
    let read = rows
        .iter()
        .map(|row| (row.get(0), SubscriptionId::from_bytes(columns::id(row, 1))));
    Ok(read.collect())
}

/// Where the times lie in the order of the log.
///
/// Nothing has that order over all subscriptions. But event ids have the time of publishing, and
/// an index: what was attempted for an event that was published later was attempted later, and
/// most of what was attempted for one that was published before was attempted soon.
async fn range<C: GenericClient>(
    db: &Database<'_, C>,
    search: &AttemptSearch,
) -> Result<Range, Failure> {
    let mut range = Range {
        low: 0,
        high: Position::MAX,
    };
    if let Some(until) = search.until {
        let later = until.plus_millis(LOGGED_WITHIN_MS);
        let sql = "SELECT min(seq) FROM (
                       SELECT seq FROM attempts WHERE event_id >= $1
                       ORDER BY event_id LIMIT $2) around";
        let params: Params<'_> = &[&partitions::first_id(later), &AROUND_MAX];
        let bound: Option<Position> = db.first(sql, params).await?.and_then(|row| row.get(0));
        range.high = bound.unwrap_or(range.high);
    }
    if let Some(since) = search.since {
        let earlier = since.plus_millis(-LOGGED_WITHIN_MS);
        let sql = "SELECT max(seq) FILTER (WHERE attempted_ms < $3) FROM (
                       SELECT seq, attempted_ms FROM attempts WHERE event_id < $1
                       ORDER BY event_id DESC LIMIT $2) around";
        let params: Params<'_> = &[
            &partitions::first_id(earlier),
            &AROUND_MAX,
            &earlier.as_millis(),
        ];
        let bound: Option<Position> = db.first(sql, params).await?.and_then(|row| row.get(0));
        range.low = bound.unwrap_or(range.low);
    }
    Ok(range)
}

/// How a look ended.
#[derive(Default)]
struct Looked {
    found: Vec<Seen>,
    next: Option<Position>,
    up_to: Option<UtcMillis>,
}

impl Looked {
    /// Takes lines as far as they are there; false where more have to be read first.
    fn go_on(&mut self, merged: &mut Merged, search: &AttemptSearch, looks: &mut usize) -> bool {
        while merged.peek().is_some() {
            if self.found.len() >= search.limit {
                return true;
            }
            if *looks >= search.look_at_max {
                return true;
            }
            let Some(line) = merged.take() else { break };
            *looks += 1;
            self.next = Some(line.place);
            self.up_to = Some(line.attempted);
            if line.wanted {
                self.found.push(line);
            }
        }
        if merged.wanted(1).is_empty() {
            // Everything was looked at.
            self.next = None;
            return true;
        }
        false
    }

    fn ended(mut self, search: &AttemptSearch) -> Self {
        if self.next.is_none() || self.found.len() >= search.limit {
            self.up_to = None;
        }
        self
    }
}

async fn look_at_all<C: GenericClient>(
    db: &Database<'_, C>,
    search: &AttemptSearch,
    filter: &Filter,
    subscriptions: &[Seq],
    range: Range,
) -> Result<Looked, Failure> {
    let (after, end) = match search.order {
        Order::Descending => (range.high, range.low),
        Order::Ascending => (range.low, range.high),
    };
    let batch = filter.first_batch(search.limit, subscriptions.len());
    let mut merged = Merged::new(search.order, subscriptions.len(), after, batch);
    let (mut looked, mut looks) = (Looked::default(), 0);
    while !looked.go_on(&mut merged, search, &mut looks) {
        // One more than may be looked at, to know whether there is any.
        let wanted = merged.wanted(search.look_at_max.saturating_sub(looks).saturating_add(1));
        let lines = read_on(db, search.order, filter, subscriptions, &wanted, end).await?;
        for (wanted, lines) in wanted.into_iter().zip(lines) {
            merged.feed(wanted, lines);
        }
    }
    Ok(looked.ended(search))
}

/// Reads on in several subscriptions' parts of the log.
async fn read_on<C: GenericClient>(
    db: &Database<'_, C>,
    order: Order,
    filter: &Filter,
    subscriptions: &[Seq],
    wanted: &[Wanted],
    end: Position,
) -> Result<Vec<Vec<Seen>>, Failure> {
    let (beyond, before, direction) = match order {
        Order::Descending => ("<", ">", "DESC"),
        Order::Ascending => (">", "<", ""),
    };
    let sql = format!(
        "SELECT asked.place, a.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
             WITH ORDINALITY AS asked (subscription, after, lines, place)
         CROSS JOIN LATERAL (
             SELECT seq, subscription, id, attempted_ms, {WANTED} FROM attempts
             WHERE subscription = asked.subscription AND seq {beyond} asked.after
                 AND seq {before} $11
             ORDER BY seq {direction} LIMIT asked.lines) a"
    );
    let seqs: Vec<Seq> = wanted.iter().map(|it| subscriptions[it.log]).collect();
    let after: Vec<Position> = wanted.iter().map(|it| it.after).collect();
    let lines: Vec<i64> = wanted.iter().map(|it| it.lines).collect();
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&seqs, &after, &lines];
    params.extend(filter.params());
    params.push(&end);
    let rows = db.query(&sql, &params).await?;
    let mut read = vec![Vec::new(); wanted.len()];
    for row in &rows {
        let place: i64 = row.get(0);
        let lines = usize::try_from(place - 1).ok();
        let lines = lines.and_then(|place| read.get_mut(place));
        let lines: &mut Vec<Seen> =
            lines.ok_or_else(|| Failure::Broken("a line came from nowhere".to_owned()))?;
        lines.push(seen(row, 1));
    }
    Ok(read)
}

/// Looks at what was attempted for one event.
async fn look_at_event<C: GenericClient>(
    db: &Database<'_, C>,
    search: &AttemptSearch,
    filter: &Filter,
    subscriptions: &[Seq],
    range: Range,
) -> Result<Looked, Failure> {
    // The sum keeps it from being read in the order of everything at a subscription.
    let sql = format!(
        "SELECT seq, subscription, id, attempted_ms, {WANTED} FROM attempts
         WHERE event_id = $1 AND subscription = ANY ($2) AND seq + 0 > $3 AND seq + 0 < $11"
    );
    let event = search.event.map(event_rows::uuid_of);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&event, &subscriptions, &range.low];
    params.extend(filter.params());
    params.push(&range.high);
    let rows = db.query(&sql, &params).await?;
    let mut lines: Vec<Seen> = rows.iter().map(|row| seen(row, 0)).collect();
    match search.order {
        Order::Ascending => lines.sort_unstable_by_key(|line| line.place),
        Order::Descending => lines.sort_unstable_by_key(|line| Reverse(line.place)),
    }
    let mut merged = Merged::new(search.order, 1, 0, 1);
    let all = Wanted {
        log: 0,
        after: 0,
        lines: i64::MAX,
    };
    merged.feed(all, lines);
    let (mut looked, mut looks) = (Looked::default(), 0);
    looked.go_on(&mut merged, search, &mut looks);
    Ok(looked.ended(search))
}

/// Reads what was selected of a line, from column `at` on.
fn seen(row: &Row, at: usize) -> Seen {
    Seen {
        place: row.get(at),
        subscription: row.get(at + 1),
        id: row.get(at + 2),
        attempted: columns::time(row, at + 3),
        wanted: row.get(at + 4),
    }
}

impl Filter {
    fn of(search: &AttemptSearch) -> Self {
        let status = match search.status {
            Some(StatusFilter::Exactly(status)) => Some((status.into(), status.into())),
            Some(StatusFilter::Class(class)) => {
                let first = i32::from(class) * 100;
                Some((first, first + 99))
            }
            Some(StatusFilter::NoAnswer) | None => None,
        };
        Self {
            succeeded: search
                .outcome
                .map(|outcome| outcome == OutcomeFilter::Succeeded),
            status_low: status.map(|(low, _)| low),
            status_high: status.map(|(_, high)| high),
            no_answer: search.status == Some(StatusFilter::NoAnswer),
            types: poll::like_forms(&search.types),
            since_ms: search.since.map(UtcMillis::as_millis),
            until_ms: search.until.map(UtcMillis::as_millis),
        }
    }

    /// How many lines of each log to read first: where everything is wanted, somewhat more than
    /// its share of the page.
    fn first_batch(&self, limit: usize, logs: usize) -> i64 {
        const CHOOSY_MIN: usize = 50;
        let everything = self.succeeded.is_none()
            && self.status_low.is_none()
            && !self.no_answer
            && self.types.is_none();
        let share = limit
            .saturating_add(1)
            .saturating_mul(2)
            .div_ceil(logs.max(1));
        let batch = if everything {
            share
        } else {
            share.max(CHOOSY_MIN)
        };
        i64::try_from(batch).unwrap_or(i64::MAX)
    }

    /// The parameters of [`WANTED`].
    fn params(&self) -> [&(dyn ToSql + Sync); 7] {
        [
            &self.succeeded,
            &self.status_low,
            &self.status_high,
            &self.no_answer,
            &self.types,
            &self.since_ms,
            &self.until_ms,
        ]
    }
}
