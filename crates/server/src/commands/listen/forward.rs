//! Posting one event to the local program, with the courier that makes deliveries, and telling how
//! it went.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_delivery::{
    AttemptReport, AttemptRequest, Courier, CourierOptions, PoolLimits, SystemResolver, trust_roots,
};
use tidings_domain::{
    address::AddressRules,
    attempt::{AttemptError, AttemptOutcome},
    breaker::EndpointHealth,
    clock::Clock,
    company::CompanyId,
    event::Event,
    event_type::EventType,
    id::{EventId, SubscriptionId},
    secret::Secret,
    signing::Signer,
    subscription::{Endpoint, SigningSecrets},
    target::{Environment, TargetUrl},
    time::UtcMillis,
};

use crate::{
    clock::{SystemClock, SystemRandom},
    config::Span,
    terminal::Paint,
};

/// The pause between two looks whether the local program is back.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Posts events to one URL.
pub(super) struct Forwarder {
    courier: Courier,
    target: TargetUrl,
    secret: Secret,
    signer: Arc<Signer>,
    subscription: SubscriptionId,
    clock: Arc<SystemClock>,
    paint: Paint,
}

/// The envelope as it comes.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(rename = "createdUtc")]
    created: &'a str,
    #[serde(rename = "companyId")]
    company: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(borrow)]
    metadata: &'a RawValue,
}

impl Forwarder {
    /// To a URL of any kind: this is a tool of whoever sits at this machine.
    pub(super) fn new(
        forward_to: &str,
        secret: &Secret,
        timeout: Span,
        clock: Arc<SystemClock>,
        random: &SystemRandom,
        paint: Paint,
    ) -> anyhow::Result<Self> {
        let target = TargetUrl::parse(forward_to, Environment::Development);
        Ok(Self {
            courier: Courier::new(CourierOptions {
                rules: AddressRules::new(Environment::Development, Vec::new(), Vec::new()),
                resolver: Arc::new(SystemResolver::new(None)?),
                roots: trust_roots(None).context("the system's certificates cannot be read")?,
                attempt_timeout: timeout.as_duration(),
                pool: PoolLimits::default(),
            }),
            target: target.context("--forward-to is no URL like http://localhost:3000/hook")?,
            signer: Arc::new(Signer::new(secret, None)),
            secret: secret.clone(),
            subscription: SubscriptionId::new(clock.now(), random),
            clock,
            paint,
        })
    }

    /// Posts an event; waits where nobody listens. An error where what came is no event.
    pub(super) async fn forward(&self, envelope: &[u8]) -> anyhow::Result<()> {
        let event = Arc::new(read(envelope).context("the server sent what is no event")?);
        let mut number = 1;
        loop {
            let report = self.attempt(&event, number).await;
            let is_down = report.outcome == AttemptOutcome::Failed(AttemptError::Connect);
            if number == 1 || !is_down {
                self.tell(&event, &report);
            }
            if !is_down {
                return Ok(());
            }
            if number == 1 {
                let url = self.target.as_str();
                let told = format!(
                    "Nobody listens at {url}. Start it: the event waits until it is there."
                );
                eprintln!("{}", self.paint.yellow(told));
            }
            number += 1;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn attempt(&self, event: &Arc<Event>, number: u32) -> AttemptReport {
        let endpoint = Endpoint {
            id: self.subscription,
            company: event.company().clone(),
            url: self.target.clone(),
            secrets: SigningSecrets {
                newest: self.secret.clone(),
                previous: None,
            },
            enabled: true,
            epoch: 0,
            max_per_second: None,
            health: EndpointHealth::default(),
        };
        self.courier
            .attempt(AttemptRequest {
                endpoint: Arc::new(endpoint),
                event: Arc::clone(event),
                signer: Arc::clone(&self.signer),
                number,
                now: self.clock.now(),
            })
            .await
    }

    fn tell(&self, event: &Event, report: &AttemptReport) {
        let status = report.response.status.map(|status| status.to_string());
        let outcome = match report.outcome {
            AttemptOutcome::Succeeded => self.paint.green(status.unwrap_or_default()),
            AttemptOutcome::Failed(AttemptError::Status) => {
                self.paint.red(status.unwrap_or_default())
            }
            AttemptOutcome::Failed(error) => self.paint.red(error.to_string()),
        };
        let took = format!("{} ms", report.elapsed_ms);
        println!(
            "{}  {outcome:<9}  {took:>8}  {}  {}",
            self.paint.dim(self.clock.now()),
            self.paint.bold(event.event_type()),
            self.paint.dim(event.id()),
        );
    }
}

/// The event of an envelope, with the bytes of its payload and metadata.
fn read(envelope: &[u8]) -> anyhow::Result<Event> {
    let read: Envelope<'_> = serde_json::from_slice(envelope)?;
    let event = Event::from_stored(
        EventId::parse(read.id)?,
        EventType::parse(read.event_type)?,
        UtcMillis::parse(read.created)?,
        CompanyId::parse(read.company)?,
        read.payload.get(),
        read.metadata.get(),
    );
    anyhow::ensure!(
        *event.json() == Bytes::copy_from_slice(envelope),
        "it is put together in another way"
    );
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_bytes() {
        let envelope = br#"{"id":"evt_01k3zt5w9hf0bvv8d6n7q2m4xe","type":"a.b","createdUtc":"2026-11-23T08:30:00.000Z","companyId":"acme","payload":{"amount": 99.00},"metadata":{}}"#;
        assert_eq!(&read(envelope).unwrap().json()[..], envelope);
        assert!(read(b"{}").is_err());
    }
}
