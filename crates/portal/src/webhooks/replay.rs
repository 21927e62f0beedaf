//! Replaying a range of events to a webhook: first how many there are, then a word, then how far
//! it is.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use tidings_domain::{subscription::Subscription, time::UtcMillis};
use tidings_store::{ReplayCount, ReplayScope, ReplayWindow};

use super::{
    admins_only, found, path_of,
    replay_runs::{self, End, ReplayRun},
};
use crate::{
    fault::Fault,
    moment::{Moment, parse_field, shown_in_field},
    page::{Page, Section, render},
    texts,
    visit::{AtCompany, Fields, PostedAt},
};

/// Deliveries that are counted before somebody decides.
const COUNT_MAX: u64 = 10_000;
/// How far back the form begins, in milliseconds.
const SUGGESTED_MS: i64 = 24 * 60 * 60 * 1000;

/// What somebody typed, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplayForm {
    pub(super) since: String,
    pub(super) until: String,
    pub(super) only: String,
    pub(super) since_mistake: Option<String>,
    pub(super) until_mistake: Option<String>,
    pub(super) only_mistake: Option<String>,
}

#[derive(Template)]
#[template(path = "webhook_replay.html")]
struct ReplayPage {
    page: Page,
    path: String,
    url: String,
    replay: ReplayForm,
    /// How many there are, where that was asked.
    counted: Option<Counted>,
}

/// How many deliveries a replay would ask for.
struct Counted {
    sentence: String,
    /// Whether there is anything to replay.
    some: bool,
}

#[derive(Template)]
#[template(path = "webhook_replay_run.html")]
struct RunPage {
    page: Page,
    path: String,
    url: String,
    /// Where the part of the page is that changes.
    own_path: String,
    since: Moment,
    until: Option<Moment>,
    scope: &'static str,
    started: Moment,
    log: String,
    state: RunState,
}

/// The part of the page that changes.
#[derive(Template)]
#[template(path = "webhook_replay_state.html")]
struct RunPart {
    page: Page,
    state: RunState,
}

/// How far a replay is.
struct RunState {
    ended: bool,
    /// The notice's class.
    class: &'static str,
    sentence: String,
}

#[derive(Template)]
#[template(path = "webhook_replay_unknown.html")]
struct UnknownPage {
    page: Page,
    path: String,
    url: String,
    audit: String,
}

impl ReplayForm {
    /// What a form begins with.
    pub(super) fn suggested(now: UtcMillis) -> Self {
        Self {
            since: shown_in_field(now.plus_millis(-SUGGESTED_MS)),
            only: ReplayScope::Failed.as_str().to_owned(),
            ..Self::default()
        }
    }

    fn read(fields: &Fields) -> Self {
        let text = |name| fields.get(name).unwrap_or_default().to_owned();
        Self {
            since: text("since"),
            until: text("until"),
            only: text("only"),
            ..Self::default()
        }
    }

    /// Whether this is the choice.
    pub(super) fn is(&self, only: &str) -> bool {
        self.only == only
    }

    /// The window that it means; none where there are mistakes, which it then names.
    fn judge(&mut self) -> Option<ReplayWindow> {
        let t = &texts::default().replays;
        let since = parse_field(&self.since).ok();
        if since.is_none() {
            self.since_mistake = Some(t.no_time.to_owned());
        }
        let until = (!self.until.is_empty()).then(|| parse_field(&self.until));
        if matches!(until, Some(Err(_))) {
            self.until_mistake = Some(t.no_time.to_owned());
        }
        let until = until.and_then(Result::ok);
        if let (Some(since), Some(until)) = (since, until)
            && until <= since
        {
            self.until_mistake = Some(t.until_before.to_owned());
        }
        let scope = ReplayScope::parse(&self.only);
        if scope.is_none() {
            self.only_mistake = Some(t.only_missing.to_owned());
        }
        if self.until_mistake.is_some() {
            return None;
        }
        Some(ReplayWindow {
            since: since?,
            until,
            scope: scope?,
        })
    }
}

/// The form; with a range in the query, how many events it holds.
pub(super) async fn page(at: AtCompany) -> Result<Response, Fault> {
    admins_only(&at)?;
    let webhook = found(&at).await?;
    let query = &at.visit.query;
    let is_asked = ["since", "until", "only"]
        .iter()
        .any(|name| query.has(name));
    if !is_asked {
        let replay = ReplayForm::suggested(at.visit.now());
        return form_page(&at, &webhook, replay, None);
    }
    let mut replay = ReplayForm::read(query);
    match replay.judge() {
        Some(window) => {
            let counted = count(&at, &webhook, window).await?;
            form_page(&at, &webhook, replay, Some(counted))
        }
        None => mistaken(&at, &webhook, replay),
    }
}

async fn count(
    at: &AtCompany,
    webhook: &Subscription,
    window: ReplayWindow,
) -> Result<Counted, Fault> {
    let t = texts::default();
    let company = Some(&at.company);
    let count = at
        .store()
        .count_replay(company, webhook.id, window, COUNT_MAX);
    let (sentence, some) = match count.await? {
        ReplayCount::NoSubscription => return Err(Fault::NotFound),
        ReplayCount::Disabled => (t.replays.disabled.to_owned(), false),
        ReplayCount::Exactly(0) => (t.replays.nothing.to_owned(), false),
        ReplayCount::Exactly(count) => (t.replays.exactly(&t.numbers, count), true),
        ReplayCount::AtLeast(count) => (t.replays.at_least(&t.numbers, count), true),
    };
    Ok(Counted { sentence, some })
}

fn form_page(
    at: &AtCompany,
    webhook: &Subscription,
    replay: ReplayForm,
    counted: Option<Counted>,
) -> Result<Response, Fault> {
    render(&ReplayPage {
        page: at.page(Section::Webhooks, texts::default().replays.title),
        path: path_of(at, webhook.id),
        url: webhook.url.to_string(),
        replay,
        counted,
    })
}

fn mistaken(at: &AtCompany, webhook: &Subscription, replay: ReplayForm) -> Result<Response, Fault> {
    let page = form_page(at, webhook, replay, None)?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// Begins the replay.
pub(super) async fn start(posted: PostedAt) -> Result<Response, Fault> {
    let at = &posted.at;
    let webhook = found(at).await?;
    let mut replay = ReplayForm::read(&posted.fields);
    let Some(window) = replay.judge() else {
        return mistaken(at, &webhook, replay);
    };
    if !webhook.enabled {
        let counted = Counted {
            sentence: texts::default().replays.disabled.to_owned(),
            some: false,
        };
        let page = form_page(at, &webhook, replay, Some(counted))?;
        return Ok((StatusCode::CONFLICT, page).into_response());
    }
    let (portal, by) = (&at.visit.portal, at.visit.actor());
    let name = replay_runs::begin(portal, &at.company, webhook.id, window, by);
    let name = name.ok_or(Fault::Busy)?;
    let to = format!("{}/replay/{name}", path_of(at, webhook.id));
    Ok(Redirect::to(&to).into_response())
}

/// How far a replay is, or how it ended.
pub(super) async fn progress(at: AtCompany) -> Result<Response, Fault> {
    let webhook = found(&at).await?;
    let name = at.param("run", |name| Ok::<_, Fault>(name.to_owned()))?;
    let runs = &at.visit.portal.webhooks.replays;
    let t = texts::default();
    let (path, url) = (path_of(&at, webhook.id), webhook.url.to_string());
    let Some(run) = runs.get(&at.company, webhook.id, &name) else {
        let unknown = UnknownPage {
            page: at.page(Section::Webhooks, t.replays.unknown),
            path,
            url,
            audit: at.link("audit"),
        };
        return Ok((StatusCode::NOT_FOUND, render(&unknown)?).into_response());
    };
    let page = at.page(Section::Webhooks, t.replays.title);
    let state = RunState::of(&run);
    if at.visit.query.has("part") {
        return render(&RunPart { page, state });
    }
    render(&RunPage {
        own_path: format!("{path}/replay/{name}"),
        since: run.window.since.into(),
        until: run.window.until.map(Moment),
        scope: match run.window.scope {
            ReplayScope::Failed => t.replays.only_failed,
            ReplayScope::All => t.replays.all,
        },
        started: run.started.into(),
        log: at.link(&format!("log?webhook={}", webhook.id)),
        page,
        path,
        url,
        state,
    })
}

impl RunState {
    fn of(run: &Arc<ReplayRun>) -> Self {
        let t = texts::default();
        let (words, numbers) = (&t.replays, &t.numbers);
        let (class, sentence) = match run.end() {
            None => ("", words.so_far(numbers, run.queued())),
            Some(End::Done(count)) => ("ok", words.done(numbers, count)),
            Some(End::Disabled) => ("warn", words.ended_disabled.to_owned()),
            Some(End::Deleted) => ("warn", words.deleted.to_owned()),
            Some(End::Stopped) => ("warn", words.stopped.to_owned()),
            Some(End::Failed) => ("bad", words.failed.to_owned()),
        };
        Self {
            ended: run.end().is_some(),
            class,
            sentence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(since: &str, until: &str, only: &str) -> (Option<ReplayWindow>, [bool; 3]) {
        let mut form = ReplayForm {
            since: since.to_owned(),
            until: until.to_owned(),
            only: only.to_owned(),
            ..ReplayForm::default()
        };
        let window = form.judge();
        let mistakes = [
            form.since_mistake.is_some(),
            form.until_mistake.is_some(),
            form.only_mistake.is_some(),
        ];
        (window, mistakes)
    }

    #[test]
    fn a_range_is_read_in_utc_and_every_mistake_is_named() {
        let (window, mistakes) = judged("2026-11-23T08:30", "2026-11-23T09:30", "failed");
        let window = window.unwrap();
        assert_eq!(window.since.to_string(), "2026-11-23T08:30:00.000Z");
        assert_eq!(window.until.unwrap().since(window.since), 3_600_000);
        assert_eq!((window.scope, mistakes), (ReplayScope::Failed, [false; 3]));
        assert!(
            judged("2026-11-23T08:30", "", "all")
                .0
                .unwrap()
                .until
                .is_none()
        );
        assert_eq!(judged("", "x", "some"), (None, [true, true, true]));
        let backwards = judged("2026-11-23T08:30", "2026-11-23T08:30", "all");
        assert_eq!(backwards, (None, [false, true, false]));
    }
}
