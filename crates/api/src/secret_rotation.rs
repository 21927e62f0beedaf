//! Rotating a subscription's signing secret.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use serde::Serialize;
use tidings_domain::{
    api_key::Scope, secret::Secret, subscription::OVERLAP_HOURS_MAX, time::UtcMillis,
};
use tidings_store::Rotated;
use utoipa::ToSchema;

use crate::{
    answer,
    body::{Accepts, SMALL_BODY_BYTES_MAX},
    call::{Call, PathIds},
    fields::Form,
    problem::Problem,
    state::Api,
    values,
};

/// How long both secrets are valid where nobody says, in hours.
const OVERLAP_HOURS_DEFAULT: i64 = 24;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// A rotation. The body may be missing.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateSecret)]
pub(crate) struct RotationFields {
    /// The new secret; generated, if not given. The same forms as when a subscription is made.
    #[schema(value_type = Option<String>, format = Password)]
    secret: Option<Secret>,
    /// For how long the old one stays valid beside it; 0 ends it at once.
    #[schema(rename = "overlapHours", value_type = Option<i64>, minimum = 0, maximum = 168,
        default = 24)]
    overlap_hours: i64,
}

/// The new secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RotatedSecret)]
struct RotatedView<'a> {
    /// What signs from now on. Keep it: it is not shown again.
    #[schema(format = Password, example = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=")]
    secret: &'a str,
    /// Until when deliveries carry a signature of the old one, too.
    #[schema(value_type = String, format = DateTime, example = "2026-11-24T08:30:00.000Z")]
    previous_secret_expires_utc: UtcMillis,
}

/// Rotate the signing secret
///
/// During the overlap deliveries carry signatures of both. At most two secrets are valid at a time:
/// a further rotation ends the oldest.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/subscriptions/{id}/secret/rotate",
    operation_id = "rotateSecret",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:write"]), ("bearer" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`sub_…`")),
    request_body = Option<RotationFields>,
    responses((status = 200, description = "The new secret signs", body = RotatedView<'_>))
)]
pub(crate) async fn rotate(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
    body: Body,
) -> Result<Response, Problem> {
    let (caller, body) = call
        .receive(
            &api,
            body,
            Scope::WebhooksWrite,
            SMALL_BODY_BYTES_MAX,
            Accepts::Json,
        )
        .await?;
    let company = call.company(caller)?;
    let id = ids.subscription()?;
    let mut form = Form::read_or_empty(&body.bytes)?;
    let fields = RotationFields {
        secret: form.optional("secret", values::secret),
        overlap_hours: form
            .optional("overlapHours", values::integer_in(0..=OVERLAP_HOURS_MAX))
            .unwrap_or(OVERLAP_HOURS_DEFAULT),
    };
    let fields = form.finish(Some(fields))?;
    let secret = fields.secret;
    let secret = secret.unwrap_or_else(|| Secret::generate(api.random.as_ref()));
    let now = api.clock.now();
    let previous_until = now.plus_millis(fields.overlap_hours * HOUR_MS);
    let rotated = api
        .store
        .rotate_secret(
            company.as_ref(),
            id,
            secret.clone(),
            now,
            previous_until,
            &call.actor(caller),
        )
        .await?;
    match rotated {
        Rotated::Done => Ok(answer::json(&RotatedView {
            secret: secret.expose(),
            previous_secret_expires_utc: previous_until,
        })),
        Rotated::NotFound => Err(Problem::not_found("subscription")),
    }
}
