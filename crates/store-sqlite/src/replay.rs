//! Replaying a window of events, step by step, and counting beforehand what that will ask for.

use rusqlite::Connection;
use tidings_domain::{company::CompanyId, id::SubscriptionId, time::UtcMillis};
use tidings_store::{
    Again, Position, ReplayCount, ReplayProgress, ReplayWindow, Replayed, StoreError,
};

use std::sync::{Arc, atomic::Ordering};

use crate::{
    failure::Failure,
    memory::Entry,
    redelivery::{self, ReplayStep, Stepped},
    round_rows,
    store::Inner,
    window::{self, Window},
};

/// Steps through a window that a count makes, each of bounded work.
const COUNT_STEPS_MAX: usize = 20;

/// A subscription whose deliveries are to be replayed.
enum Replayable {
    Yes(Arc<Entry>),
    NoSubscription,
    Disabled,
}

/// A window of events for a subscription.
struct Wanted {
    entry: Arc<Entry>,
    window: ReplayWindow,
    /// Events beyond it were published later.
    up_to: Position,
}

impl Inner {
    /// Owes the events of a window once more, and tells how many so far after each step.
    pub(crate) async fn replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        now: UtcMillis,
        progress: Option<ReplayProgress>,
    ) -> Result<Replayed, StoreError> {
        let wanted = match self.replayable(company, subscription) {
            Replayable::Yes(entry) => self.wanted(entry, window),
            Replayable::NoSubscription => return Ok(Replayed::NoSubscription),
            Replayable::Disabled => return Ok(Replayed::Disabled),
        };
        let (mut after, mut replayed) = (0, 0);
        loop {
            let step = wanted.after(after);
            let read = move |conn: &_| window::step(conn, &step);
            let found = self.readers.read(read).await?;
            if !found.positions.is_empty() {
                let step = ReplayStep {
                    subscription,
                    positions: found.positions,
                    scope: window.scope,
                    now,
                };
                match self.change(step, redelivery::replay_step).await? {
                    Stepped::Queued(queued) => replayed += queued,
                    Stepped::NoSubscription => return Ok(Replayed::NoSubscription),
                    Stepped::Disabled => return Ok(Replayed::Disabled),
                }
            }
            if let Some(tell) = &progress {
                tell(replayed);
            }
            match found.after {
                Some(place) => after = place,
                None => return Ok(Replayed::Queued(replayed)),
            }
        }
    }

    /// How many deliveries such a replay would ask for, by the same rules.
    pub(crate) async fn count_replay(
        &self,
        company: Option<&CompanyId>,
        subscription: SubscriptionId,
        window: ReplayWindow,
        count_max: u64,
    ) -> Result<ReplayCount, StoreError> {
        let wanted = match self.replayable(company, subscription) {
            Replayable::Yes(entry) => self.wanted(entry, window),
            Replayable::NoSubscription => return Ok(ReplayCount::NoSubscription),
            Replayable::Disabled => return Ok(ReplayCount::Disabled),
        };
        let read = move |conn: &_| count(conn, &wanted, count_max);
        self.readers.read(read).await
    }

    fn replayable(&self, company: Option<&CompanyId>, subscription: SubscriptionId) -> Replayable {
        let entry = self.memory.book.read().by_id(subscription).cloned();
        let theirs = |owner: &CompanyId| company.is_none_or(|company| company == owner);
        match entry.filter(|entry| theirs(&entry.endpoint.company)) {
            Some(entry) if entry.endpoint.enabled => Replayable::Yes(entry),
            Some(_) => Replayable::Disabled,
            None => Replayable::NoSubscription,
        }
    }

    fn wanted(&self, entry: Arc<Entry>, window: ReplayWindow) -> Wanted {
        let up_to = self.memory.head.load(Ordering::Acquire);
        Wanted {
            entry,
            window,
            up_to,
        }
    }
}

impl Wanted {
    /// What of the window is behind a place.
    fn after(&self, after: Position) -> Window {
        Window {
            company: self.entry.endpoint.company.clone(),
            types: self.entry.event_types.clone(),
            since: self.window.since,
            until: self.window.until,
            after,
            up_to: self.up_to,
        }
    }
}

fn count(conn: &Connection, wanted: &Wanted, count_max: u64) -> Result<ReplayCount, Failure> {
    let prepare = |sql: &str| Ok(conn.prepare_cached(sql)?);
    let (mut after, mut counted) = (0, 0);
    for _ in 0..COUNT_STEPS_MAX {
        let found = window::step(conn, &wanted.after(after))?;
        for position in found.positions {
            let scope = wanted.window.scope;
            let again = round_rows::replayed(&prepare, &wanted.entry, position, scope)?;
            if counted == count_max && again != Again::Leave {
                return Ok(ReplayCount::AtLeast(count_max));
            }
            counted += u64::from(again != Again::Leave);
        }
        match found.after {
            Some(place) => after = place,
            None => return Ok(ReplayCount::Exactly(counted)),
        }
    }
    Ok(ReplayCount::AtLeast(counted))
}
