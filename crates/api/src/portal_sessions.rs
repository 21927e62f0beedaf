//! Sessions of the portal: a link by which somebody of a company gets in, made for the platform,
//! which knows who they are.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use tidings_domain::{
    api_key::{ApiKey, Scope},
    company::CompanyId,
    portal_token::PortalToken,
    time::UtcMillis,
    visitor::Role,
};
use tidings_store::{Link, LinkPurpose};
use utoipa::ToSchema;

use crate::{
    answer,
    body::{Accepts, SMALL_BODY_BYTES_MAX},
    call::Call,
    caller,
    fields::Form,
    openapi::CompanyIdSchema,
    problem::Problem,
    state::Api,
    values,
};

/// How long a link and its session last where nobody says, in minutes.
const EXPIRES_IN_MINUTES_DEFAULT: i64 = 60;
/// How long they may last, in minutes: a day.
const EXPIRES_IN_MINUTES_MAX: i64 = 24 * 60;
const MINUTE_MS: i64 = 60 * 1000;

/// Who is to get in.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreatePortalSession)]
pub(crate) struct SessionFields {
    /// Whose portal it is. Needed, and may be in the query instead.
    #[schema(rename = "companyId", value_type = Option<CompanyIdSchema>)]
    company: CompanyId,
    /// `admin`: may do everything of the company. `viewer`: may look, and changes nothing.
    #[schema(value_type = String, pattern = "^(admin|viewer)$", example = "admin")]
    role: Role,
    /// How long the link can be opened, and how long the session lasts that it opens.
    #[schema(rename = "expiresInMinutes", value_type = Option<i64>, minimum = 1, maximum = 1440,
        default = 60)]
    expires_in_minutes: i64,
}

/// A way in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PortalSession)]
struct SessionView {
    /// The link. Whoever opens it first is in; it is good once. Redirect the browser to it, or put
    /// it into an `iframe` of an origin that the server was told of.
    #[schema(
        format = "uri",
        example = "https://webhooks.example.com/portal/enter/c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ"
    )]
    url: String,
    /// When the link, and the session that it opens, end.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T09:30:00.000Z")]
    expires_utc: UtcMillis,
}

impl SessionFields {
    fn read(
        caller: &ApiKey,
        mut form: Form<'_>,
        in_query: Option<CompanyId>,
    ) -> Result<Self, Problem> {
        let company = caller::company_for(caller, &mut form, in_query)?;
        let role = form.required("role", |value| {
            values::word(value, Role::parse, "admin, viewer")
        });
        let minutes = values::integer_in(1..=EXPIRES_IN_MINUTES_MAX);
        let expires_in_minutes = form
            .optional("expiresInMinutes", minutes)
            .unwrap_or(EXPIRES_IN_MINUTES_DEFAULT);
        let fields = company.zip(role).map(|(company, role)| Self {
            company,
            role,
            expires_in_minutes,
        });
        form.finish(fields)
    }
}

/// Open the portal for somebody
///
/// Makes a link that opens `/portal` as somebody of a company, without another sign-in. It is good
/// once: the first to open it is in, and anybody after that is not. `expiresUtc` ends both the link
/// and the session that it opens, however late it is opened; ask for another one then. Only a
/// platform key may ask.
#[utoipa::path(
    post,
    path = "/api/v1/portal/sessions",
    operation_id = "createPortalSession",
    tag = "Portal",
    security(("apiKey" = ["admin"]), ("bearer" = ["admin"])),
    params(("companyId" = inline(Option<CompanyIdSchema>), Query, description = "See the body.")),
    request_body = SessionFields,
    responses((status = 201, description = "The link is good", body = SessionView))
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
            Scope::Admin,
            SMALL_BODY_BYTES_MAX,
            Accepts::Json,
        )
        .await?;
    caller::platform_only(
        caller,
        "only a key of the platform lets people into the portal",
    )?;
    let mut query = call.query();
    let in_query = query.company();
    query.finish()?;
    let fields = SessionFields::read(caller, Form::read(&body.bytes)?, in_query)?;
    let now = api.clock.now();
    let expires = now.plus_millis(fields.expires_in_minutes * MINUTE_MS);
    let purpose = LinkPurpose::Enter {
        company: fields.company,
        role: fields.role,
    };
    let token = PortalToken::generate(api.random.as_ref());
    let link = Link { purpose, expires };
    api.store.create_link(token.hash(), link).await?;
    let view = SessionView {
        url: format!("{}/portal/enter/{}", api.public_url, token.expose()),
        expires_utc: expires,
    };
    Ok(answer::with_status(
        answer::json(&view),
        StatusCode::CREATED,
    ))
}
