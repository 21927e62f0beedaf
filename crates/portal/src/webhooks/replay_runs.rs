//! Replays under way, and how those ended that did: a replay may take minutes, so it is a task of
//! the server, and pages look at how far it is. The server waits for it when it stops, so that what
//! was done is told.
//!
//! They are known to the server that runs them. What is kept for good is the line of the audit log.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use tidings_domain::{
    actor::Actor, company::CompanyId, id::SubscriptionId, random::Random, time::UtcMillis,
};
use tidings_store::{ReplayWindow, Replayed, audit_log};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    slots::{Slot, Slots},
    state::Portal,
};

/// Replays under way of one company.
const EACH_MAX: usize = 2;
/// Replays under way in all.
const RUNNING_MAX: usize = 16;
/// Replays that are remembered.
const REMEMBERED_MAX: usize = 1000;
/// Random bytes of a name.
const NAME_BYTES: usize = 12;

/// All of them.
pub(super) struct ReplayRuns {
    slots: Slots<CompanyId>,
    permits: Arc<Semaphore>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    by_name: HashMap<String, Arc<ReplayRun>>,
    /// The oldest first.
    names: VecDeque<String>,
}

/// One replay.
pub(super) struct ReplayRun {
    company: CompanyId,
    pub(super) subscription: SubscriptionId,
    pub(super) window: ReplayWindow,
    pub(super) started: UtcMillis,
    /// How many deliveries were asked for so far.
    queued: AtomicU64,
    end: OnceLock<End>,
}

/// How a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// So many deliveries were asked for.
    Done(u64),
    /// The webhook was disabled meanwhile.
    Disabled,
    /// The webhook was deleted meanwhile.
    Deleted,
    /// The server is being stopped.
    Stopped,
    /// Something broke; it is in the log.
    Failed,
}

/// What a replay holds while it is under way. A task that panics ends as one that failed.
struct Running {
    run: Arc<ReplayRun>,
    _slot: Slot<CompanyId>,
    _permit: OwnedSemaphorePermit,
}

impl Default for ReplayRuns {
    fn default() -> Self {
        Self {
            slots: Slots::new(EACH_MAX),
            permits: Arc::new(Semaphore::new(RUNNING_MAX)),
            remembered: Mutex::default(),
        }
    }
}

impl ReplayRun {
    /// How many deliveries were asked for so far.
    pub(super) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// How it ended; none while it is under way.
    pub(super) fn end(&self) -> Option<End> {
        self.end.get().copied()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever came to an end has said so.
        let _ = self.run.end.set(End::Failed);
    }
}

impl ReplayRuns {
    /// The replay of this name, if it is the company's and of this subscription.
    pub(super) fn get(
        &self,
        company: &CompanyId,
        subscription: SubscriptionId,
        name: &str,
    ) -> Option<Arc<ReplayRun>> {
        let remembered = self.remembered.lock();
        let run = remembered.by_name.get(name)?;
        let theirs = run.company == *company && run.subscription == subscription;
        theirs.then(|| Arc::clone(run))
    }

    /// A place for a replay that is about to begin, and its name; none where too many are under
    /// way.
    fn begin(&self, run: ReplayRun, random: &dyn Random) -> Option<(String, Running)> {
        let slot = self.slots.take(&run.company)?;
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let run = Arc::new(run);
        let mut bytes = [0; NAME_BYTES];
        random.fill(&mut bytes);
        let name = URL_SAFE_NO_PAD.encode(bytes);
        let mut remembered = self.remembered.lock();
        while remembered.names.len() >= REMEMBERED_MAX {
            if let Some(oldest) = remembered.names.pop_front() {
                remembered.by_name.remove(&oldest);
            }
        }
        remembered.names.push_back(name.clone());
        remembered.by_name.insert(name.clone(), Arc::clone(&run));
        let running = Running {
            run,
            _slot: slot,
            _permit: permit,
        };
        Some((name, running))
    }
}

/// Begins a replay and gives its name; none where too many are under way.
pub(super) fn begin(
    portal: &Arc<Portal>,
    company: &CompanyId,
    subscription: SubscriptionId,
    window: ReplayWindow,
    by: Actor,
) -> Option<String> {
    let run = ReplayRun {
        company: company.clone(),
        subscription,
        window,
        started: portal.now(),
        queued: AtomicU64::new(0),
        end: OnceLock::new(),
    };
    let runs = &portal.webhooks.replays;
    let (name, running) = runs.begin(run, portal.random.as_ref())?;
    let portal = Arc::clone(portal);
    let tasks = portal.tasks.clone();
    tasks.spawn(async move { follow(&portal, &running, &by).await });
    Some(name)
}

/// Runs a replay to its end and notes how it ended.
async fn follow(portal: &Portal, running: &Running, by: &Actor) {
    let run = &running.run;
    let counted = Arc::clone(run);
    let progress = Arc::new(move |queued| counted.queued.store(queued, Ordering::Relaxed));
    let (company, id) = (Some(&run.company), run.subscription);
    let replay = portal
        .store
        .replay(company, id, run.window, run.started, Some(progress));
    let end = tokio::select! {
        biased;
        () = portal.shutdown.cancelled() => End::Stopped,
        replayed = replay => match replayed {
            Ok(Replayed::Queued(deliveries)) => End::Done(deliveries),
            Ok(Replayed::Disabled) => End::Disabled,
            Ok(Replayed::NoSubscription) => End::Deleted,
            Err(error) => {
                tracing::error!(%error, subscription = %id, "a replay broke off");
                End::Failed
            }
        },
    };
    let deliveries = match end {
        End::Done(deliveries) => deliveries,
        End::Disabled | End::Deleted | End::Stopped | End::Failed => run.queued(),
    };
    if deliveries > 0 || matches!(end, End::Done(_)) {
        let company = Some(run.company.clone());
        let now = portal.now();
        let line = audit_log::replayed(company, id, run.window, deliveries, now, by);
        audit_log::record_what_was_done(portal.store.as_ref(), line).await;
    }
    // Nobody else sets it while this one holds the run.
    let _ = run.end.set(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::random::SeededRandom;
    use tidings_store::ReplayScope;

    fn run(company: &str) -> ReplayRun {
        ReplayRun {
            company: CompanyId::parse(company).unwrap(),
            subscription: SubscriptionId::from_bytes([1; 16]),
            window: ReplayWindow {
                since: UtcMillis::from_millis(0),
                until: None,
                scope: ReplayScope::All,
            },
            started: UtcMillis::from_millis(0),
            queued: AtomicU64::new(0),
            end: OnceLock::new(),
        }
    }

    #[test]
    fn a_company_has_two_at_a_time_and_all_together_some_more() {
        let (runs, random) = (ReplayRuns::default(), SeededRandom::new(1));
        let first = runs.begin(run("acme"), &random).unwrap();
        let second = runs.begin(run("acme"), &random).unwrap();
        assert!(runs.begin(run("acme"), &random).is_none());
        let others: Vec<_> = (0..)
            .map_while(|n| runs.begin(run(&format!("c{n}")), &random))
            .collect();
        assert_eq!(others.len(), RUNNING_MAX - 2);
        drop(first);
        assert!(runs.begin(run("acme"), &random).is_some());
        drop((second, others));
    }

    #[test]
    fn one_that_is_dropped_under_way_has_failed_and_one_that_ended_has_not() {
        let (runs, random) = (ReplayRuns::default(), SeededRandom::new(1));
        let acme = CompanyId::parse("acme").unwrap();
        let id = SubscriptionId::from_bytes([1; 16]);
        let (name, running) = runs.begin(run("acme"), &random).unwrap();
        assert_eq!(runs.get(&acme, id, &name).unwrap().end(), None);
        drop(running);
        assert_eq!(runs.get(&acme, id, &name).unwrap().end(), Some(End::Failed));
        let (name, running) = runs.begin(run("acme"), &random).unwrap();
        running.run.end.set(End::Done(3)).unwrap();
        drop(running);
        assert_eq!(
            runs.get(&acme, id, &name).unwrap().end(),
            Some(End::Done(3))
        );
        let globex = CompanyId::parse("globex").unwrap();
        assert!(runs.get(&globex, id, &name).is_none());
        assert!(
            runs.get(&acme, SubscriptionId::from_bytes([2; 16]), &name)
                .is_none()
        );
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let (runs, random) = (ReplayRuns::default(), SeededRandom::new(1));
        let (acme, id) = (
            CompanyId::parse("acme").unwrap(),
            SubscriptionId::from_bytes([1; 16]),
        );
        let mut names = Vec::new();
        for _ in 0..=REMEMBERED_MAX {
            names.push(runs.begin(run("acme"), &random).unwrap().0);
        }
        assert!(runs.get(&acme, id, &names[0]).is_none());
        assert!(runs.get(&acme, id, &names[1]).is_some());
        assert!(runs.get(&acme, id, &names[REMEMBERED_MAX]).is_some());
    }
}
