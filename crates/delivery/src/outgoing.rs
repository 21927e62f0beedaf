//! The request of an attempt: the contract's header fields around the event's own bytes.
//!
//! The delivery log shows the same fields, rebuilt by
//! [`tidings_domain::attempt::Attempt::request_headers`]; a test holds the two together. Names go
//! out in lower case, since hyper writes them so and HTTP does not tell cases apart.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
    uri::{Parts, PathAndQuery},
};
use http_body_util::Full;
use tidings_domain::{attempt::AttemptError, signing::Signatures};

use crate::{AttemptRequest, failure::Failure};

/// The value of `User-Agent`.
pub const USER_AGENT_VALUE: &str = concat!("Tidings/", env!("CARGO_PKG_VERSION"));

static AGENT: HeaderValue = HeaderValue::from_static(USER_AGENT_VALUE);
static JSON: HeaderValue = HeaderValue::from_static("application/json");
static WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
static WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
static WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
static HUB_SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
static WEBHOOK_EVENT: HeaderName = HeaderName::from_static("x-webhook-event");
static WEBHOOK_SUBSCRIPTION: HeaderName = HeaderName::from_static("x-webhook-subscription");
static WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("x-webhook-attempt");

/// Header fields of a request, `Content-Length` included, which hyper adds.
const FIELDS: usize = 11;
/// Room for the values that are written into one buffer; a longer host only costs a reallocation.
const VALUES_BYTES: usize = 448;

/// A request with the event's bytes as its body.
pub(crate) type Outgoing = Request<Full<Bytes>>;

/// The request of one attempt. Its body shares the event's bytes.
pub(crate) fn request(
    attempt: &AttemptRequest,
    signatures: &Signatures,
) -> Result<Outgoing, Failure> {
    let mut request = Request::new(Full::new(attempt.event.json().clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = origin_form(attempt)?;
    *request.headers_mut() = headers(attempt, signatures)
        .map_err(|error| Failure::new(AttemptError::Protocol, error))?;
    Ok(request)
}

fn origin_form(attempt: &AttemptRequest) -> Result<Uri, Failure> {
    let text = Bytes::copy_from_slice(attempt.endpoint.url.origin_form().as_bytes());
    PathAndQuery::from_maybe_shared(text)
        .map_err(http::Error::from)
        .and_then(|path| {
            let mut parts = Parts::default();
            parts.path_and_query = Some(path);
            Uri::from_parts(parts).map_err(http::Error::from)
        })
        .map_err(|error| Failure::new(AttemptError::Protocol, error))
}

/// The fields, in the order of the contract's table. The values share one allocation.
fn headers(
    attempt: &AttemptRequest,
    signatures: &Signatures,
) -> Result<HeaderMap, http::header::InvalidHeaderValue> {
    let event = &attempt.event;
    let mut text = String::with_capacity(VALUES_BYTES);
    let mut ends = [0; 8];
    for (place, end) in ends.iter_mut().enumerate() {
        // Writing to a String cannot fail.
        let _ = match place {
            0 => text.write_str(attempt.endpoint.url.authority()),
            1 => write!(text, "{}", event.id()),
            2 => write!(text, "{}", attempt.now.as_seconds()),
            3 => text.write_str(event.event_type().as_str()),
            4 => write!(text, "{}", attempt.endpoint.id),
            5 => write!(text, "{}", attempt.number),
            6 => {
                signatures.write_standard_header(&mut text);
                Ok(())
            }
            _ => {
                signatures.write_hub_header(&mut text);
                Ok(())
            }
        };
        *end = text.len();
    }
    let mut rest = Bytes::from(text);
    let mut cut = 0;
    let [
        host,
        id,
        timestamp,
        event_type,
        subscription,
        number,
        standard,
        hub,
    ] = ends.map(|end| {
        let value = HeaderValue::from_maybe_shared(rest.split_to(end - cut));
        cut = end;
        value
    });
    let mut headers = HeaderMap::with_capacity(FIELDS);
    headers.insert(HOST, host?);
    headers.insert(CONTENT_TYPE, JSON.clone());
    headers.insert(USER_AGENT, AGENT.clone());
    headers.insert(&WEBHOOK_ID, id?);
    headers.insert(&WEBHOOK_TIMESTAMP, timestamp?);
    headers.insert(&WEBHOOK_SIGNATURE, standard?);
    headers.insert(&HUB_SIGNATURE, hub?);
    headers.insert(&WEBHOOK_EVENT, event_type?);
    headers.insert(&WEBHOOK_SUBSCRIPTION, subscription?);
    headers.insert(&WEBHOOK_ATTEMPT, number?);
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample_endpoint::sample_endpoint;
    use proptest::prelude::*;
    use tidings_domain::{
        attempt::{Attempt, AttemptOutcome, ReceivedResponse, SentRequest},
        event::Event,
        event_type::EventType,
        id::{AttemptId, EventId},
        json_object::JsonObject,
        random::SeededRandom,
        secret::Secret,
        signing::Signer,
        subscription::Endpoint,
        target::{Environment, TargetUrl},
        time::UtcMillis,
    };

    fn attempt_to(url: TargetUrl) -> AttemptRequest {
        let random = SeededRandom::new(1);
        let now = UtcMillis::from_millis(1_700_000_000_123);
        let previous = Secret::generate(&random);
        let endpoint = Endpoint {
            url,
            ..sample_endpoint("https://example.com/")
        };
        let company = endpoint.company.clone();
        AttemptRequest {
            signer: Arc::new(Signer::new(&endpoint.secrets.newest, Some(&previous))),
            endpoint: Arc::new(endpoint),
            event: Arc::new(Event::new(
                EventId::new(now, &random),
                EventType::parse("order.paid").unwrap(),
                now,
                company,
                JsonObject::EMPTY,
                JsonObject::EMPTY,
            )),
            number: 3,
            now,
        }
    }

    #[test]
    fn the_log_shows_what_is_sent() {
        let url = TargetUrl::parse("https://example.com:8443/hooks", Environment::Production);
        let attempt = attempt_to(url.unwrap());
        let signatures = attempt
            .signer
            .sign(attempt.event.id(), attempt.now, attempt.event.json());
        let sent = request(&attempt, &signatures).unwrap();
        let logged = Attempt {
            id: AttemptId::new(attempt.now, &SeededRandom::new(2)),
            subscription: attempt.endpoint.id,
            event: attempt.event.id(),
            event_type: attempt.event.event_type().clone(),
            number: attempt.number,
            attempted: attempt.now,
            elapsed_ms: 0,
            outcome: AttemptOutcome::Succeeded,
            request: SentRequest {
                url: attempt.endpoint.url.shared(),
                user_agent: USER_AGENT_VALUE.into(),
                signatures: Some(signatures),
            },
            response: ReceivedResponse::default(),
            next_attempt: None,
        };
        let sent: Vec<(String, String)> = sent
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let (host, fields) = sent.split_first().unwrap();
        assert_eq!(*host, ("host".to_owned(), "example.com:8443".to_owned()));
        let logged: Vec<(String, String)> = logged
            .request_headers()
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        assert_eq!(fields, logged);
    }

    proptest! {
        /// Whatever URL a subscription may have can be asked for as it is.
        #[test]
        fn every_target_can_be_asked_for(path in "[ -~é€]{0,60}", query in "[ -~é€]{0,60}") {
            let url = format!("https://example.com/{path}?{query}");
            let Ok(url) = TargetUrl::parse(&url, Environment::Production) else {
                return Ok(());
            };
            let expected = url.origin_form().to_owned();
            let uri = origin_form(&attempt_to(url)).map_err(|error| error.to_string());
            prop_assert_eq!(uri.map(|uri| uri.to_string()), Ok(expected));
        }
    }
}
