//! Seeded lives and deaths of a server: publishes, changes, scripted receivers, a failing store and
//! crashes between any two steps. In the end everything that was acknowledged is delivered or has
//! finally failed, and the log has no gap and no line twice.
//!
//! `TIDINGS_SIMULATION_RUNS` says how many runs (200), `TIDINGS_SIMULATION_SEED` makes one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tidings_delivery::{DeliveryMetrics, Dispatcher};
use tidings_domain::{
    actor::Actor,
    attempt::{Attempt, AttemptOutcome},
    clock::{Clock as _, ManualClock},
    id::{EventId, SubscriptionId},
    random::SeededRandom,
    secret::Secret,
    time::UtcMillis,
    verdict::RETRY_WINDOW_MS,
};
use tidings_store::{
    DeliveryQueue as _, DeliveryState, EventLog as _, Handover, HandoverLimits, StoreError,
    SubscriptionBook as _, SubscriptionChange, Upkeep as _,
};
use tokio::runtime::Runtime;

use crate::{
    faulty_store::{Call, Fault, FaultyStore},
    receivers::{Answer, Receivers},
    stage::{self, Directory, LONG_LEASE_MS, START, Setup, WORKS},
};

const RUNS: u64 = 200;
/// Runs side by side; each is a world of its own.
const THREADS: usize = 4;
const STEPS: u64 = 120;
const COMPANIES: [&str; 3] = ["acme", "globex", "initech"];

#[test]
fn whatever_happens_everything_acknowledged_is_delivered_or_has_finally_failed() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match number("TIDINGS_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDINGS_SIMULATION_RUNS").unwrap_or(RUNS),
    };
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let run = std::panic::catch_unwind(|| World::new(seed).play());
                    if let Err(panic) = run {
                        eprintln!("TIDINGS_SIMULATION_SEED={seed} plays it again");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}

/// What lives through crashes: the file, the receivers, the clock, and what was promised.
struct World {
    life: Option<Life>,
    dice: Dice,
    receivers: Arc<Receivers>,
    clock: Arc<ManualClock>,
    random: Arc<SeededRandom>,
    subscriptions: BTreeMap<SubscriptionId, &'static str>,
    /// Those whose receiver may answer 410.
    may_go: BTreeSet<SubscriptionId>,
    events: Vec<(EventId, &'static str)>,
    promised: BTreeSet<(EventId, SubscriptionId)>,
    /// How often a delivery was wished for beside the first.
    redelivered: BTreeMap<(EventId, SubscriptionId), usize>,
    directory: Directory,
}

/// From one start of the server to its crash. The runtime ends first, and with it every task.
struct Life {
    runtime: Runtime,
    dispatcher: Dispatcher,
    handover: Arc<Handover>,
    store: Arc<FaultyStore>,
    wake: Option<UtcMillis>,
}

/// Decides by the seed.
#[derive(Clone)]
struct Dice(Arc<SeededRandom>);

impl Dice {
    fn below(&self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn pick<T: Copy>(&self, all: &[T]) -> Option<T> {
        let index = self.below(all.len().max(1) as u64);
        all.get(usize::try_from(index).ok()?).copied()
    }

    fn size(&self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// A fault for about one call in eight, and delays for half of them.
    fn fault(&self, call: Call) -> Option<Fault> {
        let down = || StoreError::Unavailable("by the dice".to_owned());
        match self.below(32) {
            0..=1 => Some(Fault::Before(down())),
            2..=3 if call != Call::Change => Some(Fault::After(down())),
            4 => Some(Fault::Before(StoreError::Overloaded)),
            5..=16 => Some(Fault::Dawdle(self.size(12))),
            _ => None,
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            life: None,
            dice: Dice(Arc::new(SeededRandom::new(seed))),
            receivers: Arc::default(),
            clock: Arc::new(ManualClock::at(UtcMillis::from_millis(START))),
            random: Arc::new(SeededRandom::new(seed.wrapping_add(1 << 40))),
            subscriptions: BTreeMap::new(),
            may_go: BTreeSet::new(),
            events: Vec::new(),
            promised: BTreeSet::new(),
            redelivered: BTreeMap::new(),
            directory: Directory::new(),
        }
    }

    fn play(mut self) {
        self.start(15_000);
        for _ in 0..2 + self.dice.below(4) {
            self.subscribe();
        }
        for _ in 0..STEPS {
            self.step();
        }
        if self.dice.below(2) == 0 {
            self.end_by_wakes();
        } else {
            self.end_by_jumps();
        }
        self.check();
    }

    fn step(&mut self) {
        match self.dice.below(32) {
            0..=5 => self.publish(),
            6 => self.subscribe(),
            7..=8 => self.change(),
            9 => self.redeliver(),
            10..=13 => self.turn_the_clock(),
            14..=16 => {
                let answer = [Answer::Status(200), Answer::Status(500), Answer::Hang];
                let answer = self.dice.pick(&answer).unwrap_or(Answer::Hang);
                self.receivers.answer_hanging(self.dice.size(6), answer);
            }
            17 => self.crash(15_000),
            _ => self.tick(),
        }
    }

    fn start(&mut self, lease_ms: i64) {
        let setup = Setup {
            concurrency: 1 + self.dice.size(12),
            per_subscription: 1 + self.dice.size(4),
            lease_ms,
            limits: HandoverLimits {
                deliveries_max: 2 + self.dice.size(30),
                deliveries_per_subscription_max: 1 + self.dice.size(8),
                bytes_max: 400 + self.dice.size(8000),
            },
        };
        let store = FaultyStore::new(self.directory.open(&self.random, self.clock.now()));
        let dice = self.dice.clone();
        store.plan(move |call| dice.fault(call));
        let handover = Handover::new(setup.limits);
        let dispatcher = stage::dispatcher(
            setup,
            &store,
            &self.receivers,
            &handover,
            (&self.clock, &self.random),
            &DeliveryMetrics::default(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect(WORKS);
        self.life = Some(Life {
            runtime,
            dispatcher,
            handover,
            store,
            wake: None,
        });
    }

    /// Nothing is settled, nothing is ended: the process is gone, and starts again.
    fn crash(&mut self, lease_ms: i64) {
        self.life = None;
        self.start(lease_ms);
    }

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().expect("a life follows every crash")
    }

    /// A tick, and a few turns for the tasks: often too few for them to end.
    fn tick(&mut self) {
        let (now, turns) = (self.clock.now(), self.dice.size(16));
        let life = self.life();
        life.runtime.block_on(async {
            life.wake = life.dispatcher.tick(now);
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        });
    }

    fn turn_the_clock(&mut self) {
        let wake = self.life().wake;
        let millis = match self.dice.below(5) {
            0 => self.dice.below(50),
            1 => self.dice.below(7_000),
            2 => self.dice.below(40_000),
            3 => self.dice.below(3 * 3_600_000),
            _ => 0,
        };
        self.clock.advance(i64::try_from(millis).unwrap_or(0));
        if let Some(wake) = wake.filter(|wake| millis == 0 && *wake > self.clock.now()) {
            self.clock.set(wake);
        }
    }

    fn subscribe(&mut self) {
        let Some(company) = self.dice.pick(&COMPANIES) else {
            return;
        };
        let new = stage::new_subscription(company, self.clock.now(), &self.random);
        let id = new.id;
        self.script(id);
        let life = self.life();
        // Whether or not it says so, only what is there counts.
        let _ = life
            .runtime
            .block_on(life.store.create_subscription(new, &Actor::COMMAND));
        self.subscriptions.insert(id, company);
    }

    /// Gives a receiver its manners.
    fn script(&mut self, id: SubscriptionId) {
        let recovers_after = u32::try_from(self.dice.below(4)).unwrap_or(0);
        let dice = self.dice.clone();
        match self.dice.below(8) {
            0 => self.receivers.always(id, Answer::Hang),
            1 => {
                self.may_go.insert(id);
                self.receivers.script(id, move |_| {
                    Answer::Status(if dice.below(8) == 0 { 410 } else { 200 })
                });
            }
            2 => self.receivers.always(id, Answer::Wait(429, 90_000)),
            3 => self.receivers.script(id, move |_| {
                let answers = [
                    Answer::Status(200),
                    Answer::Status(500),
                    Answer::Hang,
                    Answer::Panic,
                ];
                dice.pick(&answers).unwrap_or(Answer::Hang)
            }),
            _ => self.receivers.script(id, move |request| {
                Answer::Status(if request.number > recovers_after {
                    200
                } else {
                    500
                })
            }),
        }
    }

    fn is_enabled(&mut self, id: SubscriptionId) -> bool {
        let endpoint = self.life().store.endpoint(id);
        endpoint.is_some_and(|endpoint| endpoint.enabled)
    }

    fn publish(&mut self) {
        let Some(company) = self.dice.pick(&COMPANIES) else {
            return;
        };
        let wanting: Vec<SubscriptionId> = self
            .subscriptions
            .clone()
            .into_iter()
            .filter(|(id, whose)| *whose == company && self.is_enabled(*id))
            .map(|(id, _)| id)
            .collect();
        let count = 1 + self.dice.size(4);
        let (clock, random) = (Arc::clone(&self.clock), Arc::clone(&self.random));
        let life = self.life();
        let published =
            life.runtime
                .block_on(stage::publish(&life.store, company, count, &clock, &random));
        let (ids, acknowledged) = published;
        for id in ids {
            let stored = self.event_is_stored(id);
            assert!(
                stored || acknowledged.is_err(),
                "{id} was acknowledged and is not there"
            );
            if !stored {
                continue;
            }
            self.events.push((id, company));
            for &subscription in &wanting {
                // A 410 may be recorded while the publication is under way.
                if self.is_enabled(subscription) {
                    self.promised.insert((id, subscription));
                }
            }
        }
    }

    fn event_is_stored(&mut self, id: EventId) -> bool {
        let life = self.life();
        life.runtime
            .block_on(life.store.event(None, id))
            .expect(WORKS)
            .is_some()
    }

    /// Changes a subscription. What was owed to it may be ended by that.
    fn change(&mut self) {
        let all: Vec<SubscriptionId> = self.subscriptions.keys().copied().collect();
        let Some(id) = self.dice.pick(&all) else {
            return;
        };
        let (what, now) = (self.dice.below(8), self.clock.now());
        let enabled = self.dice.below(2) == 0;
        if what < 6 {
            self.promised
                .retain(|(_, to)| *to != id || (enabled && what > 0));
        }
        let random = Arc::clone(&self.random);
        let life = self.life();
        let store = &life.store;
        life.runtime.block_on(async {
            match what {
                0 => drop(
                    store
                        .delete_subscription(None, id, now, &Actor::COMMAND)
                        .await,
                ),
                1..=5 => {
                    let change = SubscriptionChange {
                        enabled: Some(enabled),
                        ..SubscriptionChange::default()
                    };
                    drop(
                        store
                            .update_subscription(None, id, None, change, now, &Actor::COMMAND)
                            .await,
                    );
                }
                _ => {
                    let secret = Secret::generate(random.as_ref());
                    let until = now.plus_millis(10_000);
                    drop(
                        store
                            .rotate_secret(None, id, secret, now, until, &Actor::COMMAND)
                            .await,
                    );
                }
            }
        });
    }

    fn redeliver(&mut self) {
        let all: Vec<SubscriptionId> = self.subscriptions.keys().copied().collect();
        let (Some((event, company)), Some(to)) =
            (self.dice.pick(&self.events), self.dice.pick(&all))
        else {
            return;
        };
        if self.subscriptions[&to] != company {
            return;
        }
        let now = self.clock.now();
        let life = self.life();
        let again = life.store.redeliver(None, event, to, now);
        if life.runtime.block_on(again) == Ok(tidings_store::Redelivered::Queued) {
            self.promised.insert((event, to));
            *self.redelivered.entry((event, to)).or_default() += 1;
        }
    }

    /// The world becomes a quiet place: receivers answer, well or badly, and the store works.
    fn calm(&mut self) {
        for id in self.subscriptions.clone().into_keys() {
            let answer = if self.dice.below(4) == 0 { 500 } else { 200 };
            self.receivers.always(id, Answer::Status(answer));
        }
        self.life().store.works();
        self.receivers.answer_hanging(usize::MAX, Answer::Hang);
        self.receivers.answer_hanging(usize::MAX, Answer::Hang);
    }

    /// After a last crash, whatever is owed must be made by the wakes that the dispatcher asks for.
    fn end_by_wakes(&mut self) {
        self.crash(LONG_LEASE_MS);
        self.calm();
        for _ in 0..5000 {
            self.settle_down();
            if self.owed() == 0 {
                return;
            }
            let wake = self
                .life()
                .wake
                .expect("something is owed and nobody will look");
            self.clock.set(wake);
        }
        panic!("{} deliveries are still owed", self.owed());
    }

    /// Without a crash, and with a node that is late at every step.
    fn end_by_jumps(&mut self) {
        self.calm();
        for _ in 0..2000 {
            self.settle_down();
            if self.owed() == 0 {
                return;
            }
            self.clock.advance(5 * 60_000);
        }
        panic!("{} deliveries are still owed", self.owed());
    }

    fn settle_down(&mut self) {
        let (clock, receivers) = (Arc::clone(&self.clock), Arc::clone(&self.receivers));
        let life = self.life();
        let settled = stage::settle_down(&mut life.dispatcher, &life.store, &receivers, &clock);
        life.wake = life.runtime.block_on(settled);
    }

    fn owed(&mut self) -> u64 {
        let life = self.life();
        life.runtime
            .block_on(life.store.backlog())
            .expect(WORKS)
            .owed
    }

    fn check(mut self) {
        assert_eq!(self.life().handover.held(), 0, "nothing is left in memory");
        for id in self.subscriptions.clone().into_keys() {
            let life = self.life();
            let log = life.runtime.block_on(stage::log(&life.store, id));
            self.check_log(id, &log);
        }
        for (event, to) in self.promised.clone() {
            self.check_promise(event, to);
        }
    }

    /// Each delivery's attempts are numbered from 1 without a gap, none is there twice, and each
    /// was made.
    fn check_log(&self, id: SubscriptionId, log: &[Attempt]) {
        let arrived = self.receivers.arrived_at(id);
        let mut by_event: BTreeMap<EventId, Vec<&Attempt>> = BTreeMap::new();
        for attempt in log {
            by_event.entry(attempt.event).or_default().push(attempt);
            let made = arrived.iter().any(|one| {
                let same = (one.event, one.number, one.at);
                let succeeded = attempt.outcome == AttemptOutcome::Succeeded;
                same == (attempt.event, attempt.number, attempt.attempted)
                    && one.succeeded == succeeded
            });
            assert!(made, "{attempt:?} is in the log and was not made");
        }
        for (event, attempts) in by_event {
            let numbers: Vec<u32> = attempts.iter().map(|one| one.number).collect();
            let again = self.redelivered.get(&(event, id)).copied().unwrap_or(0);
            if again == 0 {
                let expected: Vec<u32> = (1..).take(numbers.len()).collect();
                assert_eq!(numbers, expected, "{event} to {id}");
            }
            let of = |number: u32| numbers.iter().filter(|one| **one == number).count();
            assert!(of(1) <= 1 + again, "{event} to {id}: {numbers:?}");
            assert!(
                (1..=11).all(|number| of(number) >= of(number + 1)),
                "{numbers:?}"
            );
            let succeeded = |one: &&&Attempt| one.outcome == AttemptOutcome::Succeeded;
            assert!(attempts.iter().filter(succeeded).count() <= 1 + again);
        }
    }

    fn check_promise(&mut self, event: EventId, to: SubscriptionId) {
        let life = self.life();
        let traces = life
            .runtime
            .block_on(life.store.trace(None, event))
            .expect(WORKS)
            .expect(WORKS);
        let trace = traces.into_iter().find(|trace| trace.subscription == to);
        let state = trace.as_ref().map(|trace| trace.state);
        let log = life.runtime.block_on(stage::log(&life.store, to));
        let attempts: Vec<&Attempt> = log.iter().filter(|one| one.event == event).collect();
        match state {
            Some(DeliveryState::Succeeded) => {
                let arrived = self.receivers.arrived_at(to);
                let delivered = arrived
                    .iter()
                    .any(|one| one.event == event && one.succeeded);
                assert!(delivered, "{event} to {to} never arrived");
            }
            Some(DeliveryState::Failed) => {
                let last = attempts.last().expect("a failure has an attempt");
                let first = attempts.iter().rev().find(|one| one.number == 1);
                let took = first.map_or(0, |first| last.attempted.since(first.attempted));
                let gone = last.response.status == Some(410);
                assert!(
                    last.number == 11 || took >= RETRY_WINDOW_MS || gone,
                    "{last:?}"
                );
            }
            Some(DeliveryState::Disabled) if self.may_go.contains(&to) => {}
            _ => panic!("{event} to {to} was promised: {trace:?} {attempts:?}"),
        }
    }
}
