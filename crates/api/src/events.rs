//! Reading events: one by its id, and polling by position.
//!
//! The order is that of the log, so a reader that follows the cursor misses nothing and sees
//! nothing twice; the store's positions promise that, this module only passes them on.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use prometheus_client::metrics::gauge::Gauge;
use tidings_domain::{
    api_key::Scope, company::CompanyId, cursor::Order, event_type::EventTypePattern,
    subscription::EVENT_TYPES_MAX, time::UtcMillis,
};
use tidings_store::{EventPage, EventQuery};
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;

use crate::{
    answer,
    call::{Call, PathIds},
    caller,
    envelope::{Envelope, joined},
    large_answer,
    openapi::CompanyIdSchema,
    overload::AnswerRoom,
    paging::{Asked, Listing, Place, Start},
    problem::Problem,
    state::Api,
};

/// The longest a poll may wait, in seconds.
const WAIT_SECONDS_MAX: u32 = 30;
/// Events that are read from the store at a time.
const READ_EVENTS_MAX: usize = 100;
/// A page that has this many bytes ends, whatever its limit: large events would fill memory.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Reads of one page. A read looks at a bounded number of events, and rare types need several.
const READS_MAX: usize = 20;

/// Which events to list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query, whose parameters are read one by one"
)]
pub(crate) struct EventListQuery {
    /// Only these types; `*` and `client.*` are wildcards. Repeatable, or separated by commas.
    #[param(rename = "type", value_type = Option<Vec<String>>, style = Form, explode = true,
        example = json!(["client.*"]))]
    types: (),
    /// At most so many. A page may be shorter and still have more, see `X-Paging-Has-More`.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    limit: (),
    /// `X-Paging-Cursor` of an earlier answer: go on from there. `now`: only what is yet to come.
    #[param(value_type = Option<String>)]
    cursor: (),
    /// `asc`: oldest first, in the order in which they were stored. `desc`: newest first.
    #[param(value_type = Option<String>, default = "asc", pattern = "^(asc|desc)$")]
    order: (),
    /// With `asc`: hold the answer for up to so many seconds until an event is there.
    #[param(value_type = Option<u8>, minimum = 0, maximum = 30, default = 0)]
    wait: (),
    /// Whose events. Needed with a platform key, unless a cursor says it.
    #[param(rename = "companyId", value_type = Option<CompanyIdSchema>)]
    company_id: (),
}

/// List events, and wait for new ones
///
/// Follow `X-Paging-Cursor` from the start and you see every event of the company exactly once,
/// whatever is being published meanwhile. The cursor carries company, order and filters; it is good
/// for ever, and rejected (400) beside other filters than its own. `limit` and `wait` may vary. Where
/// a company has more than 64 MiB of answers that it does not read, further large ones are 503.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "listEvents",
    tag = "Events",
    security(("apiKey" = ["events:read"]), ("bearer" = ["events:read"])),
    params(EventListQuery),
    responses((status = 200, description = "A page, possibly empty", body = Vec<Envelope>,
        headers(
            ("X-Paging-Cursor" = String, description = "Where to go on, now or next week"),
            ("X-Paging-Has-More" = String, description = "`true` where more follow, or may follow beyond the 20,000 that were looked at"),
            ("Link" = String, description = "The next page, with `rel=\"next\"`, where there is more"),
        )))
)]
pub(crate) async fn list(State(api): State<Arc<Api>>, call: Call) -> Result<Response, Problem> {
    let EventListing {
        query,
        place,
        wait_seconds,
    } = listing(&api, &call, Reading::Poll).await?;
    let (page, room) = if query.order == Order::Ascending && wait_seconds > 0 {
        let wait = Duration::from_secs(wait_seconds.into());
        let read = read_or_wait(&api, &call, query, wait).await?;
        // A key that was revoked or ran out meanwhile sees nothing more.
        caller::identify(&api, &call.headers).await?;
        read
    } else {
        read(&api, &call, &query).await?
    };
    let envelopes = page.events.iter().map(|event| event.json());
    let json = joined("[", envelopes, "]");
    let answer = place.answer(&api, call.path(), json, page.next, page.has_more);
    Ok(large_answer::pin(answer, room))
}

/// What a request asks of the log.
pub(crate) struct EventListing {
    pub(crate) query: EventQuery,
    pub(crate) place: Place,
    wait_seconds: u32,
}

/// How the log is read.
pub(crate) enum Reading {
    /// Page by page.
    Poll,
    /// As a stream. What its reader saw last, if anything, goes before a cursor in the query, which
    /// browsers repeat as it was.
    Stream {
        /// The `Last-Event-ID`.
        last_seen: Option<String>,
    },
}

/// Reads what a request asks of the log.
pub(crate) async fn listing(
    api: &Api,
    call: &Call,
    reading: Reading,
) -> Result<EventListing, Problem> {
    let caller = call.caller(Scope::EventsRead)?;
    let mut query = call.query();
    let mut asked = Asked::read(&mut query);
    let types = query.list("type", EVENT_TYPES_MAX, EventTypePattern::parse);
    let wait_seconds = query.integer_in("wait", 0..=WAIT_SECONDS_MAX).unwrap_or(0);
    let mut since = None;
    if let Reading::Stream { last_seen } = reading {
        since = query.optional("sinceUtc", UtcMillis::parse);
        asked.stream_from(&mut query, last_seen);
    }
    let named = query.company();
    query.finish()?;
    let company = caller::reach(caller, named)?;
    let mut place = asked.place(
        api,
        Listing {
            name: "events",
            owner: company.as_ref().map(CompanyId::as_str),
            filters: types.map(normal_form),
            default_order: Order::Ascending,
            has_now: true,
        },
    )?;
    place.names_company = caller.company.is_none();
    let types = place
        .filters
        .iter()
        .map(|text| EventTypePattern::parse(text));
    let query = EventQuery {
        company: place.company()?,
        // Filters are patterns that were shown, so they read back.
        types: types
            .collect::<Result<_, _>>()
            .map_err(|_| Problem::internal("a filter does not read back"))?,
        order: place.order,
        after: match (place.start, place.order, since) {
            (Start::Now, Order::Ascending, _) => Some(api.store.head().await?),
            (Start::Beginning, _, Some(since)) => Some(api.store.position_before(since).await?),
            _ => place.after(),
        },
        limit: place.limit,
    };
    Ok(EventListing {
        query,
        place,
        wait_seconds,
    })
}

/// Filters in a form in which equal ones have equal text.
fn normal_form(mut patterns: Vec<EventTypePattern>) -> Vec<String> {
    if patterns.contains(&EventTypePattern::All) {
        return Vec::new();
    }
    patterns.sort_unstable();
    patterns.dedup();
    patterns.iter().map(ToString::to_string).collect()
}

/// Reads a page, in several bites where it is large or what it looks for is rare. Room is taken with
/// each bite, as others read meanwhile, too.
async fn read(
    api: &Api,
    call: &Call,
    query: &EventQuery,
) -> Result<(EventPage, AnswerRoom), Problem> {
    let caller = call.caller_of_any_scope()?;
    let mut room = AnswerRoom::none_yet(caller.company.as_ref());
    let mut bite = EventQuery {
        limit: query.limit.min(READ_EVENTS_MAX),
        ..query.clone()
    };
    let mut page = api.store.read_events(bite.clone()).await?;
    let mut bytes: usize = page.events.iter().map(|event| event.json().len()).sum();
    room.grow_to(&api.overload, bytes)?;
    for _ in 1..READS_MAX {
        if !page.has_more || page.events.len() >= query.limit || bytes >= PAGE_BYTES_MAX {
            break;
        }
        bite.after = Some(page.next);
        bite.limit = (query.limit - page.events.len()).min(READ_EVENTS_MAX);
        let more = api.store.read_events(bite.clone()).await?;
        bytes += more
            .events
            .iter()
            .map(|event| event.json().len())
            .sum::<usize>();
        room.grow_to(&api.overload, bytes)?;
        page.events.extend(more.events);
        page.next = more.next;
        page.has_more = more.has_more;
    }
    Ok((page, room))
}

/// Reads a page; where it is empty, waits for an event until the time is over or the server shuts
/// down.
async fn read_or_wait(
    api: &Api,
    call: &Call,
    mut query: EventQuery,
    wait: Duration,
) -> Result<(EventPage, AnswerRoom), Problem> {
    let deadline = Instant::now() + wait;
    let (page, room) = read(api, call, &query).await?;
    if !page.events.is_empty() {
        return Ok((page, room));
    }
    query.after = Some(page.next);
    let _waiting = api.overload.admit_waiter()?;
    call.stand_aside();
    let _counted = Counted::new(&api.metrics.long_polls);
    let signal = api.store.arrivals().of(&query.company);
    loop {
        let arrival = signal.notified();
        tokio::pin!(arrival);
        // From here on no arrival is missed; so this comes before reading.
        arrival.as_mut().enable();
        let (page, room) = read(api, call, &query).await?;
        if !page.events.is_empty() || Instant::now() >= deadline {
            return Ok((page, room));
        }
        query.after = Some(page.next);
        if page.has_more {
            continue;
        }
        tokio::select! {
            () = api.shutdown.cancelled() => return Ok((page, room)),
            () = sleep_until(deadline) => return Ok((page, room)),
            () = &mut arrival => {}
        }
    }
}

/// Counts a long poll or a stream among those that wait.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Read one event
#[utoipa::path(
    get,
    path = "/api/v1/events/{id}",
    operation_id = "getEvent",
    tag = "Events",
    security(("apiKey" = ["events:read"]), ("bearer" = ["events:read"])),
    params(("id" = String, Path, description = "`evt_…`", example = "evt_01k3zt5w9hf0bvv8d6n7q2m4xe")),
    responses((status = 200, description = "The envelope", body = Envelope))
)]
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    let caller = call.caller(Scope::EventsRead)?;
    let company = call.company(caller)?;
    let event = api.store.event(company.as_ref(), ids.event()?).await?;
    let event = event.ok_or_else(|| Problem::not_found("event"))?;
    Ok(answer::json_bytes(event.json().clone()))
}
