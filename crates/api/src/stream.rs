//! Streaming events: polling that does not end, as server-sent events (WHATWG HTML, section 9.2).
//!
//! A stream reads the log as a poll does, so it keeps the same promise; where nothing is left to
//! read it waits for the company's signal and asks no database. Each event's `id:` is the cursor
//! behind it, by which a reader goes on: `Last-Event-ID`, or `cursor`. The first thing a reader is
//! told is the place where it begins.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use tidings_domain::api_key::KeyHash;
use tidings_store::{EventQuery, Position};
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::{Instant, sleep_until},
};
use utoipa::IntoParams;

use crate::{
    call::Call,
    caller,
    events::{self, Counted, EventListing, Reading},
    openapi::CompanyIdSchema,
    overload::StreamPermit,
    paging::Place,
    problem::Problem,
    state::Api,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies that hold answers back until they are complete are asked not to (nginx's field).
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// A sign of life so long after the last one. 15 s are promised.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// Milliseconds after which a reader should come back, where the stream breaks.
const RETRY_MS: u32 = 1000;
/// Events that are read at a time, and so may be in memory for one stream.
const READ_EVENTS_MAX: usize = 50;
/// Bytes of envelopes in memory for one stream; beyond it the rest is read again later.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Which events to stream.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query, whose parameters are read one by one"
)]
pub(crate) struct StreamQuery {
    /// Only these types; `*` and `client.*` are wildcards. Repeatable, or separated by commas.
    #[param(rename = "type", value_type = Option<Vec<String>>, style = Form, explode = true,
        example = json!(["client.*"]))]
    types: (),
    /// Go on behind this place: the `id` of an event, or `X-Paging-Cursor` of a poll. `now`: only
    /// what is yet to come. `Last-Event-ID` goes before it.
    #[param(value_type = Option<String>)]
    cursor: (),
    /// Without a cursor: begin with what was stored from this time on. None of it is skipped; where
    /// many events are stored, what came up to a minute earlier may go before it.
    #[param(rename = "sinceUtc", value_type = Option<String>, format = DateTime)]
    since: (),
    /// A stream has the order of the log.
    #[param(value_type = Option<String>, default = "asc", pattern = "^asc$")]
    order: (),
    /// Whose events. Needed with a platform key, unless a cursor says it.
    #[param(rename = "companyId", value_type = Option<CompanyIdSchema>)]
    company_id: (),
}

/// Stream events as they happen
///
/// Server-sent events: `id` is a cursor, `event` the type, `data` the envelope. With the filters,
/// the order and the promise of polling: who goes on behind the last `id` (browsers do so by
/// themselves, with `Last-Event-ID`) sees every event exactly once. A comment comes at least every
/// 15 seconds. The stream ends when the key is revoked or the server stops; come back then.
#[utoipa::path(
    get,
    path = "/api/v1/events/stream",
    operation_id = "streamEvents",
    tag = "Events",
    security(("apiKey" = ["events:read"]), ("bearer" = ["events:read"])),
    params(
        StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event seen"),
    ),
    responses((status = 200, description = "Events, without an end",
        content_type = "text/event-stream", body = String,
        example = "id: AAAA\nevent: client.created\ndata: {\"id\":\"evt_01k3zt5w9hf0bvv8d6n7q2m4xe\"}\n\n"))
)]
pub(crate) async fn stream(State(api): State<Arc<Api>>, call: Call) -> Result<Response, Problem> {
    let last_seen = call.headers.get(LAST_EVENT_ID);
    // What is not ASCII is no cursor, as is the empty text.
    let last_seen = last_seen.map(|id| id.to_str().unwrap_or_default().to_owned());
    let listing = events::listing(&api, &call, Reading::Stream { last_seen }).await?;
    let EventListing { query, place, .. } = listing;
    let permit = api.overload.admit_stream(&query.company)?;
    call.stand_aside();
    let reader = Reader {
        arrival: listen(&api.store.arrivals().of(&query.company)),
        signal: api.store.arrivals().of(&query.company),
        key: caller::hash_of(&call.headers)?,
        read_up_to: query.after.unwrap_or(0),
        told_up_to: query.after.unwrap_or(0),
        is_behind: true,
        query,
        place,
        held: VecDeque::new(),
        commented: Instant::now(),
        greeted: false,
        _permit: permit,
        _counted: Counted::new(&api.metrics.streams),
        api,
    };
    let parts = stream::unfold(reader, |mut reader| async move {
        let part = reader.next_part().await?;
        Some((Ok::<_, std::convert::Infallible>(part), reader))
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (X_ACCEL_BUFFERING, "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Listens to a signal from now on.
fn listen(signal: &Arc<Notify>) -> Pin<Box<OwnedNotified>> {
    let mut arrival = Box::pin(Arc::clone(signal).notified_owned());
    arrival.as_mut().enable();
    arrival
}

/// One stream, between two parts of it.
struct Reader {
    api: Arc<Api>,
    /// Of the key it was opened with, to be judged again as long as it lasts. The request's header
    /// fields would keep the connection's first read buffer alive.
    key: KeyHash,
    query: EventQuery,
    place: Place,
    signal: Arc<Notify>,
    /// Fires when an event of the company arrives. It listens since before the last read, so
    /// nothing falls between reading and waiting.
    arrival: Pin<Box<OwnedNotified>>,
    /// Whether there may be something to read.
    is_behind: bool,
    /// Events that were read and not sent, as parts.
    held: VecDeque<(Position, Bytes)>,
    /// The place up to which the log was read.
    read_up_to: Position,
    /// The place that the reader knows.
    told_up_to: Position,
    commented: Instant,
    greeted: bool,
    _permit: StreamPermit,
    _counted: Counted,
}

impl Reader {
    /// What to send next; none where the stream ends. Asked for only when the connection takes
    /// more, so a slow reader holds no more than what was read last.
    async fn next_part(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            // Where it begins is told, too: who began at the present and is cut off before
            // anything happened comes back to this place, and not to a later present.
            let cursor = self.place.cursor(&self.api, self.read_up_to);
            // It begins with a comment, by which also simple readers know that it is no event.
            let greeting = format!(": hello\nretry: {RETRY_MS}\nid: {cursor}\n\n");
            return Some(Bytes::from(greeting));
        }
        loop {
            if self.api.shutdown.is_cancelled() {
                return None;
            }
            // A key that was revoked or ran out meanwhile sees nothing more.
            caller::owner_of(&self.api, &self.key).await.ok()?;
            if let Some((position, part)) = self.held.pop_front() {
                self.told_up_to = position;
                return Some(part);
            }
            // Comments come however busy the stream is. And what a reader wants may be rare: one
            // that is cut off in a long search goes on from where the search has come to.
            if self.commented.elapsed() >= SIGN_OF_LIFE {
                return Some(self.sign_of_life());
            }
            if self.is_behind {
                // An error ends the stream: its reader comes back to where it was.
                self.is_behind = self.read().await.ok()?;
                continue;
            }
            tokio::select! {
                () = self.api.shutdown.cancelled() => return None,
                () = sleep_until(self.commented + SIGN_OF_LIFE) => {
                    return Some(self.sign_of_life());
                }
                () = self.arrival.as_mut() => {
                    self.arrival = listen(&self.signal);
                    self.is_behind = true;
                }
            }
        }
    }

    /// Reads on; says whether more may be there at once.
    async fn read(&mut self) -> Result<bool, Problem> {
        self.query.after = Some(self.read_up_to);
        self.query.limit = READ_EVENTS_MAX;
        let page = self.api.store.read_events(self.query.clone()).await?;
        let mut bytes = 0;
        for (event, &position) in page.events.iter().zip(&page.positions) {
            if bytes > HELD_BYTES_MAX {
                return Ok(true);
            }
            let cursor = self.place.cursor(&self.api, position);
            let mut part = Vec::with_capacity(cursor.len() + event.json().len() + 64);
            part.extend_from_slice(b"id: ");
            part.extend_from_slice(cursor.as_bytes());
            part.extend_from_slice(b"\nevent: ");
            part.extend_from_slice(event.event_type().as_str().as_bytes());
            append_data(&mut part, event.json());
            bytes += part.len();
            self.read_up_to = position;
            self.held.push_back((position, Bytes::from(part)));
        }
        self.read_up_to = page.next;
        Ok(page.has_more)
    }

    /// A comment; and where the reader's place lies far behind, as what came since did not match
    /// its filters, the new one, without an event. Only where nothing read is still to be sent.
    fn sign_of_life(&mut self) -> Bytes {
        self.commented = Instant::now();
        if self.told_up_to == self.read_up_to {
            return Bytes::from_static(b": still here\n\n");
        }
        self.told_up_to = self.read_up_to;
        let cursor = self.place.cursor(&self.api, self.read_up_to);
        Bytes::from(format!(": still here\nid: {cursor}\n\n"))
    }
}

/// The data of an event. Published bytes may have line ends, each of which begins a new field;
/// JSON has them only between its tokens, where a reader that joins lines finds what was there.
fn append_data(part: &mut Vec<u8>, json: &[u8]) {
    part.extend_from_slice(b"\ndata: ");
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                // A carriage return and a line feed are one line end.
                if bytes.peek() == Some(&b'\n') {
                    bytes.next();
                }
                part.extend_from_slice(b"\ndata: ");
            }
            b'\n' => part.extend_from_slice(b"\ndata: "),
            other => part.push(other),
        }
    }
    part.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> String {
        let mut part = Vec::new();
        append_data(&mut part, json.as_bytes());
        String::from_utf8(part).unwrap()
    }

    #[test]
    fn line_ends_inside_of_the_published_bytes_stay_inside_of_the_data() {
        assert_eq!(data("{\"a\":1}"), "\ndata: {\"a\":1}\n\n");
        assert_eq!(
            data("{\n\"a\":\r\n1\r}"),
            "\ndata: {\ndata: \"a\":\ndata: 1\ndata: }\n\n"
        );
        // What looks like a field of the stream is data.
        assert_eq!(data("{\nid: 5\n}"), "\ndata: {\ndata: id: 5\ndata: }\n\n");
    }
}
