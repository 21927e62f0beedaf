//! A look at a URL while somebody types it. The script of the form asks; saving asks again.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use super::form::judge_url;
use crate::{fault::Fault, texts, visit::PostedAt};

/// What is said of a URL.
#[derive(Serialize)]
struct Said {
    /// Whether deliveries may go there; none where it could not be found out right now.
    fine: Option<bool>,
    /// The same in a sentence.
    says: String,
}

/// Looks at the field `url`.
pub(super) async fn check(posted: PostedAt) -> Result<Response, Fault> {
    let (at, t) = (&posted.at, texts::default());
    let portal = &at.visit.portal;
    let Some(_slot) = portal.webhooks.url_checks.take(&at.company) else {
        return Ok(answer(None, t.webhooks.url_not_checked.to_owned()));
    };
    let text = posted.fields.get("url").unwrap_or_default();
    let answer = match judge_url(portal, text, None, t).await {
        Ok(_) => answer(Some(true), t.webhooks.url_fine.to_owned()),
        Err(mistake) => answer(Some(false), mistake),
    };
    Ok(answer)
}

fn answer(fine: Option<bool>, says: String) -> Response {
    Json(Said { fine, says }).into_response()
}
