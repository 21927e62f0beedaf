//! Subscriptions: making, reading, listing and deleting them. Changing one is in
//! [`crate::subscription_change`].

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderValue, header};
use serde::Serialize;
use tidings_domain::{
    api_key::Scope,
    company::CompanyId,
    cursor::Order,
    id::SubscriptionId,
    secret::Secret,
    subscription::{DisabledReason, EventTypes, ManagedBy, MaxPerSecond, Subscription},
    target::TargetUrl,
    time::UtcMillis,
};
use tidings_store::{Deleted, NewSubscription};
use utoipa::{IntoParams, ToSchema};

use crate::{
    answer,
    body::{Accepts, SMALL_BODY_BYTES_MAX},
    call::{Call, PathIds},
    caller,
    fields::{Fault, Form},
    openapi::CompanyIdSchema,
    paging::{Asked, Listing},
    problem::Problem,
    state::Api,
    values,
};

/// A subscription to make.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateSubscription)]
pub(crate) struct NewSubscriptionFields {
    /// Where to: an absolute URL of at most 2048 characters, without user name, password and
    /// fragment. In production `https` only, and no address that is not public.
    #[schema(value_type = String, format = "uri", example = "https://example.com/hooks")]
    url: TargetUrl,
    /// Which events; `*` and `client.*` are wildcards. Lower-cased and deduplicated.
    #[schema(rename = "eventTypes", value_type = Vec<String>, min_items = 1, max_items = 100,
        example = json!(["client.*", "invoice.paid"]))]
    event_types: EventTypes,
    /// The signing secret: `whsec_` and the base64 of 24 to 64 bytes, or 24 to 128 printable ASCII
    /// characters. Generated, if not given.
    #[schema(value_type = Option<String>, format = Password)]
    secret: Option<Secret>,
    /// A note of at most 1000 characters.
    description: Option<String>,
    /// Whether it receives from the start.
    #[schema(value_type = Option<bool>, default = true)]
    enabled: bool,
    /// Who manages it.
    #[schema(rename = "managedBy", value_type = Option<String>, default = "api",
        pattern = "^(api|portal|zapier|n8n|make)$")]
    managed_by: ManagedBy,
    /// How many attempts a second it gets at the most; null for as many as it takes.
    #[schema(rename = "maxPerSecond", value_type = Option<u16>, minimum = 1, maximum = 10_000)]
    max_per_second: Option<MaxPerSecond>,
    /// Whose it is. Needed with a platform key, and may be in the query instead.
    #[schema(rename = "companyId", value_type = Option<CompanyIdSchema>)]
    company: CompanyId,
}

/// A subscription. Its secret is shown when it is made and rotated, and never again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Subscription)]
pub(crate) struct SubscriptionView {
    /// `sub_…`.
    #[schema(value_type = String, example = "sub_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    id: SubscriptionId,
    /// Whose it is.
    #[schema(value_type = String, example = "acme")]
    company_id: CompanyId,
    /// Where to, as it is dialled.
    #[schema(value_type = String, format = "uri", example = "https://example.com/hooks")]
    url: TargetUrl,
    /// Which events.
    #[schema(value_type = Vec<String>, example = json!(["client.*", "invoice.paid"]))]
    event_types: EventTypes,
    /// A note.
    #[schema(required = true)]
    description: Option<String>,
    /// Whether it receives anything.
    enabled: bool,
    /// Why the server disabled it: `gone` (the receiver answered 410) or `failing` (it did nothing
    /// but fail for five days). Null where it did not.
    #[schema(required = true, value_type = Option<String>, example = json!(null))]
    disabled_reason: Option<&'static str>,
    /// Who manages it.
    #[schema(value_type = String, pattern = "^(api|portal|zapier|n8n|make)$", example = "api")]
    managed_by: &'static str,
    /// How many attempts a second it gets at the most; null for as many as it takes.
    #[schema(required = true, value_type = Option<u16>, minimum = 1, maximum = 10_000, example = json!(null))]
    max_per_second: Option<u16>,
    /// Its circuit breaker: `closed`, deliveries are made; `open`, it keeps failing and is left
    /// alone for a while; `halfOpen`, one delivery is made to see whether it works again.
    #[schema(value_type = String, pattern = "^(closed|open|halfOpen)$", example = "closed")]
    breaker: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T08:30:00.000Z")]
    created_utc: UtcMillis,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T08:30:00.000Z")]
    updated_utc: UtcMillis,
}

/// A subscription and its secret, which is shown here and nowhere else.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedSubscription)]
struct CreatedView<'a> {
    #[serde(flatten)]
    subscription: SubscriptionView,
    /// What signs its deliveries. Keep it: it is not shown again.
    #[schema(format = Password, example = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=")]
    secret: &'a str,
}

impl SubscriptionView {
    /// A subscription as it is at `now`.
    pub(crate) fn at(now: UtcMillis, subscription: Subscription) -> Self {
        Self {
            id: subscription.id,
            company_id: subscription.company,
            url: subscription.url,
            event_types: subscription.event_types,
            description: subscription.description,
            enabled: subscription.enabled,
            disabled_reason: subscription.disabled_reason.map(DisabledReason::as_str),
            managed_by: subscription.managed_by.as_str(),
            max_per_second: subscription.max_per_second.map(MaxPerSecond::get),
            breaker: subscription.health.breaker_at(now).as_str(),
            created_utc: subscription.created,
            updated_utc: subscription.updated,
        }
    }
}

/// Reads a target URL, as far as it can be judged without resolving anything.
pub(crate) fn target_url(
    api: &Api,
    value: &serde_json::value::RawValue,
) -> Result<TargetUrl, Fault> {
    TargetUrl::parse(&values::text(value)?, api.environment)
        .map_err(|error| error.to_string().into())
}

/// Asks whether deliveries may go there now; 422 where they may not.
pub(crate) async fn check_target(
    api: &Api,
    company: &CompanyId,
    url: &TargetUrl,
) -> Result<(), Problem> {
    let _share = api.overload.admit_url_check(company)?;
    let checked = api.outbound.check_target(url).await;
    checked.map_err(|refusal| Problem::invalid_field("/url", refusal.0))
}

/// An answer that shows a subscription with its `ETag`.
pub(crate) fn shown(version: i64, view: &impl Serialize) -> Response {
    let mut response = answer::json(view);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

impl NewSubscriptionFields {
    fn read(
        api: &Api,
        form: &mut Form<'_>,
        company: impl FnOnce(&mut Form<'_>) -> Result<Option<CompanyId>, Problem>,
    ) -> Result<Option<Self>, Problem> {
        let url = form.required("url", |value| target_url(api, value));
        let event_types = form.required("eventTypes", values::event_types);
        let secret = form.optional("secret", values::secret);
        let description = form.optional("description", values::description);
        let enabled = form.optional("enabled", values::boolean).unwrap_or(true);
        let managed_by = form
            .optional("managedBy", values::managed_by)
            .unwrap_or_default();
        let max_per_second = form.optional("maxPerSecond", values::max_per_second);
        let company = company(form)?;
        let needed = url.zip(event_types).zip(company);
        Ok(needed.map(|((url, event_types), company)| Self {
            url,
            event_types,
            secret,
            description,
            enabled,
            managed_by,
            max_per_second,
            company,
        }))
    }
}

/// Make a subscription
///
/// Events published from now on are matched to it. The answer is the only one that shows the
/// secret. At most 64 URLs of a company are looked at at a time; beyond it the answer is 503.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/subscriptions",
    operation_id = "createSubscription",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:write"]), ("bearer" = ["webhooks:write"])),
    params(("companyId" = inline(Option<CompanyIdSchema>), Query, description = "See the body.")),
    request_body = NewSubscriptionFields,
    responses((status = 201, description = "Made", body = CreatedView<'_>,
        headers(
            ("Location" = String, description = "Path of the subscription"),
            ("ETag" = String, description = "Its version, for `If-Match`"),
        )))
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    call: Call,
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
    let mut query = call.query();
    let in_query = query.company();
    query.finish()?;
    let mut form = Form::read(&body.bytes)?;
    let fields = NewSubscriptionFields::read(&api, &mut form, |form| {
        caller::company_for(caller, form, in_query)
    })?;
    let fields = form.finish(fields)?;
    check_target(&api, &fields.company, &fields.url).await?;
    let now = api.clock.now();
    let random = api.random.as_ref();
    let secret = fields.secret.unwrap_or_else(|| Secret::generate(random));
    let new = NewSubscription {
        id: SubscriptionId::new(now, random),
        company: fields.company,
        url: fields.url,
        event_types: fields.event_types,
        secret: secret.clone(),
        description: fields.description,
        enabled: fields.enabled,
        managed_by: fields.managed_by,
        max_per_second: fields.max_per_second,
        now,
    };
    let by = call.actor(caller);
    let subscription = api.store.create_subscription(new, &by).await?;
    let location = format!("/api/v1/webhooks/subscriptions/{}", subscription.id);
    let version = subscription.version;
    let view = CreatedView {
        subscription: SubscriptionView::at(now, subscription),
        secret: secret.expose(),
    };
    Ok(answer::created(shown(version, &view), location))
}

/// Which subscriptions to list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query, whose parameters are read one by one"
)]
pub(crate) struct SubscriptionListQuery {
    /// At most so many.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000, default = 100)]
    limit: (),
    /// `X-Paging-Cursor` of an earlier answer: go on from there.
    #[param(value_type = Option<String>)]
    cursor: (),
    /// `asc`: oldest first. `desc`: newest first.
    #[param(value_type = Option<String>, default = "asc", pattern = "^(asc|desc)$")]
    order: (),
    /// Whose. Needed with a platform key, unless a cursor says it.
    #[param(rename = "companyId", value_type = Option<CompanyIdSchema>)]
    company_id: (),
}

/// List subscriptions
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/subscriptions",
    operation_id = "listSubscriptions",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:read"]), ("bearer" = ["webhooks:read"])),
    params(SubscriptionListQuery),
    responses((status = 200, description = "A page, possibly empty", body = Vec<SubscriptionView>,
        headers(
            ("X-Paging-Cursor" = String, description = "Where to go on"),
            ("X-Paging-Has-More" = String, description = "`true` where more follow"),
            ("Link" = String, description = "The next page, with `rel=\"next\"`, where there is more"),
        )))
)]
pub(crate) async fn list(State(api): State<Arc<Api>>, call: Call) -> Result<Response, Problem> {
    let caller = call.caller(Scope::WebhooksRead)?;
    let mut query = call.query();
    let asked = Asked::read(&mut query);
    let named = query.company();
    query.finish()?;
    let company = caller::reach(caller, named)?;
    let mut place = asked.place(
        &api,
        Listing {
            name: "subscriptions",
            owner: company.as_ref().map(CompanyId::as_str),
            filters: None,
            default_order: Order::Ascending,
            has_now: false,
        },
    )?;
    place.names_company = caller.company.is_none();
    let page = api
        .store
        .subscriptions(&place.company()?, place.order, place.after(), place.limit)
        .await?;
    let subscriptions = page.subscriptions.into_iter();
    let now = api.clock.now();
    let views: Vec<_> = subscriptions
        .map(|subscription| SubscriptionView::at(now, subscription))
        .collect();
    let json = serde_json::to_vec(&views).unwrap_or_default().into();
    Ok(place.answer(&api, call.path(), json, page.next, page.has_more))
}

/// Read one subscription
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/subscriptions/{id}",
    operation_id = "getSubscription",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:read"]), ("bearer" = ["webhooks:read"])),
    params(("id" = String, Path, description = "`sub_…`")),
    responses((status = 200, description = "The subscription", body = SubscriptionView,
        headers(("ETag" = String, description = "Its version, for `If-Match`"))))
)]
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    let caller = call.caller(Scope::WebhooksRead)?;
    let company = call.company(caller)?;
    let subscription = found(&api, company.as_ref(), ids.subscription()?).await?;
    let version = subscription.version;
    let view = SubscriptionView::at(api.clock.now(), subscription);
    Ok(shown(version, &view))
}

/// The subscription, if it exists for the company; 404 otherwise.
pub(crate) async fn found(
    api: &Api,
    company: Option<&CompanyId>,
    id: SubscriptionId,
) -> Result<Subscription, Problem> {
    let subscription = api.store.subscription(company, id).await?;
    subscription.ok_or_else(|| Problem::not_found("subscription"))
}

/// Delete a subscription
///
/// What it was still owed is dropped; its attempts stay readable. Deleting it again is 204 too; 404
/// is for one that never was.
#[utoipa::path(
    delete,
    path = "/api/v1/webhooks/subscriptions/{id}",
    operation_id = "deleteSubscription",
    tag = "Subscriptions",
    security(("apiKey" = ["webhooks:write"]), ("bearer" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`sub_…`")),
    responses((status = 204, description = "It is gone"))
)]
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    let caller = call.caller(Scope::WebhooksWrite)?;
    let company = call.company(caller)?;
    let id = ids.subscription()?;
    let (now, by) = (api.clock.now(), call.actor(caller));
    match api
        .store
        .delete_subscription(company.as_ref(), id, now, &by)
        .await?
    {
        Deleted::Gone => Ok(answer::no_content()),
        Deleted::NeverWas => Err(Problem::not_found("subscription")),
    }
}
