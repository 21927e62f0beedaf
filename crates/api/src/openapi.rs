//! The `OpenAPI` 3.1 document: made from the handlers' own annotations and types, completed with
//! what holds for every operation, and with the deliveries that receivers get.

use std::{borrow::Cow, sync::LazyLock};

use bytes::Bytes;
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, Content, ContentBuilder, Header, HeaderBuilder, HttpMethod, InfoBuilder,
        ObjectBuilder, OpenApi, PathItem, Paths, Ref, RefOr, Required, Response, ResponseBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::{RequestBody, RequestBodyBuilder},
        schema::{Schema, SchemaType, Type},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{
    answer, described_routes,
    front_door::OPENAPI_PATH,
    openapi_examples::illustrate,
    problem::{Code, FieldError, ProblemBody},
};

/// The document, made once.
static JSON: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());

/// The document as it lies beside this crate: indented, with a newline at its end.
#[must_use]
pub fn openapi_json() -> String {
    let mut json = serde_json::to_string_pretty(&document()).unwrap_or_default();
    json.push('\n');
    json
}

/// The document as a value.
#[must_use]
pub fn openapi_document() -> serde_json::Value {
    serde_json::to_value(document()).unwrap_or_default()
}

/// `GET /api/v1/openapi.json`.
pub(crate) async fn serve() -> axum::response::Response {
    answer::json_bytes(JSON.clone())
}

/// A company id in a request.
pub(crate) struct CompanyIdSchema;

impl PartialSchema for CompanyIdSchema {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Integer]))
            .description(Some(
                "A tenant's name: 1 to 64 of `A-Z a-z 0-9 _ -`. An integer stands for its decimal \
                 digits. A company needs no registration.",
            ))
            .pattern(Some("^[A-Za-z0-9_-]{1,64}$"))
            .examples(["acme"])
            .into()
    }
}

impl ToSchema for CompanyIdSchema {
    fn name() -> Cow<'static, str> {
        "CompanyId".into()
    }
}

/// What an event says. Written by hand, as the derived schema of an object has no example.
pub(crate) struct PayloadSchema;

impl PartialSchema for PayloadSchema {
    fn schema() -> RefOr<Schema> {
        object_like(json!({"clientId": "c-1", "total": 99.5}))
    }
}

impl ToSchema for PayloadSchema {}

/// What is not part of the matter itself.
pub(crate) struct MetadataSchema;

impl PartialSchema for MetadataSchema {
    fn schema() -> RefOr<Schema> {
        object_like(json!({"traceId": "t-1"}))
    }
}

impl ToSchema for MetadataSchema {}

fn object_like(example: Value) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .examples([example])
        .into()
}

/// The whole document.
pub(crate) fn document() -> OpenApi {
    let mut api = described_routes().into_openapi();
    api.info = InfoBuilder::new()
        .title("Tidings")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
    api.tags = Some(tags().to_vec());
    let components = api.components.get_or_insert_with(Components::new);
    describe_security(components);
    describe_problems(components);
    components.headers.insert(
        "RequestId".to_owned(),
        RefOr::T(field(
            "The request's id: the one that came with it, or a new one",
        )),
    );
    for schema in components.schemas.values_mut() {
        name_words(schema);
    }
    for (path, item) in &mut api.paths.paths {
        for operation in operations(item) {
            complete(path, operation);
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                tidy_body(body);
            }
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    tidy_parameter(parameter);
                }
            }
        }
    }
    api.webhooks = Some(webhooks());
    api
}

const DESCRIPTION: &str = "Publish events, and Tidings delivers them to the webhooks that want \
them: signed, retried, and logged. Whoever would rather ask than be told polls the same events with \
a cursor.\n\n\
Send an API key as `X-Api-Key: KEY` or as `Authorization: Bearer KEY`. A key belongs to one company, \
or to the platform: then it may act for every company, and names the one it means with `companyId` \
in the body or query.\n\n\
Times are RFC 3339 in UTC with milliseconds. Errors are problems as in RFC 9457, with a `code` that \
does not change. Every answer has `X-Request-Id`. Where rate limits are configured, every answer to \
a key has `X-RateLimit-Limit`, `-Remaining`, `-Reset` (Unix seconds), `-Window` (seconds) and \
`-Policy`.";

fn tags() -> [utoipa::openapi::Tag; 6] {
    [
        ("Events", "Publishing events, and reading them back."),
        (
            "Subscriptions",
            "Who gets which events, and what came of it.",
        ),
        (
            "Event types",
            "The catalog: what the platform says it publishes.",
        ),
        ("API keys", "Who may call."),
        (
            "Portal",
            "Letting people in, to see and manage their webhooks.",
        ),
        ("Operations", "For those who run the server."),
    ]
    .map(|(name, description)| {
        TagBuilder::new()
            .name(name)
            .description(Some(description))
            .build()
    })
}

fn describe_security(components: &mut Components) {
    let key = ApiKeyValue::with_description(
        "X-Api-Key",
        "`tdg_` and 43 characters. The roles of an operation are the scopes that the key needs.",
    );
    components.add_security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(key)));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The same key as a bearer token."))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
}

/// The answers that many operations share: their names among the components, and what they say.
const SHARED_PROBLEMS: [(&str, Code, &str); 9] = [
    (
        "BadRequest",
        Code::MalformedJson,
        "Malformed JSON, a member given twice, or a cursor that is not good here",
    ),
    (
        "Unauthenticated",
        Code::Unauthenticated,
        "No API key, or one that does not hold",
    ),
    (
        "Forbidden",
        Code::MissingScope,
        "The key lacks a scope (`requiredScope`), belongs to another company, or is not the platform's where that \
         is needed",
    ),
    (
        "NotFound",
        Code::NotFound,
        "There is no such thing, or it is another company's",
    ),
    (
        "TooLarge",
        Code::BodyTooLarge,
        "The body is larger than allowed",
    ),
    (
        "UnsupportedMediaType",
        Code::UnsupportedMediaType,
        "The body is not JSON by its `Content-Type`",
    ),
    (
        "Invalid",
        Code::InvalidRequest,
        "Values or JSON types that are not allowed, all of them listed in `errors`",
    ),
    (
        "TooManyRequests",
        Code::RateLimited,
        "The key made more requests than it may",
    ),
    (
        "Unavailable",
        Code::Overloaded,
        "Overloaded, or the store cannot be used right now",
    ),
];

fn describe_problems(components: &mut Components) {
    // The schemas that no operation names by itself.
    let mut schemas = vec![
        (ProblemBody::name().into_owned(), ProblemBody::schema()),
        (FieldError::name().into_owned(), FieldError::schema()),
    ];
    ProblemBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for (name, code, description) in SHARED_PROBLEMS {
        let retried = matches!(code, Code::RateLimited | Code::Overloaded);
        let mut response = ResponseBuilder::new()
            .description(description)
            .content("application/problem+json", problem_content(code));
        if retried {
            response = response.header("Retry-After", field("Seconds to wait"));
        }
        if code == Code::Unauthenticated {
            let challenge = field("The challenge, `Bearer`");
            response = response.header("WWW-Authenticate", challenge);
        }
        let mut response = response.build();
        number(&mut response);
        components
            .responses
            .insert(name.to_owned(), RefOr::T(response));
    }
}

fn problem_content(code: Code) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .example(Some(json!({
            "type": code.type_reference(),
            "title": code.title(),
            "status": code.status().as_u16(),
            "detail": code.title(),
            "instance": "/api/v1/events",
            "code": code.as_str(),
            "requestId": "5f1c7a90b2d3e4f6-2a",
        })))
        .build()
}

fn field(description: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(text()))
        .description(Some(description))
        .build()
}

fn text() -> Schema {
    Schema::Object(ObjectBuilder::new().schema_type(Type::String).build())
}

/// The operations of a path, in the order in which they are documented.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// Adds what holds for every operation of its kind.
fn complete(path: &str, operation: &mut Operation) {
    let has_key = path.starts_with("/api/") && path != OPENAPI_PATH;
    let has_body = operation.request_body.is_some();
    let parameters = operation.parameters.iter().flatten();
    let mut in_query = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
            Some(parameter.name.as_str())
        }
        _ => None,
    });
    let has_query = in_query.clone().next().is_some();
    let has_cursor = in_query.any(|name| name == "cursor");
    let applies = |code: Code| match code {
        Code::MalformedJson => has_body || has_cursor,
        Code::NotFound => path.contains('{'),
        Code::BodyTooLarge | Code::UnsupportedMediaType => has_body,
        Code::InvalidRequest => has_body || has_query,
        _ => has_key,
    };
    for (name, code, _) in SHARED_PROBLEMS {
        if applies(code) {
            let status = code.status().as_u16().to_string();
            let reference = Ref::new(format!("#/components/responses/{name}"));
            let responses = &mut operation.responses.responses;
            responses.entry(status).or_insert_with(|| reference.into());
        }
    }
    illustrate(operation);
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            number(response);
        }
    }
}

/// Adds the field that every answer has.
fn number(response: &mut Response) {
    let reference = RefOr::Ref(Ref::new("#/components/headers/RequestId"));
    response
        .headers
        .insert("X-Request-Id".to_owned(), reference);
}

/// A body that may be missing is not therefore null.
fn tidy_body(body: &mut RequestBody) {
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(RefOr::T(Schema::OneOf(choice))) = &content.schema
            && let Some(named @ RefOr::Ref(_)) = choice.items.first()
        {
            content.schema = Some(named.clone());
            body.required = Some(Required::False);
        }
    }
}

/// A parameter that may be missing is not therefore null.
fn tidy_parameter(parameter: &mut Parameter) {
    let Some(schema) = &mut parameter.schema else {
        return;
    };
    if let RefOr::T(Schema::Object(object)) = schema
        && let SchemaType::Array(types) = &mut object.schema_type
    {
        types.retain(|kind| *kind != Type::Null);
        if let [only] = types.as_slice() {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
    name_words(schema);
}

/// Turns patterns that are a choice of words, as annotations write them, into enumerations, which
/// generated clients make more of.
fn name_words(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else {
        return;
    };
    match schema {
        Schema::Object(object) => {
            let pattern = object.pattern.as_deref().unwrap_or_default();
            let words = pattern
                .strip_prefix("^(")
                .and_then(|rest| rest.strip_suffix(")$"));
            if let Some(words) = words {
                let nullable = matches!(&object.schema_type,
                    SchemaType::Array(types) if types.contains(&Type::Null));
                let words = words.split('|').map(Value::from);
                let null = nullable.then_some(Value::Null);
                object.enum_values = Some(words.chain(null).collect());
                object.pattern = None;
            }
            object.properties.values_mut().for_each(name_words);
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(name_words),
        _ => {}
    }
}

/// What receivers get.
fn webhooks() -> Paths {
    let body = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Envelope")))
        .build();
    let request = RequestBodyBuilder::new()
        .description(Some(
            "The envelope; every attempt of a delivery sends the same bytes. Verify the signature \
             over the raw body, before parsing it.",
        ))
        .content("application/json", body)
        .required(Some(Required::True))
        .build();
    let response = |description: &str| ResponseBuilder::new().description(description).build();
    let operation = OperationBuilder::new()
        .operation_id(Some("deliverEvent"))
        .summary(Some("An event is delivered"))
        .description(Some(
            "A POST to the subscription's URL, at least once for each event that it wants, \
             retried for up to 24 hours. Order is approximate: go by `webhook-id` to notice what \
             came before.",
        ))
        .security(utoipa::openapi::SecurityRequirement::default())
        .parameters(Some(DELIVERY_FIELDS.map(delivery_field)))
        .request_body(Some(request))
        .response(
            "2XX",
            response("Received. Nothing of the answer matters but the status."),
        )
        .response(
            "410",
            response("Gone for good: the subscription is disabled."),
        )
        .response(
            "default",
            response(
                "Not received: retried later. Redirects are not followed. `Retry-After` on 429 \
                 and 503 lengthens the wait.",
            ),
        )
        .build();
    let mut paths = Paths::new();
    let item = PathItem::new(HttpMethod::Post, operation);
    paths.paths.insert("event".to_owned(), item);
    paths
}

/// The header fields of a delivery: name, what it is, example.
const DELIVERY_FIELDS: [(&str, &str, &str); 7] = [
    (
        "webhook-id",
        "The event's id, the same on every attempt and for every subscription",
        "evt_01k3zt5w9hf0bvv8d6n7q2m4xe",
    ),
    (
        "webhook-timestamp",
        "Unix seconds of this attempt",
        "1795422600",
    ),
    (
        "webhook-signature",
        "`v1,` and the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`, as in Standard Webhooks 1.0.0; several, separated by spaces, while two secrets are valid",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
    (
        "X-Hub-Signature-256",
        "`sha256=` and the hex of HMAC-SHA256 over the body alone, keyed with the bytes of the newest secret as it was shown",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    ),
    ("X-Webhook-Event", "The event's type", "client.created"),
    (
        "X-Webhook-Subscription",
        "The subscription's id",
        "sub_01k3zt5w9hf0bvv8d6n7q2m4xe",
    ),
    (
        "X-Webhook-Attempt",
        "Number of the attempt within its delivery, from 1",
        "1",
    ),
];

fn delivery_field((name, description, example): (&str, &str, &str)) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .examples([example])
        .build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
