//! Events of a company: browsing them by type and time, and finding one by its id. `event` shows
//! one, `redeliver` delivers it once more.

mod event;
mod redeliver;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use http::StatusCode;
use tidings_domain::{
    cursor::Order, event::Event, event_type::EventTypePattern, id::EventId, time::UtcMillis,
};
use tidings_store::{EventQuery, Position};

pub(crate) use self::{
    event::{file_name, sentence},
    redeliver::Again,
};
use crate::{
    attempt_words::shortened,
    fault::Fault,
    moment::{self, Moment},
    page::{Page, Section, render},
    query_form::{Field, Reader, address},
    state::Portal,
    texts::{self, Texts},
    visit::AtCompany,
};

/// Events of a page.
const EVENTS_MAX: usize = 50;
/// Characters of a payload that a line shows.
const PREVIEW_CHARS_MAX: usize = 80;
/// Event types that the filter offers.
const CHOICES_MAX: usize = 50;

/// The routes of this module.
pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/portal/c/{company}/events", get(list))
        .route("/portal/c/{company}/events/{id}", get(event::show))
        .route("/portal/c/{company}/events/{id}/raw", get(event::raw))
        .route(
            "/portal/c/{company}/events/{id}/redeliver",
            post(redeliver::redeliver),
        )
}

/// A line.
struct Row {
    id: String,
    path: String,
    event_type: String,
    created: Moment,
    preview: String,
    size: String,
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    page: Page,
    t: &'static Texts,
    form: Form,
    types: Vec<String>,
    /// Whether the filters are sound and so were applied.
    answered: bool,
    filtered: bool,
    rows: Vec<Row>,
    older: Option<String>,
    newer: Option<String>,
}

/// The fields, as they are shown again.
struct Form {
    id: Field,
    pattern: Field,
    before: Field,
}

/// What the query asks for, where it is sound.
#[derive(Default)]
struct Asked {
    id: Option<EventId>,
    pattern: Option<EventTypePattern>,
    before: Option<UtcMillis>,
}

/// Which page; positions are exclusive but for the first of what is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Newest,
    Below(Position),
    From(Position),
}

/// What a page shows.
#[derive(Default)]
struct Found {
    events: Vec<Arc<Event>>,
    older: Option<Position>,
    newer: Option<Position>,
}

async fn list(at: AtCompany) -> Result<Response, Fault> {
    let (mut form, mut asked) = read(&at);
    let mut status = StatusCode::OK;
    if asked.is_none() {
        status = StatusCode::UNPROCESSABLE_ENTITY;
    } else if let Some(id) = asked.as_ref().and_then(|asked| asked.id) {
        if at.store().event(Some(&at.company), id).await?.is_some() {
            return Ok(Redirect::to(&at.link(&format!("events/{id}"))).into_response());
        }
        status = StatusCode::NOT_FOUND;
        form.id.problem = Some(texts::default().events.unknown.to_owned());
        asked = None;
    }
    let Some(found) = find(&at, asked.as_ref()).await? else {
        let newest = address(&at.link("events"), &type_pair(asked.as_ref()));
        return Ok(Redirect::to(&newest).into_response());
    };
    let page = compose(&at, form, asked, found).await?;
    Ok((status, render(&page)?).into_response())
}

fn read(at: &AtCompany) -> (Form, Option<Asked>) {
    let t = texts::default();
    let words = &t.events;
    let mut reader = Reader::new(&at.visit.query, t);
    let (id, event) = reader.field("id", words.id, EventId::parse);
    let (pattern, wanted) = reader.field("type", words.types, EventTypePattern::parse);
    let (before, time) = reader.field("before", words.before, |text| {
        moment::parse_field(text).map_err(|_| t.log.must_be_time)
    });
    let asked = Asked {
        id: event,
        pattern: wanted,
        before: time,
    };
    let form = Form {
        id,
        pattern,
        before,
    };
    (form, reader.is_sound().then_some(asked))
}

async fn compose(
    at: &AtCompany,
    form: Form,
    asked: Option<Asked>,
    found: Found,
) -> Result<EventsPage, Fault> {
    let t = texts::default();
    let types = at.store().recent_types(&at.company).await?;
    let types = types.iter().take(CHOICES_MAX);
    let to = |name: &'static str, place: Position| {
        let mut pairs = type_pair(asked.as_ref());
        pairs.push((name, place.to_string()));
        address(&at.link("events"), &pairs)
    };
    Ok(EventsPage {
        page: at.page(Section::Events, t.common.events),
        t,
        filtered: asked
            .as_ref()
            .is_some_and(|asked| asked.pattern.is_some() || asked.before.is_some()),
        types: types.map(ToString::to_string).collect(),
        rows: found.events.iter().map(|it| Row::of(at, it)).collect(),
        older: found.older.map(|place| to("older", place)),
        newer: found.newer.map(|place| to("newer", place)),
        answered: asked.is_some(),
        form,
    })
}

fn type_pair(asked: Option<&Asked>) -> Vec<(&'static str, String)> {
    let pattern = asked.and_then(|asked| asked.pattern.as_ref());
    let pair = pattern.map(|pattern| ("type", pattern.to_string()));
    pair.into_iter().collect()
}

/// Reads a page; nothing of it where the query was not sound, and none where nothing newer is left
/// but the newest page.
async fn find(at: &AtCompany, asked: Option<&Asked>) -> Result<Option<Found>, Fault> {
    let Some(asked) = asked else {
        return Ok(Some(Found::default()));
    };
    let turn = Turn::read(at, asked.before).await?;
    let (direction, beyond) = match turn {
        Turn::Newest => (Order::Descending, None),
        Turn::Below(place) => (Order::Descending, Some(place)),
        Turn::From(place) => (Order::Ascending, Some(place.saturating_sub(1))),
    };
    let query = EventQuery {
        company: at.company.clone(),
        types: asked.pattern.iter().cloned().collect(),
        order: direction,
        after: beyond,
        limit: EVENTS_MAX,
    };
    let mut read = at.store().read_events(query).await?;
    let older = read.has_more.then_some(read.next);
    let (older, newer) = match turn {
        Turn::Newest => (older, None),
        Turn::Below(place) => (older, Some(place)),
        Turn::From(_) if !read.has_more => return Ok(None),
        Turn::From(place) => {
            read.events.reverse();
            (Some(place), Some(read.next.saturating_add(1)))
        }
    };
    Ok(Some(Found {
        events: read.events,
        older,
        newer,
    }))
}

impl Turn {
    async fn read(at: &AtCompany, before: Option<UtcMillis>) -> Result<Self, Fault> {
        let place = |name| match at.visit.query.get(name) {
            None => Ok(None),
            Some(text) => text
                .parse::<Position>()
                .map(Some)
                .map_err(|_| Fault::NotFound),
        };
        Ok(match (place("older")?, place("newer")?, before) {
            (Some(place), _, _) => Self::Below(place),
            (None, Some(place), _) => Self::From(place),
            (None, None, None) => Self::Newest,
            (None, None, Some(time)) => {
                let last = at.store().position_before(time).await?;
                Self::Below(last.saturating_add(1))
            }
        })
    }
}

impl Row {
    fn of(at: &AtCompany, event: &Event) -> Self {
        let id = event.id().to_string();
        let payload = String::from_utf8_lossy(event.payload());
        Self {
            path: at.link(&format!("events/{id}")),
            id,
            event_type: event.event_type().to_string(),
            created: event.created().into(),
            preview: shortened(&payload, PREVIEW_CHARS_MAX),
            size: size_of(event),
        }
    }
}

/// The envelope's size.
fn size_of(event: &Event) -> String {
    let t = texts::default();
    let bytes = u64::try_from(event.json().len()).unwrap_or(u64::MAX);
    t.events.size_of(&t.numbers.count(bytes))
}
