//! Changing a subscription with a JSON merge patch (RFC 7396), guarded by `If-Match` (RFC 9110,
//! section 13.1.1).

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, header};
use tidings_domain::{
    api_key::Scope,
    subscription::{EventTypes, MaxPerSecond, Subscription},
    target::TargetUrl,
};
use tidings_store::{SubscriptionChange, Updated};
use utoipa::ToSchema;

use crate::{
    body::{Accepts, SMALL_BODY_BYTES_MAX},
    call::{Call, PathIds},
    fields::Form,
    problem::{Code, Problem},
    state::Api,
    subscriptions::{SubscriptionView, check_target, found, shown, target_url},
    values,
};

/// A change of a subscription: what is not there stays.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateSubscription)]
pub(crate) struct ChangedFields {
    /// A new URL, checked as when a subscription is made.
    #[schema(value_type = Option<String>, nullable = false, format = "uri")]
    url: Option<TargetUrl>,
    /// Other events.
    #[schema(rename = "eventTypes", value_type = Option<Vec<String>>, nullable = false,
        min_items = 1, max_items = 100)]
    event_types: Option<EventTypes>,
    /// Another note; null removes it.
    #[schema(value_type = Option<String>, max_length = 1000)]
    #[expect(
        clippy::option_option,
        reason = "missing, null and given are three things"
    )]
    description: Option<Option<String>>,
    /// Off ends what is pending, and nothing is owed meanwhile; on clears `disabledReason`.
    #[schema(nullable = false)]
    enabled: Option<bool>,
    /// Another delivery rate; null for as many attempts as it takes.
    #[schema(rename = "maxPerSecond", value_type = Option<u16>, minimum = 1, maximum = 10_000)]
    #[expect(
        clippy::option_option,
        reason = "missing, null and given are three things"
    )]
    max_per_second: Option<Option<MaxPerSecond>>,
}

impl ChangedFields {
    fn read(api: &Api, mut form: Form<'_>) -> Result<SubscriptionChange, Problem> {
        let fields = Self {
            url: form.present("url", |value| target_url(api, value)),
            event_types: form.present("eventTypes", values::event_types),
            description: form.nullable("description", values::description),
            enabled: form.present("enabled", values::boolean),
            max_per_second: form.nullable("maxPerSecond", values::max_per_second),
        };
        let change = SubscriptionChange {
            url: fields.url,
            event_types: fields.event_types,
            description: fields.description,
            enabled: fields.enabled,
            max_per_second: fields.max_per_second,
        };
        form.finish(Some(change))
    }
}

/// Change a subscription
///
/// A JSON merge patch: what is not in the body stays as it is. With `If-Match`, only if nobody
/// changed it since.
#[utoipa::path(
    patch,
    path = "/api/v1/webhooks/subscriptions/{id}",
    operation_id = "updateSubscription",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:write"]), ("bearer" = ["webhooks:write"])),
    params(
        ("id" = String, Path, description = "`sub_…`"),
        ("If-Match" = Option<String>, Header, description = "`ETag` values of which one has to \
            be the current one, or `*`", example = "\"3\""),
    ),
    request_body(content(
        (ChangedFields = "application/merge-patch+json"),
        (ChangedFields = "application/json"),
    )),
    responses(
        (status = 200, description = "As it is now", body = SubscriptionView,
            headers(("ETag" = String, description = "Its version, for `If-Match`"))),
        (status = 412, description = "It was changed since", body = crate::problem::ProblemBody<'_>,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
    body: Body,
) -> Result<Response, Problem> {
    let accepts = Accepts::JsonOrMergePatch;
    let (caller, body) = call
        .receive(
            &api,
            body,
            Scope::WebhooksWrite,
            SMALL_BODY_BYTES_MAX,
            accepts,
        )
        .await?;
    let company = call.company(caller)?;
    let id = ids.subscription()?;
    let current = found(&api, company.as_ref(), id).await?;
    let guarded = call.headers.contains_key(header::IF_MATCH);
    if guarded && !matches_version(&call.headers, current.version) {
        return Err(stale());
    }
    let change = ChangedFields::read(&api, Form::read(&body.bytes)?)?;
    if let Some(url) = &change.url {
        check_target(&api, &current.company, url).await?;
    }
    if is_empty(&change) {
        return Ok(answer(&api, current));
    }
    let expected = guarded.then_some(current.version);
    let (now, by) = (api.clock.now(), call.actor(caller));
    let updated = api
        .store
        .update_subscription(company.as_ref(), id, expected, change, now, &by)
        .await?;
    match updated {
        Updated::Changed(subscription) => Ok(answer(&api, subscription)),
        Updated::NotFound => Err(Problem::not_found("subscription")),
        Updated::Stale => Err(stale()),
    }
}

fn answer(api: &Api, subscription: Subscription) -> Response {
    let version = subscription.version;
    shown(
        version,
        &SubscriptionView::at(api.clock.now(), subscription),
    )
}

fn is_empty(change: &SubscriptionChange) -> bool {
    change.url.is_none()
        && change.event_types.is_none()
        && change.description.is_none()
        && change.enabled.is_none()
        && change.max_per_second.is_none()
}

fn stale() -> Problem {
    let detail = "the subscription is not in the version that If-Match names; read it again";
    Problem::new(Code::PreconditionFailed, detail)
}

/// Whether `If-Match` holds: `*`, or a list with the current tag. Tags are compared strongly, so a
/// weak one never matches.
fn matches_version(headers: &HeaderMap, version: i64) -> bool {
    let current = format!("\"{version}\"");
    let values = headers.get_all(header::IF_MATCH).iter();
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim_ascii);
    tags.any(|tag| tag == "*" || tag == current)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn tags_are_compared_strongly() {
        for (value, matches) in [
            ("*", true),
            ("\"3\"", true),
            ("\"1\", \"3\"", true),
            (" \"1\" ,\"2\"", false),
            ("W/\"3\"", false),
            ("3", false),
            ("\"33\"", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(value));
            assert_eq!(matches_version(&headers, 3), matches, "{value}");
        }
    }
}
