//! Lines of the delivery log, as the page and what updates it show them.

use askama::Template;
use tidings_store::{PlacedAttempt, Position};

use crate::{
    attempt_words::{AttemptWords, shortened},
    fault::Fault,
    moment::Moment,
    query_form::address,
    texts::Texts,
};

/// Characters of a URL that a line shows: a page of lines stays small.
const URL_CHARS_MAX: usize = 60;

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) place: Position,
    pub(super) path: String,
    pub(super) at: Moment,
    pub(super) words: AttemptWords,
    pub(super) next: Option<Moment>,
    pub(super) event_type: String,
    pub(super) event: String,
    pub(super) event_path: String,
    pub(super) url: String,
    pub(super) webhook_path: String,
    pub(super) number: String,
    pub(super) elapsed: String,
}

/// Lines without a page around them.
#[derive(Template)]
#[template(path = "log_rows.html")]
struct Rows<'r> {
    t: &'static Texts,
    rows: &'r [Row],
}

impl Row {
    /// The line about an attempt; `base` is the path of the company's pages, with its slash.
    pub(super) fn of(placed: &PlacedAttempt, base: &str, t: &'static Texts) -> Self {
        let attempt = &placed.attempt;
        let webhook = [("webhook", attempt.subscription.to_string())];
        Self {
            place: placed.place,
            path: format!("{base}log/{}", placed.place),
            at: attempt.attempted.into(),
            words: AttemptWords::of(attempt, t),
            next: attempt.next_attempt.map(Moment::from),
            event_type: attempt.event_type.to_string(),
            event: attempt.event.to_string(),
            event_path: format!("{base}events/{}", attempt.event),
            url: shortened(&attempt.request.url, URL_CHARS_MAX),
            webhook_path: address(&format!("{base}log"), &webhook),
            number: t.log.number_of(attempt.number, placed.round),
            elapsed: t.numbers.elapsed(Some(attempt.elapsed_ms)),
        }
    }
}

/// The markup of lines, as the page's table has them.
pub(super) fn markup(rows: &[Row], t: &'static Texts) -> Result<String, Fault> {
    let markup = Rows { t, rows }.render();
    markup.map_err(|error| {
        tracing::error!(%error, "a template failed");
        Fault::Internal
    })
}
