//! The signal that an event arrived, per company, for those who wait.

use std::sync::{Arc, Weak};

use hashbrown::HashMap;
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
        // Those who wait no more leave their place behind: it goes before the map would grow.
        if signals.len() == signals.capacity() {
            signals.retain(|_, signal| signal.strong_count() > 0);
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

    /// Wakes everybody who waits: something arrived, and it is not known whose.
    pub fn announce_all(&self) {
        let mut signals = self.0.lock();
        signals.retain(|_, signal| match signal.upgrade() {
            Some(signal) => {
                signal.notify_waiters();
                true
            }
            None => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_no_more_are_forgotten() {
        let arrivals = Arrivals::default();
        for number in 0..1000 {
            let company = CompanyId::parse(&format!("c{number}")).unwrap();
            drop(arrivals.of(&company));
        }
        assert!(arrivals.0.lock().len() < 10);
    }

    #[test]
    fn those_who_wait_are_woken_by_company_or_all_at_once() {
        let arrivals = Arrivals::default();
        let company = |name| CompanyId::parse(name).unwrap();
        let signals = ["a", "b"].map(|name| arrivals.of(&company(name)));
        let is_woken = |arrive: &dyn Fn()| {
            let waiting = signals.each_ref().map(|signal| {
                let mut woken = Box::pin(signal.notified());
                woken.as_mut().enable();
                woken
            });
            arrive();
            waiting.map(|mut woken| woken.as_mut().enable())
        };
        assert_eq!(
            is_woken(&|| arrivals.announce(&[company("b")])),
            [false, true]
        );
        assert_eq!(is_woken(&|| arrivals.announce_all()), [true, true]);
        assert_eq!(is_woken(&|| ()), [false, false]);
    }
}
