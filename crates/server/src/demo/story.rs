//! What happens in the demo, told as it happens: every step is a call of the HTTP API, and every
//! line shows what an answer said or what arrived at the receiver. A step that does not go as it
//! should ends the story with an error.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tidings_domain::api_key::ApiKeyToken;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    RETRY_SCHEDULE,
    receiver::{Arrival, FLAKY_PATH, Receiver},
    screen::Screen,
};
use crate::{
    http_client::{Call, HttpClient},
    node::Node,
};

/// Who the story is about.
const COMPANY: &str = "acme";
/// The other endpoint, which accepts at once.
const CALM_PATH: &str = "/refunds";
/// How long any one thing may take to happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the delivery log is read until the last attempt is in it.
const LOG_PERIOD: Duration = Duration::from_millis(20);

/// Tells the story.
pub(super) struct Story<'a> {
    screen: Screen,
    server: String,
    platform: HttpClient,
    company: HttpClient,
    key: String,
    receiver: &'a Receiver,
    arrivals: mpsc::Receiver<Arrival>,
    began: Instant,
    signatures_checked: usize,
}

/// A subscription of the story.
struct Subscribed {
    id: String,
    types: &'static str,
    path: &'static str,
}

/// An answer of the API.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
    text: String,
    took: Duration,
}

impl<'a> Story<'a> {
    /// A story between a node and a receiver; `bootstrap` is the platform's key.
    pub(super) fn new(
        screen: Screen,
        node: &Node,
        receiver: &'a Receiver,
        arrivals: mpsc::Receiver<Arrival>,
        bootstrap: &ApiKeyToken,
    ) -> anyhow::Result<Self> {
        let server = format!("http://{}", node.address());
        let platform = HttpClient::new(&server, Some(bootstrap.expose()))?;
        Ok(Self {
            screen,
            server,
            company: platform.clone(),
            platform,
            key: String::new(),
            receiver,
            arrivals,
            began: Instant::now(),
            signatures_checked: 0,
        })
    }

    /// The whole of it.
    pub(super) async fn tell(&mut self) -> anyhow::Result<()> {
        self.introduce();
        self.screen.step(1, "A key and two subscriptions");
        self.make_key().await?;
        let invoices = self.subscribe("invoice.*", FLAKY_PATH).await?;
        let refunds = self.subscribe("refund.created", CALM_PATH).await?;
        let both = [&invoices, &refunds];

        self.screen
            .step(2, "Publish an event, and see whom it is owed to");
        let body = r#"{"type":"invoice.paid","payload":{"number":"2026-0117","amount":99.00}}"#;
        let paid = self.publish(body).await?;
        self.show_trace(&paid, both).await?;

        self.screen
            .step(3, "The receiver fails twice, and gets it all the same");
        self.follow(&paid, FLAKY_PATH, &[500, 503, 200]).await?;

        self.screen
            .step(4, "Another event, for the other subscription");
        let body = r#"{"type":"refund.created","payload":{"invoice":"2026-0117","amount":9.50}}"#;
        let refunded = self.publish(body).await?;
        self.follow(&refunded, CALM_PATH, &[200]).await?;

        self.screen.step(5, "The delivery log of the first");
        self.show_log(&invoices).await?;

        self.screen
            .step(6, "Or poll: every event exactly once, by a cursor");
        self.poll(&[&paid, &refunded]).await?;

        self.screen.step(7, "Or look at it all in the browser");
        self.open_portal().await?;
        self.conclude();
        Ok(())
    }

    /// Shows how to try the API, and goes on showing what arrives, for as long as it is let.
    pub(super) async fn stay(&mut self) {
        let screen = self.screen;
        let (key, server, company) = (&self.key, &self.server, COMPANY);
        screen.row("Key", screen.paint().cyan(key));
        screen.note(&format!(
            "of the company {company}; the server is at {server}"
        ));
        println!();
        screen.command(&format!(
            "export TIDINGS_API_KEY={key} TIDINGS_SERVER={server}"
        ));
        screen.command(r#"tidings publish --type invoice.paid '{"amount": 12.50}'"#);
        screen.command(r#"curl -H "X-Api-Key: $TIDINGS_API_KEY" "$TIDINGS_SERVER/api/v1/events""#);
        screen.command(
            r#"curl -H "X-Api-Key: $TIDINGS_API_KEY" "$TIDINGS_SERVER/api/v1/webhooks/subscriptions""#,
        );
        println!();
        screen.row("Docs", screen.paint().cyan(format!("{server}/docs")));
        println!("\n   What arrives at the receiver is shown here. Ctrl-C ends the demo.\n");
        let began = Instant::now();
        while let Some(arrival) = self.arrivals.recv().await {
            screen.row(&arrival.event_type, &arrival.event_id);
            screen.attempt(&arrival, arrival.at.duration_since(began));
        }
    }

    fn introduce(&self) {
        let screen = self.screen;
        screen.title("Tidings: an event on its way to a receiver that fails at first");
        screen.row(
            "Server",
            format_args!(
                "{}  the real one, on SQLite in a temporary directory",
                self.server
            ),
        );
        screen.row(
            "Receiver",
            format_args!("{}  answers 500, then 503, then 200", self.receiver.base()),
        );
        let delays = RETRY_SCHEDULE.replace(',', ", ");
        screen.row(
            "Retries",
            format_args!("after {delays}: shortened for the demo"),
        );
        screen.note("usually after 5 s, 30 s, 2 min, … ten times within 24 h");
    }

    async fn make_key(&mut self) -> anyhow::Result<()> {
        let scopes = ["events:read", "events:write", "webhooks:write"];
        let wish = json!({"name": "demo", "companyId": COMPANY, "scopes": scopes});
        let answer = self
            .post(&self.platform, "/api/v1/api-keys", wish.to_string())
            .await?;
        answer.expect(StatusCode::CREATED)?;
        self.key = answer.text_at("key")?;
        self.company = HttpClient::new(&self.server, Some(&self.key))?;
        let shown = self.key.get(..12).unwrap_or_default();
        let scopes = scopes.join(", ");
        self.screen
            .row("API key", format_args!("{shown}…  of {COMPANY}: {scopes}"));
        Ok(())
    }

    async fn subscribe(
        &mut self,
        types: &'static str,
        path: &'static str,
    ) -> anyhow::Result<Subscribed> {
        let url = format!("{}{path}", self.receiver.base());
        let wish = json!({"url": url, "eventTypes": [types]});
        let answer = self
            .post(
                &self.company,
                "/api/v1/webhooks/subscriptions",
                wish.to_string(),
            )
            .await?;
        answer.expect(StatusCode::CREATED)?;
        self.receiver.trust(path, &answer.text_at("secret")?);
        let id = answer.text_at("id")?;
        self.screen
            .row("Subscribed", format_args!("{types:<15} → {path:<10} {id}"));
        Ok(Subscribed { id, types, path })
    }

    /// Publishes and gives the event's id.
    async fn publish(&mut self, body: &str) -> anyhow::Result<String> {
        self.began = Instant::now();
        let answer = self
            .post(&self.company, "/api/v1/events", body.to_owned())
            .await?;
        answer.expect(StatusCode::CREATED)?;
        let (id, event_type) = (answer.text_at("id")?, answer.text_at("type")?);
        let ms = answer.took.as_secs_f64() * 1000.0;
        let screen = self.screen;
        screen.row(
            "Published",
            format_args!("{}  {id}", screen.paint().bold(event_type)),
        );
        screen.row(
            "Answer",
            format_args!(
                "{} after {ms:.1} ms: the event and all it is owed to are on disk",
                screen.paint().green("201 Created")
            ),
        );
        Ok(id)
    }

    async fn show_trace(&self, event: &str, all: [&Subscribed; 2]) -> anyhow::Result<()> {
        let answer = self
            .get(&format!("/api/v1/events/{event}/deliveries"))
            .await?;
        answer.expect(StatusCode::OK)?;
        for subscribed in all {
            let line = answer.json["deliveries"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|line| line["subscriptionId"] == subscribed.id.as_str())
                .context("the trace has no line for a subscription")?;
            let state = line["state"].as_str().unwrap_or_default();
            let expected = if subscribed.path == FLAKY_PATH {
                ["pending", "retrying", "succeeded"].contains(&state)
            } else {
                state == "notMatched"
            };
            ensure!(expected, "the delivery to {} is {state}", subscribed.path);
            let mark = if state == "notMatched" {
                self.screen.paint().dim(format!("{state:<10}"))
            } else {
                self.screen.paint().yellow(format!("{state:<10}"))
            };
            let Subscribed { types, path, .. } = subscribed;
            self.screen
                .row("Owed to", format_args!("{path:<10} {mark}  wants {types}"));
        }
        Ok(())
    }

    /// Shows the attempts of an event as they arrive, and checks that they are the expected ones.
    async fn follow(&mut self, event: &str, path: &str, statuses: &[u16]) -> anyhow::Result<()> {
        for (number, status) in (1..).zip(statuses) {
            let arrival = timeout(PATIENCE, self.arrivals.recv())
                .await
                .ok()
                .flatten()
                .with_context(|| format!("attempt {number} did not arrive"))?;
            self.screen
                .attempt(&arrival, arrival.at.duration_since(self.began));
            ensure!(
                arrival.event_id == event && arrival.path == path,
                "something else arrived: {} at {}",
                arrival.event_id,
                arrival.path
            );
            ensure!(
                arrival.attempt == number.to_string() && arrival.answered.as_u16() == *status,
                "it is attempt {} and was answered {}",
                arrival.attempt,
                arrival.answered
            );
            ensure!(arrival.standard_is_right, "webhook-signature is wrong");
            ensure!(arrival.hub_is_right, "X-Hub-Signature-256 is wrong");
            self.signatures_checked += 2;
        }
        Ok(())
    }

    async fn show_log(&self, subscribed: &Subscribed) -> anyhow::Result<()> {
        let path = format!("/api/v1/webhooks/subscriptions/{}/attempts", subscribed.id);
        // The receiver has the last attempt a moment before the log has it.
        let deadline = Instant::now() + PATIENCE;
        let attempts = loop {
            let answer = self.get(&path).await?;
            answer.expect(StatusCode::OK)?;
            let attempts = answer.json.as_array().cloned().unwrap_or_default();
            if attempts.len() == 3 {
                break attempts;
            }
            if Instant::now() > deadline {
                bail!(
                    "the delivery log has {} attempts instead of 3",
                    attempts.len()
                );
            }
            tokio::time::sleep(LOG_PERIOD).await;
        };
        for attempt in attempts.iter().rev() {
            let outcome = attempt["outcome"].as_str().unwrap_or_default();
            let mark = format!("{outcome:<9}");
            let mark = if outcome == "succeeded" {
                self.screen.paint().green(mark)
            } else {
                self.screen.paint().red(mark)
            };
            let next = match attempt["nextAttemptUtc"].as_str() {
                Some(next) => format!("next at {}", time_of_day(next)),
                None => "done".to_owned(),
            };
            self.screen.row(
                time_of_day(attempt["attemptedUtc"].as_str().unwrap_or_default()),
                format_args!(
                    "attempt {}  {mark}  {}  {:>3} ms  {next}",
                    attempt["attempt"], attempt["statusCode"], attempt["elapsedMs"]
                ),
            );
        }
        let outcomes: Vec<_> = attempts.iter().map(|attempt| &attempt["outcome"]).collect();
        ensure!(
            outcomes == ["succeeded", "failed", "failed"],
            "the delivery log's outcomes are {outcomes:?}"
        );
        Ok(())
    }

    async fn poll(&self, published: &[&str]) -> anyhow::Result<()> {
        let screen = self.screen;
        let first = self.get("/api/v1/events?limit=100").await?;
        first.expect(StatusCode::OK)?;
        let events = first.json.as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = events
            .iter()
            .filter_map(|event| event["id"].as_str())
            .collect();
        ensure!(ids == published, "the polled events are {ids:?}");
        ensure!(
            first.text.contains(r#""amount":99.00"#),
            "the payload's bytes were not kept"
        );
        screen.row("Request", "GET /api/v1/events");
        for event in &events {
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            screen.row("Event", format_args!("{:<15} {}", text("type"), text("id")));
        }
        screen.note("the payload's bytes are kept: 99.00 is still 99.00");
        let cursor = first.header("x-paging-cursor")?;
        let shown: String = cursor.chars().take(40).collect();
        screen.row(
            "Cursor",
            format_args!("{shown}…  go on from here, now or next week"),
        );
        let rest = self.get(&format!("/api/v1/events?cursor={cursor}")).await?;
        rest.expect(StatusCode::OK)?;
        ensure!(rest.json == json!([]), "the cursor gave an event twice");
        screen.row(
            "Again",
            "GET /api/v1/events?cursor=…  []: nothing twice, nothing missed",
        );
        Ok(())
    }

    /// Asks for a link into the portal, as a product does for its customer's admin.
    async fn open_portal(&self) -> anyhow::Result<()> {
        let wish = json!({"companyId": COMPANY, "role": "admin"});
        let path = "/api/v1/portal/sessions";
        let answer = self.post(&self.platform, path, wish.to_string()).await?;
        answer.expect(StatusCode::CREATED)?;
        let link = answer.text_at("url")?;
        let screen = self.screen;
        screen.row("Portal", screen.paint().cyan(link));
        screen.note(&format!(
            "opens it as an admin of {COMPANY}, once, as long as the demo runs: see --keep"
        ));
        Ok(())
    }

    fn conclude(&self) {
        self.screen.conclusion(&format!(
            "2 events published, both delivered, 4 attempts, {} signatures checked.",
            self.signatures_checked
        ));
    }

    async fn post(&self, client: &HttpClient, path: &str, body: String) -> anyhow::Result<Answer> {
        Answer::to(client, Call::post(path, body)).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        Answer::to(&self.company, Call::get(path)).await
    }
}

impl Answer {
    async fn to(client: &HttpClient, call: Call<'_>) -> anyhow::Result<Self> {
        let what = format!("{} {}", call.method, call.path);
        let began = Instant::now();
        let answer = client.send(call).await.with_context(|| what.clone())?;
        let took = began.elapsed();
        let (head, body) = answer.into_parts();
        let text = String::from_utf8_lossy(&body).into_owned();
        let json = serde_json::from_str(&text).with_context(|| format!("{what} gave no JSON"))?;
        Ok(Self {
            status: head.status,
            headers: head.headers,
            json,
            text,
            took,
        })
    }

    fn expect(&self, status: StatusCode) -> anyhow::Result<()> {
        ensure!(
            self.status == status,
            "the server answered {} instead of {status}: {}",
            self.status,
            self.text
        );
        Ok(())
    }

    fn text_at(&self, key: &str) -> anyhow::Result<String> {
        self.json[key]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("the answer has no {key}"))
    }

    fn header(&self, name: &str) -> anyhow::Result<&str> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .with_context(|| format!("the answer has no {name}"))
    }
}

/// `08:30:00.123` of an RFC 3339 instant.
fn time_of_day(instant: &str) -> &str {
    instant.get(11..23).unwrap_or(instant)
}
