//! API keys: making, listing and revoking them, and asking which one it is that asks.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use serde::Serialize;
use tidings_domain::{
    api_key::{ApiKey, ApiKeyToken, Scope},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::NewApiKey;
use utoipa::ToSchema;

use crate::{
    answer,
    body::{Accepts, SMALL_BODY_BYTES_MAX},
    call::{Call, PathIds},
    caller,
    fields::Form,
    openapi::CompanyIdSchema,
    problem::{Code, Problem},
    state::Api,
    values,
};

/// A key to make.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateApiKey)]
pub(crate) struct NewKeyFields {
    /// A name by and for people, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, example = "billing service")]
    name: String,
    /// What it allows: `events:read`, `events:write`, `webhooks:read`, `webhooks:write` (includes
    /// `webhooks:read`), `admin` (everything, and keys).
    #[schema(value_type = Vec<String>, min_items = 1, example = json!(["events:write"]))]
    scopes: Vec<Scope>,
    /// Whose it is; null for the platform's own. A company's `admin` key makes keys for its own
    /// company alone, which need not be named then.
    #[schema(rename = "companyId", value_type = Option<CompanyIdSchema>)]
    company: Option<CompanyId>,
    /// When it ends; never, if not given.
    #[schema(rename = "expiresUtc", value_type = Option<String>, format = DateTime)]
    expires: Option<UtcMillis>,
}

/// A key without the key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
struct KeyView {
    /// `key_…`.
    #[schema(value_type = String, example = "key_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    id: ApiKeyId,
    /// A name by and for people.
    #[schema(example = "billing service")]
    name: String,
    /// Whose it is; null for the platform's own.
    #[schema(required = true, value_type = Option<String>, example = "acme")]
    company_id: Option<CompanyId>,
    /// What it allows.
    #[schema(value_type = Vec<String>, example = json!(["events:write"]))]
    scopes: Vec<Scope>,
    /// When it ends; null for never.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    expires_utc: Option<UtcMillis>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T08:30:00.000Z")]
    created_utc: UtcMillis,
    /// When it was last used, to the minute or so; null for never.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    last_used_utc: Option<UtcMillis>,
}

/// A key, shown once.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedApiKey)]
struct CreatedKeyView<'a> {
    #[serde(flatten)]
    view: KeyView,
    /// The key itself. Keep it: only a hash of it is stored.
    #[schema(format = Password, example = "tdg_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ")]
    key: &'a str,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Me)]
struct MeView<'a> {
    /// The key's id.
    #[schema(value_type = String, example = "key_01k3zt5w9hf0bvv8d6n7q2m4xe")]
    key_id: ApiKeyId,
    /// Its name.
    #[schema(example = "billing service")]
    name: &'a str,
    /// Whose it is; null for the platform's own.
    #[schema(required = true, value_type = Option<String>, example = "acme")]
    company_id: Option<&'a CompanyId>,
    /// What it allows.
    #[schema(value_type = Vec<String>, example = json!(["events:write"]))]
    scopes: &'a [Scope],
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            company_id: key.company,
            scopes: key.scopes,
            expires_utc: key.expires,
            created_utc: key.created,
            last_used_utc: key.last_used,
        }
    }
}

impl NewKeyFields {
    fn read(
        caller: &ApiKey,
        mut form: Form<'_>,
        in_query: Option<CompanyId>,
    ) -> Result<Self, Problem> {
        let name = form.required("name", values::key_name);
        let scopes = form.required("scopes", values::scopes);
        let expires = form.optional("expiresUtc", values::instant);
        let company = match form.nullable("companyId", values::company) {
            Some(None) if caller.company.is_some() => {
                let detail = "a company's key makes keys for its own company alone";
                return Err(Problem::new(Code::ForeignCompany, detail));
            }
            named => caller::reach(caller, named.flatten())?,
        };
        let by_query = caller::reach(caller, in_query)?;
        if let (Some(company), Some(by_query)) = (&company, &by_query)
            && company != by_query
        {
            form.refuse("companyId", "must be the same in body and query");
        }
        let company = company.or(by_query);
        let fields = name.zip(scopes).map(|(name, scopes)| Self {
            name,
            scopes,
            company,
            expires,
        });
        form.finish(fields)
    }
}

/// Make an API key
///
/// The answer is the only one that shows the key.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys",
    operation_id = "createApiKey",
    tag = "API keys",
    security(("apiKey" = ["admin"]), ("bearer" = ["admin"])),
    params(("companyId" = inline(Option<CompanyIdSchema>), Query, description = "See the body.")),
    request_body = NewKeyFields,
    responses((status = 201, description = "Made", body = CreatedKeyView<'_>))
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
    let mut query = call.query();
    let in_query = query.company();
    query.finish()?;
    let fields = NewKeyFields::read(caller, Form::read(&body.bytes)?, in_query)?;
    let now = api.clock.now();
    let token = ApiKeyToken::generate(api.random.as_ref());
    let key = ApiKey {
        id: ApiKeyId::new(now, api.random.as_ref()),
        name: fields.name,
        company: fields.company,
        scopes: fields.scopes,
        expires: fields.expires,
        created: now,
        last_used: None,
    };
    let new = NewApiKey {
        key: key.clone(),
        hash: token.hash(),
    };
    api.store.create_key(new, &call.actor(caller)).await?;
    let location = format!("/api/v1/api-keys/{}", key.id);
    let view = CreatedKeyView {
        view: key.into(),
        key: token.expose(),
    };
    Ok(answer::created(answer::json(&view), location))
}

/// List API keys
///
/// Those that were not revoked, the oldest first: of the company, or all of them with a platform
/// key that names none.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys",
    operation_id = "listApiKeys",
    tag = "API keys",
    security(("apiKey" = ["admin"]), ("bearer" = ["admin"])),
    params(("companyId" = inline(Option<CompanyIdSchema>), Query,
        description = "Only the keys of this company.")),
    responses((status = 200, description = "The keys, without the keys themselves",
        body = Vec<KeyView>))
)]
pub(crate) async fn list(State(api): State<Arc<Api>>, call: Call) -> Result<Response, Problem> {
    let caller = call.caller(Scope::Admin)?;
    let company = call.company(caller)?;
    let keys = api.store.keys(company.as_ref()).await?;
    let views: Vec<KeyView> = keys.into_iter().map(Into::into).collect();
    Ok(answer::json(&views))
}

/// Revoke an API key
///
/// It is refused from now on.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/{id}",
    operation_id = "revokeApiKey",
    tag = "API keys",
    security(("apiKey" = ["admin"]), ("bearer" = ["admin"])),
    params(("id" = String, Path, description = "`key_…`")),
    responses((status = 204, description = "Revoked"))
)]
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    call: Call,
    ids: PathIds,
) -> Result<Response, Problem> {
    let caller = call.caller(Scope::Admin)?;
    let company = call.company(caller)?;
    let id = ids.api_key()?;
    let (now, by) = (api.clock.now(), call.actor(caller));
    let revoked = api.store.revoke_key(company.as_ref(), id, now, &by).await?;
    if revoked {
        Ok(answer::no_content())
    } else {
        Err(Problem::not_found("API key"))
    }
}

/// See whose key this is
///
/// Any scope will do.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    operation_id = "getMe",
    tag = "API keys",
    security(("apiKey" = []), ("bearer" = [])),
    responses((status = 200, description = "The key that asks", body = MeView<'_>))
)]
pub(crate) async fn me(call: Call) -> Result<Response, Problem> {
    let caller = call.caller_of_any_scope()?;
    Ok(answer::json(&MeView {
        key_id: caller.id,
        name: &caller.name,
        company_id: caller.company.as_ref(),
        scopes: &caller.scopes,
    }))
}
