//! Attempts in words: a badge for how one ended, and a sentence that says what happened and what to
//! do about it.

use tidings_domain::attempt::{Attempt, AttemptError, AttemptOutcome};

use crate::texts::Texts;

/// Characters of a redirect's target that are shown.
const LOCATION_CHARS_MAX: usize = 200;

/// How an attempt ended, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptWords {
    /// The badge's class: `ok` or `bad`.
    pub(crate) class: &'static str,
    /// The badge.
    pub(crate) badge: &'static str,
    /// The status, or that there was no answer.
    pub(crate) status: String,
    /// What happened, in a sentence.
    pub(crate) happened: String,
    /// What to do, in a sentence or two; empty where there is nothing to do.
    pub(crate) advice: &'static str,
}

impl AttemptWords {
    /// The words for an attempt.
    pub(crate) fn of(attempt: &Attempt, t: &'static Texts) -> Self {
        let words = &t.attempts;
        let status = attempt.response.status;
        let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
        let (happened, advice) = match attempt.outcome {
            AttemptOutcome::Succeeded => {
                let status = status.unwrap_or_default();
                (words.answered_in(status, attempt.elapsed_ms), "")
            }
            AttemptOutcome::Failed(error) => told(attempt, error, t),
        };
        Self {
            class: if succeeded { "ok" } else { "bad" },
            badge: if succeeded {
                words.succeeded
            } else {
                words.failed
            },
            status: status.map_or_else(|| words.no_answer.to_owned(), |status| status.to_string()),
            happened,
            advice,
        }
    }
}

/// What happened and what to do.
fn told(attempt: &Attempt, error: AttemptError, t: &'static Texts) -> (String, &'static str) {
    let words = &t.attempts;
    let (happened, advice) = match error {
        AttemptError::Timeout => words.timeout,
        AttemptError::Dns => words.dns,
        AttemptError::Connect => words.connect,
        AttemptError::Tls => words.tls,
        AttemptError::BlockedAddress => words.blocked_address,
        AttemptError::Protocol => words.protocol,
        AttemptError::Redirect => {
            let status = attempt.response.status.unwrap_or_default();
            return (words.redirected(status, location(attempt)), words.redirect);
        }
        AttemptError::Status => {
            let status = attempt.response.status.unwrap_or_default();
            return (words.answered(status), words.advice_on_status(status));
        }
    };
    (happened.to_owned(), advice)
}

/// Where a redirect leads, as far as it is worth showing.
fn location(attempt: &Attempt) -> Option<String> {
    let fields = attempt.response.headers.iter();
    let mut fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case("location"));
    let (_, target) = fields.next()?;
    Some(target.chars().take(LOCATION_CHARS_MAX).collect())
}

/// A text of which there is room for so many characters: its beginning and `…`.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;
    use tidings_domain::{
        attempt::{ReceivedResponse, SentRequest},
        event_type::EventType,
        id::{AttemptId, EventId, SubscriptionId},
        time::UtcMillis,
    };

    fn attempt(outcome: AttemptOutcome, status: Option<u16>) -> Attempt {
        Attempt {
            id: AttemptId::from_bytes([1; 16]),
            subscription: SubscriptionId::from_bytes([2; 16]),
            event: EventId::from_bytes([3; 16]),
            event_type: EventType::parse("client.created").unwrap(),
            number: 1,
            attempted: UtcMillis::from_millis(0),
            elapsed_ms: 42,
            outcome,
            request: SentRequest {
                url: "https://example.com/".into(),
                user_agent: "Tidings/test".into(),
                signatures: None,
            },
            response: ReceivedResponse {
                status,
                ..ReceivedResponse::default()
            },
            next_attempt: None,
        }
    }

    #[test]
    fn every_way_to_end_has_words_of_its_own() {
        let t = texts::default();
        let mut seen = Vec::new();
        for error in AttemptError::ALL {
            let status = matches!(error, AttemptError::Status | AttemptError::Redirect);
            let failed = attempt(AttemptOutcome::Failed(error), status.then_some(308));
            let words = AttemptWords::of(&failed, t);
            assert_eq!((words.class, words.badge), ("bad", "Failed"));
            assert!(
                words.happened.ends_with('.') && words.advice.ends_with('.'),
                "{words:?}"
            );
            assert!(!seen.contains(&words.happened), "{words:?}");
            seen.push(words.happened);
        }
        let words = AttemptWords::of(&attempt(AttemptOutcome::Succeeded, Some(204)), t);
        assert_eq!((words.class, words.status.as_str()), ("ok", "204"));
        assert!(words.happened.contains("204") && words.happened.contains("42 ms"));
    }

    #[test]
    fn statuses_get_advice_that_fits() {
        let t = texts::default();
        let advice = |status| {
            let failed = AttemptOutcome::Failed(AttemptError::Status);
            AttemptWords::of(&attempt(failed, Some(status)), t).advice
        };
        assert!(advice(401).contains("secret"));
        assert!(advice(404).contains("URL"));
        assert!(advice(410).contains("disabled"));
        assert!(advice(429).contains("rate"));
        assert_ne!(advice(500), advice(503));
        for status in 100..=999 {
            assert!(!advice(status).is_empty(), "{status}");
        }
    }

    #[test]
    fn a_redirect_says_where_to() {
        let mut moved = attempt(AttemptOutcome::Failed(AttemptError::Redirect), Some(301));
        let target = format!("https://example.com/{}", "x".repeat(5000));
        moved.response.headers = vec![("Location".to_owned(), target)];
        let words = AttemptWords::of(&moved, texts::default());
        assert!(words.happened.contains("301") && words.happened.contains("https://example.com/x"));
        assert!(words.happened.len() < 400);
    }

    #[test]
    fn a_text_is_shortened_by_characters() {
        assert_eq!(shortened("ééé", 3), "ééé");
        assert_eq!(shortened("éééé", 3), "ééé…");
    }
}
