//! The events that are published: a payload of a given size that carries the time of sending.
//!
//! [`Template::body`] writes it, [`sent_us`] finds it again in what arrives at the sink. Neither
//! parses JSON, since that would cost as much as the rest of the request.

use bytes::Bytes;

/// What stands before the time of sending in a payload.
const MARK: &[u8] = b"\"sentUs\":";
/// Digits of the time of sending: microseconds since 1970 have 16 until the year 2286.
const DIGITS: usize = 16;

/// A request body with a gap for the time of sending.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    text: Vec<u8>,
    time_at: usize,
}

impl Template {
    /// The body that publishes an event of `event_type` for `company`, with a payload of
    /// `payload_bytes` (more where that is too small for the time of sending).
    pub(crate) fn new(event_type: &str, company: &str, payload_bytes: usize) -> Self {
        let digits = "0".repeat(DIGITS);
        let bare = format!(r#"{{"sentUs":{digits},"text":""}}"#);
        let filler = "Tidings ".chars().cycle();
        let filler: String = filler
            .take(payload_bytes.saturating_sub(bare.len()))
            .collect();
        let text = format!(
            r#"{{"type":"{event_type}","companyId":"{company}","payload":{{"sentUs":{digits},"text":"{filler}"}}}}"#
        );
        let time_at = find_mark(text.as_bytes()).expect("the mark has just been written");
        Self {
            text: text.into_bytes(),
            time_at,
        }
    }

    /// The body of one request, sent at `sent_us`.
    pub(crate) fn body(&self, sent_us: u64) -> Bytes {
        let mut text = self.text.clone();
        let mut rest = sent_us;
        for digit in text[self.time_at..self.time_at + DIGITS].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit is below 10");
            rest /= 10;
        }
        Bytes::from(text)
    }
}

/// The time of sending in the body of a delivery; `None` where there is none.
pub(crate) fn sent_us(body: &[u8]) -> Option<u64> {
    let start = find_mark(body)?;
    let digits = body.get(start..start + DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Where the digits begin.
fn find_mark(text: &[u8]) -> Option<usize> {
    let at = text.windows(MARK.len()).position(|part| part == MARK)?;
    Some(at + MARK.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT_US: u64 = 1_700_000_000_123_456;

    #[test]
    fn what_was_written_is_found_again() {
        let template = Template::new("bench.event", "acme", 1024);
        assert_eq!(sent_us(&template.body(SENT_US)), Some(SENT_US));
        assert_eq!(sent_us(&template.body(SENT_US + 1)), Some(SENT_US + 1));
    }

    #[test]
    fn the_body_is_json_with_a_payload_of_the_size_asked_for() {
        let body = Template::new("bench.event", "acme", 1024).body(SENT_US);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "bench.event");
        assert_eq!(body["companyId"], "acme");
        assert_eq!(body["payload"]["sentUs"], SENT_US);
        assert_eq!(body["payload"].to_string().len(), 1024);
    }

    #[test]
    fn a_body_of_others_has_no_time() {
        assert_eq!(sent_us(b"{}"), None);
        assert_eq!(sent_us(b"{\"sentUs\":12}"), None);
    }
}
