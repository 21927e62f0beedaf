//! Problems: every answer that says no, as RFC 9457 has it, and the one place where errors become
//! HTTP.
//!
//! A handler returns a [`Problem`]; it travels to the front door as a response with an empty body
//! ([`Problem::of`] finds it there), which knows the request's id and path and writes it out with
//! [`Problem::render`]. So no handler needs to know either.

use std::borrow::Cow;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tidings_domain::api_key::Scope;
use tidings_store::StoreError;
use utoipa::ToSchema;

/// After how many seconds a caller may try again when too much is going on.
const OVERLOADED_RETRY_SECONDS: i64 = 1;
/// After how many seconds a caller may try again while the store cannot be used.
const UNAVAILABLE_RETRY_SECONDS: i64 = 2;

/// The media type of every problem (RFC 9457, section 3).
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What kind of problem: the `code` of the answer, which callers may branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The body is no JSON, no UTF-8, or has a member twice.
    MalformedJson,
    /// The cursor was changed, cut off, or belongs to another listing.
    InvalidCursor,
    /// No key, or one that does not hold.
    Unauthenticated,
    /// The key lacks a scope.
    MissingScope,
    /// The key belongs to another company than the one that is named.
    ForeignCompany,
    /// Only the platform's own keys may do this.
    PlatformOnly,
    /// No such thing, for this caller.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body did not come in time.
    RequestTimeout,
    /// The first request with this idempotency key is still running.
    IdempotencyKeyInUse,
    /// A disabled subscription is owed nothing.
    SubscriptionDisabled,
    /// `If-Match` names another version.
    PreconditionFailed,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The body is of another type than JSON.
    UnsupportedMediaType,
    /// Values or JSON types that are not allowed.
    InvalidRequest,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// More requests than the key may make.
    RateLimited,
    /// More work than the server takes on.
    Overloaded,
    /// The store cannot be used right now.
    StoreUnavailable,
    /// The server cannot do its work right now.
    NotReady,
    /// A fault of the server's own.
    Internal,
}

impl Code {
    /// Every code, in the order of their statuses.
    pub(crate) const ALL: [Self; 21] = [
        Self::MalformedJson,
        Self::InvalidCursor,
        Self::Unauthenticated,
        Self::MissingScope,
        Self::ForeignCompany,
        Self::PlatformOnly,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::IdempotencyKeyInUse,
        Self::SubscriptionDisabled,
        Self::PreconditionFailed,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::IdempotencyKeyReused,
        Self::RateLimited,
        Self::Internal,
        Self::Overloaded,
        Self::StoreUnavailable,
        Self::NotReady,
    ];

    /// The status, the word in `code`, and the title.
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::MalformedJson => (S::BAD_REQUEST, "malformed_json", "Malformed JSON"),
            Self::InvalidCursor => (S::BAD_REQUEST, "invalid_cursor", "Invalid cursor"),
            Self::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated", "No valid API key"),
            Self::MissingScope => (S::FORBIDDEN, "missing_scope", "Missing scope"),
            Self::ForeignCompany => (S::FORBIDDEN, "foreign_company", "Not your company"),
            Self::PlatformOnly => (S::FORBIDDEN, "platform_only", "For the platform alone"),
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
            ),
            Self::RequestTimeout => (S::REQUEST_TIMEOUT, "request_timeout", "Request timeout"),
            Self::IdempotencyKeyInUse => (
                S::CONFLICT,
                "idempotency_key_in_use",
                "Request still running",
            ),
            Self::SubscriptionDisabled => (
                S::CONFLICT,
                "subscription_disabled",
                "Subscription disabled",
            ),
            Self::PreconditionFailed => (
                S::PRECONDITION_FAILED,
                "precondition_failed",
                "Changed meanwhile",
            ),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
            ),
            Self::InvalidRequest => (
                S::UNPROCESSABLE_ENTITY,
                "invalid_request",
                "Invalid request",
            ),
            Self::IdempotencyKeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "Idempotency key reused",
            ),
            Self::RateLimited => (S::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal_error", "Internal error"),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", "Overloaded"),
            Self::StoreUnavailable => (
                S::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "Store unavailable",
            ),
            Self::NotReady => (S::SERVICE_UNAVAILABLE, "not_ready", "Not ready"),
        }
    }

    /// The HTTP status.
    pub(crate) const fn status(self) -> StatusCode {
        self.row().0
    }

    /// The word in `code`.
    pub(crate) const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// What stays the same between occurrences.
    pub(crate) const fn title(self) -> &'static str {
        self.row().2
    }

    /// Where the kind of problem is described: a place in the documentation page.
    pub(crate) fn type_reference(self) -> String {
        format!("/docs#problem-{}", self.as_str())
    }
}

/// One value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// JSON pointer (RFC 6901) to the value in the body; for a query parameter or a header field
    /// `/` and its name.
    #[schema(example = "/eventTypes/2")]
    pub(crate) pointer: String,
    /// What is wrong with it.
    #[schema(example = "must be an event type like client.created, or a wildcard: * or client.*")]
    pub(crate) detail: Cow<'static, str>,
}

/// A no, on its way to the caller.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Contents>);

#[derive(Clone, Debug)]
struct Contents {
    code: Code,
    detail: Cow<'static, str>,
    required_scope: Option<Scope>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What went wrong inside, for the log and nobody else.
    cause: Option<Cow<'static, str>>,
}

/// The body of a problem (RFC 9457, section 3.1, and this API's own members).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Where this kind of problem is described.
    #[schema(value_type = String, format = "uri-reference", example = "/docs#problem-missing_scope")]
    r#type: String,
    /// What stays the same between occurrences.
    #[schema(example = "Missing scope")]
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 403)]
    status: u16,
    /// What happened this time, as a sentence.
    #[schema(example = "the key lacks the scope events:write")]
    detail: &'a str,
    /// The path of the request.
    #[schema(example = "/api/v1/events")]
    instance: &'a str,
    /// The kind of problem as a word that does not change.
    #[schema(example = "missing_scope")]
    code: &'a str,
    /// The same as in `X-Request-Id`.
    #[schema(example = "5f1c7a90b2d3e4f6-2a")]
    request_id: &'a str,
    /// With 403 `missing_scope`: the scope that the key lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "events:write")]
    required_scope: Option<Scope>,
    /// With 422: every value that is not allowed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<FieldError>>, nullable = false)]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem of this kind; `detail` is a sentence for whoever reads the answer.
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Contents {
            code,
            detail: detail.into(),
            required_scope: None,
            errors: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// 404. The detail never depends on whether the thing exists for somebody else.
    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// 422 with every value that is not allowed.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail: Cow<'static, str> = match errors.as_slice() {
            [only] if only.pointer.is_empty() => format!("the body {}", only.detail).into(),
            [only] => format!("{} {}", only.pointer, only.detail).into(),
            _ => format!("{} values are not allowed, see errors", errors.len()).into(),
        };
        let mut problem = Self::new(Code::InvalidRequest, detail);
        problem.0.errors = errors;
        problem
    }

    /// 422 about one value.
    pub(crate) fn invalid_field(
        pointer: impl Into<String>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    /// 403 for a key without the scope.
    pub(crate) fn missing_scope(wanted: Scope) -> Self {
        let mut problem = Self::new(
            Code::MissingScope,
            format!("the key lacks the scope {wanted}"),
        );
        problem.0.required_scope = Some(wanted);
        problem
    }

    /// 503 where more is asked than the server takes on.
    pub(crate) fn overloaded(detail: &'static str) -> Self {
        Self::new(Code::Overloaded, detail).retry_after(OVERLOADED_RETRY_SECONDS)
    }

    /// 503 from the readiness check.
    pub(crate) fn not_ready(detail: &'static str) -> Self {
        Self::new(Code::NotReady, detail).retry_after(UNAVAILABLE_RETRY_SECONDS)
    }

    /// 500: a fault of the server's own. The front door logs `cause`; the caller does not see it.
    pub(crate) fn internal(cause: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            Code::Internal,
            "the server failed; it logged why, under the id of this request",
        )
        .because(cause)
    }

    fn because(mut self, cause: impl Into<Cow<'static, str>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Logs what went wrong inside, if anything did. An outage is one line for each request that
    /// it refuses, so it is told in detail only to those who want to know.
    pub(crate) fn log(&self, request_id: &str, path: &str) {
        let Some(cause) = self.0.cause.as_deref() else {
            return;
        };
        if self.0.code == Code::Internal {
            tracing::error!(request_id, path, cause, "a request failed");
        } else {
            tracing::debug!(request_id, path, cause, "a request was refused");
        }
    }

    /// Adds `Retry-After` (RFC 9110, section 10.2.3).
    pub(crate) fn retry_after(self, seconds: i64) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header field to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The problem that a response carries, taken out of it.
    pub(crate) fn of(response: &mut Response) -> Option<Self> {
        response.extensions_mut().remove::<Self>()
    }

    /// The answer itself.
    pub(crate) fn render(self, request_id: &str, path: &str, headers: HeaderMap) -> Response {
        let contents = *self.0;
        let code = contents.code;
        let body = serde_json::to_vec(&ProblemBody {
            r#type: code.type_reference(),
            title: code.title(),
            status: code.status().as_u16(),
            detail: &contents.detail,
            instance: path,
            code: code.as_str(),
            request_id,
            required_scope: contents.required_scope,
            errors: &contents.errors,
        })
        // Strings and numbers always serialise.
        .unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = code.status();
        *response.headers_mut() = headers;
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        fields.extend(contents.headers);
        response
    }
}

impl IntoResponse for Problem {
    /// A response that carries the problem to the front door.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.code.status();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => Self::new(
                Code::StoreUnavailable,
                "the store cannot be used right now; ask again, since what was asked for may have been \
                 done or not",
            )
            .retry_after(UNAVAILABLE_RETRY_SECONDS)
            .because(reason),
            StoreError::Overloaded => {
                Self::overloaded("more work is waiting than the store takes on")
            }
            StoreError::Broken(reason) => Self::internal(format!("the store failed: {reason}")),
        }
    }
}
