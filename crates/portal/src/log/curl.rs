//! An attempt as a command for curl: the same header fields and the same body, whatever is in them.

use tidings_domain::{attempt::Attempt, event::Event};

use crate::events::file_name;

/// Bytes of a body that the command holds; what is larger is read from the file that the page offers
/// for download.
const BODY_BYTES_MAX: usize = 8 << 10;

/// A command that sends what the attempt sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Curl {
    /// For a POSIX shell.
    pub(super) text: String,
    /// The file that it reads the body from, if it does.
    pub(super) file: Option<String>,
}

impl Curl {
    /// The command for an attempt to deliver an event.
    pub(super) fn of(attempt: &Attempt, event: &Event) -> Self {
        // Brackets and braces of a URL are nobody's wildcards here.
        let mut text = format!("curl --globoff {}", quoted(&attempt.request.url));
        // curl would add `Accept: */*`, which was not sent.
        text.push_str(" \\\n  --header 'Accept:'");
        for (name, value) in attempt.request_headers() {
            text.push_str(" \\\n  --header ");
            text.push_str(&quoted(&format!("{name}: {value}")));
        }
        let body = String::from_utf8_lossy(event.json());
        let file = (body.len() > BODY_BYTES_MAX).then(|| file_name(event));
        text.push_str(" \\\n  ");
        if let Some(file) = &file {
            text.push_str("--data-binary ");
            text.push_str(&quoted(&format!("@{file}")));
        } else {
            text.push_str("--data-raw ");
            text.push_str(&quoted(&body));
        }
        Self { text, file }
    }
}

/// A word for a POSIX shell (Shell Command Language, section 2.2.2): nothing between single quotes
/// means anything but another single quote.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use tidings_domain::{
        attempt::{AttemptOutcome, ReceivedResponse, SentRequest},
        company::CompanyId,
        event_type::EventType,
        id::{AttemptId, EventId, SubscriptionId},
        json_object::JsonObject,
        random::SeededRandom,
        secret::Secret,
        signing::Signer,
        time::UtcMillis,
    };

    fn event(payload: &str) -> Event {
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        Event::new(
            EventId::from_bytes([3; 16]),
            EventType::parse("client.created").unwrap(),
            UtcMillis::from_millis(0),
            CompanyId::parse("acme").unwrap(),
            JsonObject::from_raw(&payload).unwrap(),
            JsonObject::EMPTY,
        )
    }

    fn attempt(event: &Event) -> Attempt {
        let secret = Secret::generate(&SeededRandom::new(1));
        let now = UtcMillis::from_millis(1_700_000_000_000);
        Attempt {
            id: AttemptId::from_bytes([1; 16]),
            subscription: SubscriptionId::from_bytes([2; 16]),
            event: event.id(),
            event_type: event.event_type().clone(),
            number: 2,
            attempted: now,
            elapsed_ms: 0,
            outcome: AttemptOutcome::Succeeded,
            request: SentRequest {
                url: "https://example.com/it's[1-9]?a=$(id)&b=`id`".into(),
                user_agent: "Tidings/test".into(),
                signatures: Some(Signer::new(&secret, None).sign(event.id(), now, event.json())),
            },
            response: ReceivedResponse::default(),
            next_attempt: None,
        }
    }

    /// The words that a shell makes of a command.
    fn words(command: &str) -> Vec<String> {
        let script = format!(
            "for word in {}; do printf '%s\\0' \"$word\"; done",
            &command
        );
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        let words = output.strip_suffix('\0').unwrap().split('\0');
        words.map(str::to_owned).collect()
    }

    #[test]
    fn a_shell_reads_what_was_sent() {
        let event = event("{\"it's\":\"$(touch x) `id` \\\\ \\\"!\\\"\",\r\n \"é\":\"😀\"}");
        let attempt = attempt(&event);
        let curl = Curl::of(&attempt, &event);
        assert_eq!(curl.file, None);
        let words = words(&curl.text);
        assert_eq!(words[..3], ["curl", "--globoff", &*attempt.request.url]);
        let body = words.last().unwrap();
        assert_eq!(&Bytes::copy_from_slice(body.as_bytes()), event.json());
        for (name, value) in attempt.request_headers() {
            assert!(words.contains(&format!("{name}: {value}")), "{name}");
        }
    }

    #[test]
    fn a_large_body_comes_from_a_file() {
        let event = event(&format!(r#"{{"a":"{}"}}"#, "x".repeat(9000)));
        let curl = Curl::of(&attempt(&event), &event);
        let file = curl.file.unwrap();
        assert_eq!(file, format!("{}.json", event.id()));
        assert!(curl.text.ends_with(&format!("--data-binary '@{file}'")));
        assert!(curl.text.len() < 2000);
    }

    proptest! {
        #[test]
        fn nothing_gets_out_of_its_quotes(word in "[^\0]{0,40}") {
            let word = word.trim_end_matches('\n');
            prop_assert_eq!(words(&quoted(word)), [word]);
        }
    }
}
