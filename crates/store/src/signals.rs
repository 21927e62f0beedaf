//! The signal that an event arrived, per company, for those who wait.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tidings_domain::company::CompanyId;
use tokio::sync::Notify;

/// Wakes the readers of one company when something was appended to it. Costs one look at an empty
/// map where nobody waits.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<HashMap<CompanyId, Weak<Notify>>>);

impl Arrivals {
    /// The signal of a company. Take it and enable a `notified()` before reading, so that nothing
    /// falls between reading and waiting.
    #[must_use]
    pub fn of(&self, company: &CompanyId) -> Arc<Notify> {
        let mut signals = self.0.lock();
        if let Some(signal) = signals.get(company).and_then(Weak::upgrade) {
            return signal;
        }
        let signal = Arc::new(Notify::new());
        signals.insert(company.clone(), Arc::downgrade(&signal));
        signal
    }

    /// Wakes everybody who waits for the company. Called by a store after a commit.
    pub fn announce<'a>(&self, companies: impl IntoIterator<Item = &'a CompanyId>) {
        let mut signals = self.0.lock();
        if signals.is_empty() {
            return;
        }
        for company in companies {
            match signals.get(company).map(Weak::upgrade) {
                Some(Some(signal)) => signal.notify_waiters(),
                Some(None) => {
                    signals.remove(company);
                }
                None => {}
            }
        }
    }
}
