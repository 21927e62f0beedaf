//! The log as it grows: what comes while somebody looks, as server-sent events (HTML Living
//! Standard, section 9.2) whose data are lines of the page's table.
//!
//! The store is asked every second or two, and only as long as the page is open. Nodes of one
//! database commit side by side, so a line may appear a little behind a newer one: each look
//! begins where the one before the last had come to, and tells what was not told yet.

use std::{
    collections::{BTreeSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::response::{
    IntoResponse as _, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tidings_domain::{company::CompanyId, cursor::Order, portal_token::TokenHash, time::UtcMillis};
use tidings_store::{AttemptsFound, PlacedAttempt, Position};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    fault::Fault,
    log::{
        ROWS_MAX,
        filters::{FilterForm, Filters},
        own_webhook,
        rows::{Row, markup},
    },
    slots::Slot,
    state::Portal,
    texts,
    visit::{AtCompany, Turned},
};

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(1500);
/// From one sign of life to the next, and from one look at the session to the next.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Looks after which what is behind a newer line is no longer waited for.
const LOOKS_BEHIND: usize = 2;
/// Lines of one look; more of them in that time nobody reads, and the newest are told.
const LINES_MAX: usize = 500;
/// Lines that one look looks at.
const LOOK_AT_MAX: usize = 5000;
/// Places before the page's newest line that the first look looks at again: no more than the page
/// has lines, so whatever it tells twice is on the page.
const PLACES_BEHIND: Position = 50;
/// What ended so long before the page was opened is on it, in milliseconds.
const BEHIND_MS: i64 = 10_000;
/// Nobody keeps what is told, and no proxy gathers what it should pass on.
const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    ),
];

/// Somebody who looks.
struct Onlooker {
    portal: Arc<Portal>,
    company: CompanyId,
    base: String,
    filters: Filters,
    session: TokenHash,
    looks_until_check: u32,
    tail: Tail,
    /// The newest line that the page may have.
    on_page: Position,
    opened: UtcMillis,
    _permit: OwnedSemaphorePermit,
    _slot: Slot<CompanyId>,
}

/// How far the log was told.
struct Tail {
    /// Where the next look begins.
    from: Position,
    /// Where looks that are not long ago had come to.
    recent: VecDeque<Position>,
    /// What was told beyond `from`.
    told: BTreeSet<Position>,
}

/// Tells what comes after the place `after`, or after the last event that the browser has got. Who
/// is not signed in gets an empty answer, after which a browser asks no more.
pub(super) async fn live(
    at: Result<AtCompany, Turned>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    match at {
        Ok(at) => Ok(follow(at, &headers).await?),
        Err(Turned::ToSignIn(_)) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(turned) => Err(turned),
    }
}

async fn follow(at: AtCompany, headers: &HeaderMap) -> Result<Response, Fault> {
    let query = &at.visit.query;
    let (_, filters) = FilterForm::read(query, texts::default());
    let filters = filters.ok_or(Fault::Malformed)?;
    own_webhook(&at, filters.webhook).await?;
    let last = headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok());
    let after = last.or(query.get("after")).unwrap_or_default();
    let after: Position = after.parse().map_err(|_| Fault::Malformed)?;
    let portal = &at.visit.portal;
    // One company does not take what is there for all.
    let slot = portal.live_pages_each.take(&at.company);
    let permit = Arc::clone(&portal.live_pages).try_acquire_owned();
    let onlooker = Onlooker {
        portal: Arc::clone(portal),
        base: at.link(""),
        filters,
        session: at.visit.session_hash(),
        looks_until_check: looks_between_checks(),
        tail: Tail::after(after),
        on_page: after,
        opened: at.visit.now(),
        _permit: permit.map_err(|_| Fault::Busy)?,
        _slot: slot.ok_or(Fault::Busy)?,
        company: at.company,
    };
    let alive = KeepAlive::new().interval(ALIVE_EVERY);
    let events = Sse::new(onlooker.events()).keep_alive(alive);
    Ok((HEADERS, events).into_response())
}

fn looks_between_checks() -> u32 {
    u32::try_from(ALIVE_EVERY.as_millis() / LOOK_EVERY.as_millis()).unwrap_or(1)
}

impl Onlooker {
    /// What is told, until the session or the server ends.
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(Some(self), |onlooker| async {
            let mut onlooker = onlooker?;
            loop {
                let shutdown = onlooker.portal.shutdown.clone();
                tokio::select! {
                    () = shutdown.cancelled() => return None,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                match onlooker.look().await {
                    Ok(Some(event)) => return Some((Ok(event), Some(onlooker))),
                    Ok(None) => {}
                    // The page says so and asks no more. Browsers pass over an event without data.
                    Err(Fault::SignedOut) => {
                        let end = Event::default().event("end").data("session");
                        return Some((Ok(end), None));
                    }
                    // The browser comes again by itself.
                    Err(_) => return None,
                }
            }
        })
    }

    /// What there is to tell now.
    async fn look(&mut self) -> Result<Option<Event>, Fault> {
        let (mut fresh, left_out) = self.tail_on().await?;
        fresh.retain(|placed| self.is_news(placed));
        self.looks_until_check = self.looks_until_check.saturating_sub(1);
        // Nobody is told anything whose session was ended meanwhile.
        if !fresh.is_empty() || self.looks_until_check == 0 {
            self.looks_until_check = looks_between_checks();
            let store = &self.portal.store;
            let session = store.session(&self.session, self.portal.now()).await?;
            session.ok_or(Fault::SignedOut)?;
        }
        if fresh.is_empty() {
            return Ok(None);
        }
        let rows = fresh.iter().rev();
        let t = texts::default();
        let rows: Vec<Row> = rows.map(|placed| Row::of(placed, &self.base, t)).collect();
        let event = Event::default()
            .event(if left_out { "newest" } else { "lines" })
            .id(self.tail.from.to_string());
        Ok(Some(event.data(markup(&rows, t)?)))
    }

    /// Lines that were not told yet, oldest first, and whether some before them were left out.
    async fn tail_on(&mut self) -> Result<(Vec<PlacedAttempt>, bool), Fault> {
        let found = self
            .search(Order::Ascending, Some(self.tail.from), LINES_MAX)
            .await?;
        if found.attempts.len() < LINES_MAX {
            return Ok((self.tail.take(found), false));
        }
        let newest = self.search(Order::Descending, None, ROWS_MAX).await?;
        Ok((self.tail.jump(newest), true))
    }

    /// Whether the page may be without a line.
    fn is_news(&self, placed: &PlacedAttempt) -> bool {
        let attempt = &placed.attempt;
        let ended = attempt.attempted.plus_millis(attempt.elapsed_ms.into());
        placed.place > self.on_page || self.opened.since(ended) < BEHIND_MS
    }

    async fn search(
        &self,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<AttemptsFound, Fault> {
        let filters = &self.filters;
        let search = filters.search(&self.company, order, after, limit, LOOK_AT_MAX);
        Ok(self.portal.store.search_attempts(search).await?)
    }
}

impl Tail {
    /// Goes on after a page whose newest line is at `place`.
    fn after(place: Position) -> Self {
        Self {
            from: place.saturating_sub(PLACES_BEHIND).max(0),
            recent: VecDeque::new(),
            told: BTreeSet::new(),
        }
    }

    /// What of the lines found beyond `from`, oldest first, was not told yet.
    fn take(&mut self, found: AttemptsFound) -> Vec<PlacedAttempt> {
        let last = found.attempts.last().map(|placed| placed.place);
        let come_to = found.next.max(last).unwrap_or(self.from);
        let mut fresh = found.attempts;
        fresh.retain(|placed| self.told.insert(placed.place));
        self.recent.push_back(come_to.max(self.from));
        if self.recent.len() > LOOKS_BEHIND {
            let settled = self.recent.pop_front();
            self.from = settled.unwrap_or(self.from).max(self.from);
            self.told = self.told.split_off(&(self.from + 1));
        }
        fresh
    }

    /// Leaves out what is between what was told and the newest lines, which come newest first.
    fn jump(&mut self, newest: AttemptsFound) -> Vec<PlacedAttempt> {
        let mut fresh = newest.attempts;
        fresh.reverse();
        let first = fresh.first().map(|placed| placed.place);
        fresh.retain(|placed| self.told.insert(placed.place));
        self.recent.clear();
        self.from = first.map_or(self.from, |first| first - 1).max(self.from);
        self.told = self.told.split_off(&(self.from + 1));
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::{
        attempt::{Attempt, AttemptOutcome, ReceivedResponse, SentRequest},
        event_type::EventType,
        id::{AttemptId, EventId, SubscriptionId},
    };

    fn found(places: &[Position], next: Option<Position>) -> AttemptsFound {
        let attempts = places.iter().map(|&place| PlacedAttempt {
            place,
            round: 0,
            attempt: Attempt {
                id: AttemptId::from_bytes([1; 16]),
                subscription: SubscriptionId::from_bytes([2; 16]),
                event: EventId::from_bytes([3; 16]),
                event_type: EventType::parse("a").unwrap(),
                number: 1,
                attempted: UtcMillis::from_millis(0),
                elapsed_ms: 0,
                outcome: AttemptOutcome::Succeeded,
                request: SentRequest {
                    url: "".into(),
                    user_agent: "".into(),
                    signatures: None,
                },
                response: ReceivedResponse::default(),
                next_attempt: None,
            },
        });
        AttemptsFound {
            attempts: attempts.collect(),
            next,
            looked_up_to: None,
        }
    }

    fn places(lines: &[PlacedAttempt]) -> Vec<Position> {
        lines.iter().map(|placed| placed.place).collect()
    }

    #[test]
    fn what_is_told_twice_is_on_the_page() {
        assert_eq!(usize::try_from(PLACES_BEHIND).unwrap(), ROWS_MAX);
    }

    #[test]
    fn each_line_is_told_once_though_it_come_behind_a_newer_one() {
        let mut tail = Tail::after(100);
        assert_eq!(tail.from, 50);
        assert_eq!(places(&tail.take(found(&[101, 103], None))), [101, 103]);
        // 102 was committed late, by another node.
        assert_eq!(
            places(&tail.take(found(&[101, 102, 103, 104], None))),
            [102, 104]
        );
        assert_eq!(tail.from, 50);
        assert!(tail.take(found(&[101, 102, 103, 104], None)).is_empty());
        assert_eq!(tail.from, 103);
        assert_eq!(places(&tail.take(found(&[104, 105], None))), [105]);
        assert_eq!(tail.from, 104);
        assert_eq!(tail.told, BTreeSet::from([105]));
    }

    #[test]
    fn a_look_that_finds_nothing_comes_forward_all_the_same() {
        let mut tail = Tail::after(0);
        for next in [5000, 10_000, 15_000] {
            assert!(tail.take(found(&[], Some(next))).is_empty());
        }
        assert_eq!(tail.from, 5000);
        let mut idle = Tail::after(70);
        for _ in 0..5 {
            assert!(idle.take(found(&[], None)).is_empty());
        }
        assert_eq!(idle.from, 20);
    }

    #[test]
    fn what_comes_too_quickly_is_left_out_but_for_the_newest() {
        let mut tail = Tail::after(0);
        tail.take(found(&[1, 2], None));
        assert_eq!(
            places(&tail.jump(found(&[902, 901, 900], None))),
            [900, 901, 902]
        );
        assert_eq!(tail.from, 899);
        assert_eq!(
            places(&tail.take(found(&[900, 901, 902, 903], None))),
            [903]
        );
    }
}
