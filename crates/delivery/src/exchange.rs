//! The exchange: one request over one connection, and as much of the answer as is wanted.
//!
//! What was read stands in an [`Answer`] from the first byte on, so that an attempt which is cut
//! off still shows its status and what there was of a body. Bodies are neither decoded (no encoding
//! is asked for) nor read further than their limit; interim answers (1xx) are passed over by hyper.

use std::{error::Error, io};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tidings_domain::attempt::{
    AttemptError, RESPONSE_BODY_CHARS_MAX, ReceivedResponse, truncate_body,
};

use crate::{connect::Connection, failure::Failure};

/// The most bytes of a response's body that are read. Where there are more, the connection is
/// closed and the status decides.
pub const RESPONSE_BODY_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of a body that can be needed for its log: a character has at most 4, and one more
/// shows that something was cut.
const KEPT_BYTES_MAX: usize = 4 * RESPONSE_BODY_CHARS_MAX + 1;

/// What has come back so far.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The final status, where a head was read.
    pub(crate) status: Option<StatusCode>,
    /// Its header fields.
    pub(crate) headers: HeaderMap,
    /// The first bytes of the body.
    body: Vec<u8>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerEnd {
    /// It was read to its end; the connection may be used again.
    Whole,
    /// There was more body than is read; the connection is of no further use.
    Cut,
}

/// How an exchange broke off.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Why.
    pub(crate) failure: Failure,
    /// Whether the connection ended without a byte of an answer: on one that had been idle that
    /// says nothing about the receiver, who may have closed it before the request came.
    pub(crate) was_silent: bool,
}

/// Sends `request` and reads the answer. The caller enforces the deadline by dropping the future
/// and the connection.
pub(crate) async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
    answer: &mut Answer,
) -> Result<AnswerEnd, Broken> {
    connection.meter.restart();
    let sent = connection.sender.try_send_request(request).await;
    let response = sent.map_err(|error| {
        let was_sent = error.message().is_none();
        broken(error.into_error(), was_sent, connection.meter.received())
    })?;
    let (head, body) = response.into_parts();
    answer.status = Some(head.status);
    answer.headers = head.headers;
    read_body(body, &mut answer.body)
        .await
        .map_err(|error| broken(error, true, connection.meter.received()))
}

async fn read_body(mut body: Incoming, kept: &mut Vec<u8>) -> Result<AnswerEnd, hyper::Error> {
    let mut read = 0;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else {
            break;
        };
        // Trailers are of no interest.
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        read += data.len();
        let room = KEPT_BYTES_MAX - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        let is_full = read == RESPONSE_BODY_BYTES_MAX && !body.is_end_stream();
        if is_full || read > RESPONSE_BODY_BYTES_MAX {
            return Ok(AnswerEnd::Cut);
        }
    }
    Ok(AnswerEnd::Whole)
}

/// What hyper's error means: `protocol` for an answer that breaks the rules of HTTP or a limit,
/// `tls` for a session that ended with an alert, `connect` for a connection that broke, be it
/// before the answer or in the middle of it.
fn broken(error: hyper::Error, was_sent: bool, received: usize) -> Broken {
    let was_silent = !was_sent || received == 0;
    let kind = match io_error(&error) {
        _ if error.is_parse() => AttemptError::Protocol,
        Some(cause) if is_tls(cause) => AttemptError::Tls,
        Some(cause) if is_rule_broken(cause.kind()) => AttemptError::Protocol,
        // Something came before anything was asked: that is another protocol's greeting.
        None if error.is_canceled() && received > 0 => AttemptError::Protocol,
        Some(_) | None => AttemptError::Connect,
    };
    Broken {
        failure: Failure::new(kind, error),
        was_silent,
    }
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn is_tls(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
}

/// The kinds with which hyper's decoders and our own meter refuse what they read.
fn is_rule_broken(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

impl Answer {
    /// The answer as the delivery log keeps it.
    pub(crate) fn into_received(self) -> ReceivedResponse {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), lossy(value.as_bytes())))
            .collect();
        let (body, body_truncated) = truncate_body(readable(&self.body));
        ReceivedResponse {
            status: self.status.map(|status| status.as_u16()),
            headers,
            body,
            body_truncated,
        }
    }
}

/// The body as text. What is no UTF-8 becomes U+FFFD, and so does NUL, which not every database
/// can keep in a text.
fn readable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn received(body: &[u8]) -> ReceivedResponse {
        let kept = &body[..body.len().min(KEPT_BYTES_MAX)];
        Answer {
            body: kept.to_vec(),
            ..Answer::default()
        }
        .into_received()
    }

    #[test]
    fn nul_and_what_is_no_text_become_replacement_characters() {
        assert_eq!(received(b"a\0b\xffc").body, "a\u{fffd}b\u{fffd}c");
    }

    proptest! {
        /// The bytes that are kept suffice: the log is that of the whole body.
        #[test]
        fn keeps_enough_of_a_body(unit in "\\PC{1,3}", invalid: bool, chars in 3990..4010_usize) {
            let mut body = unit.repeat(chars).into_bytes();
            if invalid {
                body.insert(0, 0xf0);
            }
            let whole = truncate_body(readable(&body));
            let received = received(&body);
            prop_assert_eq!((received.body, received.body_truncated), whole);
        }
    }
}
