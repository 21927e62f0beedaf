//! `tidings listen`: brings a company's events to a program on this machine, exactly as webhooks
//! would come, where no public URL leads to it.
//!
//! It follows the stream of events ([`event_stream`]) and posts each event with the delivery
//! side's own courier ([`forward`]). The place in the log moves on only when an event is dealt
//! with, so neither a server that restarts nor a connection that breaks costs or repeats one.

mod event_stream;
mod forward;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use tidings_domain::{clock::Clock, secret::Secret, time::UtcMillis};

use crate::{
    clock::{SystemClock, SystemRandom},
    commands::publish::problem,
    config::{SecretText, Span},
    http_client::{Call, HttpClient},
    terminal::{Paint, colours_on},
};
use event_stream::{Message, Parser};
use forward::Forwarder;

pub(super) const ABOUT: &str = "\
Bring a company's events to a program on this machine.

Each event is posted as a signed delivery, exactly as a webhook would come, and shown with its status and time. Nothing has to be reachable from outside, and nothing is stored: there is no subscription and no log.

Where the program is down, the event waits until it is back. Any other failure is shown, and the next event follows. A server that restarts, or a connection that breaks, loses no event and repeats none.";

pub(super) const EXAMPLES: &str = "\
Examples:
  export TIDINGS_API_KEY=tdg_…                     a key with the scope events:read
  tidings listen --forward-to http://localhost:3000/hook
  tidings listen --forward-to http://localhost:3000/hook --type 'client.*' --type payment.failed
  tidings listen --forward-to http://localhost:3000/hook --since 1h
  tidings listen --forward-to http://localhost:3000/hook --since 2026-11-23T08:30:00Z

Another server than the one on this machine: --server https://tidings.example.com";

/// The shortest and the longest pause before a broken stream is opened again.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What to bring, and where to.
#[derive(Args, Debug)]
pub(crate) struct ListenArgs {
    /// The local program's URL
    #[arg(long, value_name = "URL")]
    forward_to: String,

    /// Only these types; client.* and * are wildcards. Repeatable, or separated by commas
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    event_types: Vec<String>,

    /// Begin with what happened since: a span such as 10m or 2h, or a time such as
    /// 2026-11-23T08:30:00Z; without it, with what happens from now on
    #[arg(long, value_name = "SPAN|TIME")]
    since: Option<Since>,

    /// Whose events; needed with a platform key, a company's key knows its own
    #[arg(long, value_name = "ID")]
    company: Option<String>,

    /// The signing secret; a new one is made and shown unless given
    #[arg(
        long,
        env = "TIDINGS_LISTEN_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    secret: Option<SecretText>,

    /// How long the local program may take to answer
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Span,

    /// The server
    #[arg(
        long,
        env = "TIDINGS_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,

    /// An API key with the scope events:read
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

/// Where to begin.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// So long ago.
    Ago(Span),
    /// At this time.
    At(UtcMillis),
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = text.parse().map(Self::Ago);
        span.or_else(|_| UtcMillis::parse(text).map(Self::At))
            .map_err(|_| "write a span like 10m or 2h, or a time like 2026-11-23T08:30:00Z".into())
    }
}

/// How a stream ended.
enum Ended {
    /// It may be opened again.
    Broken(anyhow::Error),
    /// The server will not have it.
    Refused(anyhow::Error),
}

pub(super) async fn run(args: ListenArgs) -> anyhow::Result<ExitCode> {
    let api_key = args.api_key.as_ref().and_then(SecretText::expose);
    let api_key = api_key.context(
        "an API key is needed: set TIDINGS_API_KEY. `tidings keys create --scopes events:read` makes one",
    )?;
    let client = HttpClient::new(&args.server, Some(api_key))?;
    let (clock, random) = (Arc::new(SystemClock), SystemRandom::new());
    let secret = match args.secret.as_ref().and_then(SecretText::expose) {
        Some(text) => Secret::parse(text).context("--secret is no signing secret")?,
        None => Secret::generate(&random),
    };
    let paint = Paint::new(colours_on(&std::io::stdout()));
    println!(
        "{} {} to {}",
        paint.bold("Listening:"),
        args.server,
        args.forward_to
    );
    println!("{} {}", paint.dim("Signing secret:"), secret.expose());
    println!("{}", paint.dim("Ctrl-C ends it."));
    let path = path(&args, clock.now());
    let forwarder = Forwarder::new(
        &args.forward_to,
        &secret,
        args.timeout,
        clock,
        &random,
        paint,
    )?;
    let mut place = None;
    let mut pause = PAUSE_MIN;
    loop {
        let before = place.clone();
        match follow(&client, &path, &mut place, &forwarder).await {
            Ended::Refused(error) => return Err(error),
            Ended::Broken(error) => {
                if place != before {
                    pause = PAUSE_MIN;
                }
                let seconds = pause.as_secs_f32();
                let told = format!("The stream broke ({error:#}); again in {seconds:.1} s.");
                eprintln!("{}", paint.yellow(told));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// What to ask for when nothing was seen yet.
fn path(args: &ListenArgs, now: UtcMillis) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for event_type in &args.event_types {
        query.append_pair("type", event_type);
    }
    if let Some(company) = &args.company {
        query.append_pair("companyId", company);
    }
    match args.since {
        None => query.append_pair("cursor", "now"),
        Some(Since::Ago(span)) => {
            query.append_pair("sinceUtc", &now.plus_millis(-span.as_ms()).to_string())
        }
        Some(Since::At(time)) => query.append_pair("sinceUtc", &time.to_string()),
    };
    format!("/api/v1/events/stream?{}", query.finish())
}

/// Follows one stream to its end; `place` is behind the last event that was dealt with.
async fn follow(
    client: &HttpClient,
    path: &str,
    place: &mut Option<String>,
    forwarder: &Forwarder,
) -> Ended {
    let mut call = Call::get(path);
    call.headers
        .push((ACCEPT, HeaderValue::from_static("text/event-stream")));
    if let Some(id) = place {
        // A cursor is base64url, which a field value may be.
        if let Ok(id) = HeaderValue::from_str(id) {
            let name = HeaderName::from_static("last-event-id");
            call.headers.push((name, id));
        }
    }
    let mut answer = match client.open(call).await {
        Ok(answer) => answer,
        Err(error) => return Ended::Broken(error),
    };
    if answer.status != 200 {
        return refused(answer.status.as_u16(), &answer.whole().await);
    }
    let mut parser = Parser::default();
    loop {
        match answer.next_chunk().await {
            Ok(Some(chunk)) => parser.take(&chunk),
            Ok(None) => return Ended::Broken(anyhow::anyhow!("the server ended it")),
            Err(error) => return Ended::Broken(error),
        }
        while let Some(message) = parser.next_message() {
            let Message { id, data } = message;
            if let Some(data) = data
                && let Err(error) = forwarder.forward(&data).await
            {
                return Ended::Refused(error);
            }
            if id.is_some() {
                *place = id;
            }
        }
    }
}

/// A status that is worth another try, or one that is not.
fn refused(status: u16, body: &[u8]) -> Ended {
    let said = anyhow::anyhow!("the server answered {status}: {}", problem(body));
    if matches!(status, 429 | 500..) {
        Ended::Broken(said)
    } else {
        Ended::Refused(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_where_it_is_told() {
        assert!(matches!("10m".parse(), Ok(Since::Ago(_))));
        assert!(matches!("2026-11-23T08:30:00Z".parse(), Ok(Since::At(_))));
        assert!("yesterday".parse::<Since>().is_err());
    }

    #[test]
    fn what_cannot_get_better_ends_it() {
        for status in [400, 401, 403, 404, 422] {
            assert!(matches!(refused(status, b"{}"), Ended::Refused(_)));
        }
        for status in [429, 500, 503] {
            assert!(matches!(refused(status, b"{}"), Ended::Broken(_)));
        }
    }
}
