//! `tidings publish`: one event to a running server, over its API.

use std::{
    io::{Read as _, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use crate::{
    config::SecretText,
    http_client::{Call, HttpClient},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  export TIDINGS_API_KEY=tdg_…
  tidings publish --company acme --type invoice.paid '{\"amount\": 99.00}'
  tidings publish --type invoice.paid @invoice.json     # the key's own company
  echo '{\"amount\": 99.00}' | tidings publish --type invoice.paid -
  tidings publish --type invoice.paid --idempotency-key invoice-4711 @invoice.json

The stored event is printed on standard output. Its payload keeps its bytes: 99.00 stays 99.00.";

/// What to publish, and where.
#[derive(Args, Debug)]
pub(crate) struct PublishArgs {
    /// The payload, a JSON object: the text itself, @FILE, or - for standard input
    #[arg(value_name = "PAYLOAD", default_value = "{}")]
    payload: String,

    /// What happened, as {domain}.{action}
    #[arg(long = "type", value_name = "TYPE")]
    event_type: String,

    /// Whose event it is; needed with a platform key, a company's key knows its own
    #[arg(long, value_name = "ID")]
    company: Option<String>,

    /// Metadata, a JSON object: the text itself, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,

    /// Publish at most once for this key, however often it is tried, within 24 h
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,

    /// The server
    #[arg(
        long,
        env = "TIDINGS_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,

    /// An API key with the scope events:write
    ///
    /// Prefer the environment variable: others on the machine can see flags.
    #[arg(
        long,
        env = "TIDINGS_API_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    api_key: Option<SecretText>,
}

/// The request of the API. Payload and metadata go in byte for byte.
#[derive(serde::Serialize)]
struct Publication<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(rename = "companyId", skip_serializing_if = "Option::is_none")]
    company: Option<&'a str>,
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

pub(super) async fn run(args: PublishArgs) -> anyhow::Result<ExitCode> {
    let api_key =
        args.api_key.as_ref().and_then(SecretText::expose).context(
            "an API key is needed: set TIDINGS_API_KEY. `tidings keys create` makes one",
        )?;
    let client = HttpClient::new(&args.server, Some(api_key))?;
    let payload = json_object("the payload", &args.payload)?;
    let metadata = args
        .metadata
        .as_deref()
        .map(|text| json_object("--metadata", text))
        .transpose()?;
    let body = serde_json::to_vec(&Publication {
        event_type: &args.event_type,
        company: args.company.as_deref(),
        payload: &payload,
        metadata: metadata.as_deref(),
    })
    .context("cannot build the request")?;
    let mut call = Call::post("/api/v1/events", body);
    if let Some(key) = &args.idempotency_key {
        let value = HeaderValue::from_str(key)
            .context("--idempotency-key must be 1 to 255 printable ASCII characters")?;
        call.headers
            .push((HeaderName::from_static("idempotency-key"), value));
    }
    let answer = client.send(call).await?;
    if answer.status() != 201 {
        bail!(
            "the server refused the event with {}: {}",
            answer.status(),
            problem(answer.body())
        );
    }
    if answer.headers().contains_key("idempotency-replayed") {
        eprintln!("This key was used before: this is the event of the first time.");
    }
    let mut out = std::io::stdout().lock();
    out.write_all(answer.body())?;
    out.write_all(b"\n")?;
    Ok(ExitCode::SUCCESS)
}

/// The bytes that a text names: a file's for `@FILE`, standard input's for `-`, else its own.
pub(super) fn bytes_of(text: &str) -> anyhow::Result<Vec<u8>> {
    if text == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        return Ok(bytes);
    }
    match text.strip_prefix('@') {
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {file}")),
        None => Ok(text.as_bytes().to_vec()),
    }
}

fn json_object(what: &str, text: &str) -> anyhow::Result<Box<RawValue>> {
    let bytes = bytes_of(text)?;
    let raw: Box<RawValue> = serde_json::from_slice(&bytes)
        .with_context(|| format!("{what} is not JSON; it must be an object like {{\"a\": 1}}"))?;
    if !raw.get().starts_with('{') {
        bail!("{what} must be a JSON object like {{\"a\": 1}}");
    }
    Ok(raw)
}

/// What a problem document says, in one line; the body as it is where it is none.
pub(super) fn problem(body: &[u8]) -> String {
    let Ok(problem) = serde_json::from_slice::<serde_json::Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let text = |value: &serde_json::Value, key: &str| {
        value
            .get(key)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let mut parts: Vec<String> = text(&problem, "detail")
        .or_else(|| text(&problem, "title"))
        .into_iter()
        .collect();
    for error in problem
        .get("errors")
        .and_then(|errors| errors.as_array())
        .into_iter()
        .flatten()
    {
        let pointer = text(error, "pointer").unwrap_or_default();
        let detail = text(error, "detail").unwrap_or_default();
        let line = format!("{pointer} {detail}");
        // What is wrong with one member alone is the detail already.
        if !parts.contains(&line) {
            parts.push(line);
        }
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_bytes() {
        let payload = json_object("the payload", r#"{"amount": 99.00}"#).unwrap();
        let body = serde_json::to_string(&Publication {
            event_type: "a.b",
            company: None,
            payload: &payload,
            metadata: None,
        });
        assert_eq!(
            body.unwrap(),
            r#"{"type":"a.b","payload":{"amount": 99.00}}"#
        );
    }

    #[test]
    fn a_payload_is_an_object() {
        assert!(json_object("the payload", "[1]").is_err());
        assert!(
            json_object("the payload", "{")
                .unwrap_err()
                .to_string()
                .contains("not JSON")
        );
    }

    #[test]
    fn a_problem_is_told_in_one_line() {
        let body = br#"{"title":"Unprocessable","detail":"refused","errors":[{"pointer":"/type","detail":"is empty"}]}"#;
        assert_eq!(problem(body), "refused; /type is empty");
        assert_eq!(problem(b"<html>"), "<html>");
    }
}
