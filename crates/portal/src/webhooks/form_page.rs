//! The page with the form of a webhook, for a new one and for one that is there.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tidings_domain::subscription::Subscription;

use super::{
    create::promise,
    form::{Mistakes, WebhookForm},
    path_of,
    type_picker::{Choice, TypePicker},
};
use crate::{
    fault::Fault,
    page::{Page, Section, render},
    texts,
    visit::AtCompany,
};

#[derive(Template)]
#[template(path = "webhook_form.html")]
struct FormPage {
    page: Page,
    /// Where the form is sent to.
    action: String,
    /// Where one goes who changes nothing.
    back: String,
    check_url: String,
    form: WebhookForm,
    mistakes: Mistakes,
    picker: TypePicker,
    purpose: Purpose,
    /// What is there now, where somebody else changed it meanwhile.
    conflict: Option<Conflict>,
}

/// What a form is for.
pub(super) enum Purpose {
    /// A new webhook. The id that it will have, and the proof that we gave it out.
    New { id: String, seal: String },
    /// One that is there, as it was in this version.
    Change { version: i64 },
}

/// What is there now and differs from what was typed, by field.
#[derive(Default)]
struct Conflict {
    url: Option<String>,
    types: Option<String>,
    description: Option<String>,
    max_per_second: Option<String>,
    enabled: Option<&'static str>,
}

/// How the form comes back.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) status: StatusCode,
    pub(super) mistakes: Mistakes,
    /// Whether somebody else changed the webhook meanwhile.
    pub(super) stale: bool,
}

impl Verdict {
    /// There are mistakes in it.
    pub(super) fn mistaken(mistakes: Mistakes) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            mistakes,
            stale: false,
        }
    }
}

/// The form for a new webhook.
pub(super) async fn for_new(
    at: &AtCompany,
    form: WebhookForm,
    id: String,
    verdict: Verdict,
) -> Result<Response, Fault> {
    let t = texts::default();
    let page = FormPage {
        page: at.page(Section::Webhooks, t.webhooks.new_title),
        action: at.link("webhooks/new"),
        back: at.link("webhooks"),
        check_url: at.link("webhooks/check-url"),
        picker: TypePicker::at(at, &form.ticked).await?,
        form,
        mistakes: verdict.mistakes,
        purpose: Purpose::New {
            seal: at.visit.seal(&promise(at, &id)),
            id,
        },
        conflict: None,
    };
    Ok((verdict.status, render(&page)?).into_response())
}

/// The form for a webhook that is there.
pub(super) async fn for_change(
    at: &AtCompany,
    webhook: &Subscription,
    form: WebhookForm,
    verdict: Verdict,
) -> Result<Response, Fault> {
    let t = texts::default();
    let path = path_of(at, webhook.id);
    let conflict = verdict.stale.then(|| Conflict::between(&form, webhook));
    let page = FormPage {
        page: at.page(Section::Webhooks, t.webhooks.edit_title),
        action: format!("{path}/edit"),
        back: path,
        check_url: at.link("webhooks/check-url"),
        picker: TypePicker::at(at, &form.ticked).await?,
        form,
        mistakes: verdict.mistakes,
        purpose: Purpose::Change {
            version: webhook.version,
        },
        conflict,
    };
    Ok((verdict.status, render(&page)?).into_response())
}

impl Conflict {
    fn between(form: &WebhookForm, webhook: &Subscription) -> Self {
        let t = texts::default();
        let there = WebhookForm::of(webhook);
        let or_none = |text: String| match text.as_str() {
            "" => t.common.none.to_owned(),
            _ => text,
        };
        let enabled = if there.enabled {
            t.webhooks.enabled.0
        } else {
            t.webhooks.disabled.0
        };
        let types = form.ticked != there.ticked || !form.more_types.is_empty();
        Self {
            url: (form.url != there.url).then_some(there.url),
            types: types.then(|| there.ticked.join(", ")),
            description: (form.description != there.description)
                .then(|| or_none(there.description)),
            max_per_second: (form.max_per_second != there.max_per_second)
                .then(|| or_none(there.max_per_second)),
            enabled: (form.enabled != there.enabled).then_some(enabled),
        }
    }
}

impl FormPage {
    /// Whether it is for a new webhook.
    fn is_new(&self) -> bool {
        matches!(self.purpose, Purpose::New { .. })
    }

    /// The ids of what is said about a field: its hint, and its mistake where it has one.
    #[expect(clippy::unused_self, reason = "templates reach it by the page alone")]
    fn described(&self, field: &str, mistake: Option<&String>) -> String {
        match mistake {
            Some(_) => format!("{field}-error {field}-hint"),
            None => format!("{field}-hint"),
        }
    }

    /// The boxes.
    fn choices(&self) -> &[Choice] {
        &self.picker.choices
    }
}
