//! An attempt: one HTTP POST made for a delivery, and what came of it.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{
    event_type::EventType,
    id::{AttemptId, EventId, SubscriptionId},
    signing::Signatures,
    time::UtcMillis,
};

/// The most characters of a response body that the log keeps.
pub const RESPONSE_BODY_CHARS_MAX: usize = 4000;

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptError {
    /// No full answer within the time allowed.
    Timeout,
    /// The name did not resolve.
    Dns,
    /// No TCP connection, or one that broke.
    Connect,
    /// No TLS session: certificate, version, handshake.
    Tls,
    /// The address is one that deliveries may not go to.
    BlockedAddress,
    /// A redirect, which is never followed.
    Redirect,
    /// An answer that is not HTTP, or exceeds its limits.
    Protocol,
    /// An answer whose status is not 2xx.
    Status,
}

impl AttemptError {
    /// Every kind, in the contract's order.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::BlockedAddress,
        Self::Redirect,
        Self::Protocol,
        Self::Status,
    ];

    /// The contract's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::BlockedAddress => "blockedAddress",
            Self::Redirect => "redirect",
            Self::Protocol => "protocol",
            Self::Status => "status",
        }
    }

    /// Reads the contract's word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.as_str() == word)
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A 2xx.
    Succeeded,
    /// Everything else.
    Failed(AttemptError),
}

/// The request's side of an attempt: what varies between attempts, so that the log can show the
/// header fields as they were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRequest {
    /// The URL as it was dialled.
    pub url: Arc<str>,
    /// The value of `User-Agent`.
    pub user_agent: Cow<'static, str>,
    /// The signatures; none where the attempt failed before it was signed.
    pub signatures: Option<Signatures>,
}

/// The answer's side of an attempt; empty where there was no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedResponse {
    /// The status, where a head was read.
    pub status: Option<u16>,
    /// Header fields in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, at most [`RESPONSE_BODY_CHARS_MAX`] characters.
    pub body: String,
    /// Whether there was more body than is kept.
    pub body_truncated: bool,
}

/// One line of the delivery log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// `att_…`.
    pub id: AttemptId,
    /// To whom.
    pub subscription: SubscriptionId,
    /// Of what.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// 1-based number within its delivery.
    pub number: u32,
    /// When it began.
    pub attempted: UtcMillis,
    /// From connecting to the verdict, in milliseconds.
    pub elapsed_ms: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What was sent.
    pub request: SentRequest,
    /// What came back.
    pub response: ReceivedResponse,
    /// When the next one is due; none after the last.
    pub next_attempt: Option<UtcMillis>,
}

impl Attempt {
    /// The header fields as they were sent, in the order of the contract's table.
    #[must_use]
    pub fn request_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("User-Agent", self.request.user_agent.to_string()),
            ("webhook-id", self.event.to_string()),
            ("webhook-timestamp", self.attempted.as_seconds().to_string()),
        ];
        if let Some(signatures) = &self.request.signatures {
            headers.push(("webhook-signature", signatures.standard_header()));
            headers.push(("X-Hub-Signature-256", signatures.hub_header()));
        }
        headers.push(("X-Webhook-Event", self.event_type.to_string()));
        headers.push(("X-Webhook-Subscription", self.subscription.to_string()));
        headers.push(("X-Webhook-Attempt", self.number.to_string()));
        headers
    }
}

/// Cuts `text` after [`RESPONSE_BODY_CHARS_MAX`] characters; says whether something was cut.
#[must_use]
pub fn truncate_body(mut text: String) -> (String, bool) {
    match text.char_indices().nth(RESPONSE_BODY_CHARS_MAX) {
        Some((end, _)) => {
            text.truncate(end);
            (text, true)
        }
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_by_characters_not_bytes() {
        let exact = "é".repeat(RESPONSE_BODY_CHARS_MAX);
        assert_eq!(truncate_body(exact.clone()), (exact.clone(), false));
        assert_eq!(truncate_body(format!("{exact}é")), (exact, true));
    }

    #[test]
    fn every_error_reads_back() {
        for error in AttemptError::ALL {
            assert_eq!(AttemptError::parse(error.as_str()), Some(error));
        }
    }
}
