//! A plan: operations drawn from a seed, done to a store and to a model of it, with every answer
//! compared.
//!
//! The same seed gives the same plan for every store, and [`follow`] returns the answers in words
//! that name no store's own numbers: two stores that keep the traits give the same transcript,
//! which is how one database is compared with another.
//!
//! A failure prints the seed and the last steps.

mod deliver;
mod look;
mod model;
mod publish;
mod subscribe;

use tidings_domain::{company::CompanyId, random::SeededRandom, time::UtcMillis};
use tidings_store::{Delivery, HandoverLimits, Position, Renewal};

use self::model::Model;
use crate::{
    Harness,
    node::{LEASE_MS, Node},
    scenario::{Scenario, company},
};

/// How many operations the suite's own plans have.
const OPERATIONS: usize = 2000;
/// How many of the last steps a failure shows.
const STEPS_SHOWN: usize = 25;
/// Every type that a plan publishes.
const EVENT_TYPES: [&str; 5] = ["a", "a.b", "a.b.c", "b", "c.d"];
/// What plans subscribe to and filter by.
const PATTERNS: [&str; 8] = ["*", "a", "a.*", "a.b.*", "b", "c.d", "webhook.*", "none"];

pub(crate) async fn two_thousand_operations_agree_with_the_model(harness: &dyn Harness) {
    follow(harness, 1, OPERATIONS).await;
}

pub(crate) async fn so_do_two_thousand_others(harness: &dyn Harness) {
    follow(harness, 20_260_101, OPERATIONS).await;
}

/// Does `operations` operations drawn from `seed` to a fresh store of `harness`, and returns what
/// came of each, one line a step.
///
/// # Panics
/// Where an answer of the store is not what the model says.
pub async fn follow(harness: &dyn Harness, seed: u64, operations: usize) -> Vec<String> {
    let mut run = Run::new(harness, seed).await;
    for _ in 0..operations {
        run.step().await;
    }
    run.look_at_everything().await;
    std::mem::take(&mut run.transcript)
}

/// A plan on its way.
struct Run<'h> {
    seed: u64,
    scenario: Scenario<'h>,
    dice: SeededRandom,
    companies: [CompanyId; 3],
    model: Model,
    hands: [Hand; 2],
    attached: Option<usize>,
    pollers: Vec<Poller>,
    transcript: Vec<String>,
}

/// A node and what it has in memory.
struct Hand {
    node: Node,
    until: UtcMillis,
    /// With the place of each in the model.
    held: Vec<(usize, Delivery)>,
}

/// A reader of one company's log, who comes back now and then.
struct Poller {
    after: Option<Position>,
    seen: usize,
}

impl<'h> Run<'h> {
    async fn new(harness: &'h dyn Harness, seed: u64) -> Self {
        let scenario = Scenario::seeded(harness, !seed).await;
        let hands = [new_hand(&scenario).await, new_hand(&scenario).await];
        let companies = ["one", "two", "three"].map(company);
        let pollers = companies
            .iter()
            .map(|_| Poller {
                after: None,
                seen: 0,
            })
            .collect();
        Self {
            seed,
            scenario,
            dice: SeededRandom::new(seed),
            companies,
            model: Model::default(),
            hands,
            attached: None,
            pollers,
            transcript: Vec::new(),
        }
    }

    /// Lets some time pass and does one thing.
    async fn step(&mut self) {
        let pause_ms = match self.roll(20) {
            0 => 1 + self.roll(60_000),
            1..=4 => 1 + self.roll(3000),
            _ => 1 + self.roll(50),
        };
        self.scenario
            .advance(i64::try_from(pause_ms).expect("at most a minute"));
        self.renew().await;
        match self.roll(100) {
            0..22 => self.publish().await,
            22..25 => self.publish_under_a_key().await,
            25..30 => self.subscribe().await,
            30..34 => self.change().await,
            34..36 => self.delete().await,
            36..38 => self.rotate().await,
            38..42 => self.attach_or_detach(),
            42..54 => self.claim().await,
            54..72 => self.settle().await,
            72..74 => self.release().await,
            74..76 => self.end_lease().await,
            76..77 => self.take_over().await,
            77..81 => self.redeliver().await,
            81..83 => self.replay().await,
            83..88 => self.poll().await,
            88..92 => self.trace().await,
            92..95 => self.read_attempts().await,
            95..97 => self.list().await,
            97..99 => self.tidy().await,
            _ => self.reopen().await,
        }
    }

    /// A number below `below`.
    fn roll(&self, below: usize) -> usize {
        let below = u64::try_from(below.max(1)).expect("no machine has longer words");
        usize::try_from(self.dice.next_u64() % below).expect("it is below a usize")
    }

    fn toss(&self) -> bool {
        self.roll(2) == 0
    }

    fn any_company(&self) -> CompanyId {
        self.companies[self.roll(self.companies.len())].clone()
    }

    /// One to three patterns.
    fn any_types(&self) -> Vec<&'static str> {
        (0..=self.roll(3))
            .map(|_| PATTERNS[self.roll(PATTERNS.len())])
            .collect()
    }

    /// Any subscriber, deleted ones seldom.
    fn any_subscriber(&self) -> Option<usize> {
        let deleted_too = self.roll(8) == 0;
        let subscribers = self.model.subscribers.iter().enumerate();
        let fitting: Vec<_> = subscribers
            .filter(|(_, subscriber)| deleted_too || !subscriber.deleted)
            .map(|(at, _)| at)
            .collect();
        (!fitting.is_empty()).then(|| fitting[self.roll(fitting.len())])
    }

    /// Any event, recent ones more often.
    fn any_event(&self) -> Option<usize> {
        let count = self.model.events.len();
        let recent = if self.toss() { count.min(20) } else { count };
        (count > 0).then(|| count - 1 - self.roll(recent))
    }

    fn note(&mut self, line: String) {
        self.transcript.push(line);
    }

    /// Renews both leases where they ran low. One that has run out is still held, since nobody
    /// claimed meanwhile.
    async fn renew(&mut self) {
        for hand in &mut self.hands {
            if hand.until.since(self.scenario.now()) < LEASE_MS / 2 {
                hand.until = self.scenario.later(LEASE_MS);
                let now = self.scenario.now();
                let renewed = self
                    .scenario
                    .store()
                    .renew_lease(hand.node.lease, now, hand.until);
                assert_eq!(renewed.await, Ok(Renewal::Held));
            }
        }
    }

    /// Housekeeping, which changes no answer.
    async fn tidy(&mut self) {
        self.scenario.sweep().await;
        let owed = self
            .model
            .rows
            .iter()
            .filter(|row| row.state == model::RowState::Owed);
        let owed = owed.count();
        assert_eq!(
            self.scenario.owed().await,
            owed as u64,
            "what has ended is swept out"
        );
        self.note(format!("tidied, {owed} owed"));
    }
}

/// A node with room for everything.
async fn new_hand(scenario: &Scenario<'_>) -> Hand {
    Hand {
        until: scenario.later(LEASE_MS),
        node: scenario.node_within(with_room(usize::MAX)).await,
        held: Vec::new(),
    }
}

/// Limits that bound nothing but the deliveries of each subscription.
fn with_room(deliveries_per_subscription_max: usize) -> HandoverLimits {
    HandoverLimits {
        deliveries_max: usize::MAX,
        deliveries_per_subscription_max,
        bytes_max: usize::MAX,
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps = self.transcript.len();
            let shown = &self.transcript[steps.saturating_sub(STEPS_SHOWN)..];
            eprintln!(
                "seed {}, after step {steps}:\n{}",
                self.seed,
                shown.join("\n")
            );
        }
    }
}
