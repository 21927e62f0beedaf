//! The names that were resolved lately, ready to use.
//!
//! The resolver behind keeps answers too, but finding one there costs as much as half of an
//! attempt over an idle connection: names and queries are parsed and built anew each time. Here it
//! is one look into a map. An answer is kept as long as its time to live allows, not longer.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The most names that are kept.
const NAMES_MAX: usize = 4096;

/// Addresses by name.
#[derive(Default)]
pub(crate) struct RecentNames(Mutex<HashMap<Box<str>, Recent>>);

struct Recent {
    addresses: Arc<[IpAddr]>,
    until: Instant,
}

impl RecentNames {
    /// What `name` resolved to, where that still holds at `now`.
    pub(crate) fn get(&self, name: &str, now: Instant) -> Option<Arc<[IpAddr]>> {
        let names = self.0.lock();
        let recent = names.get(name).filter(|recent| now < recent.until)?;
        Some(Arc::clone(&recent.addresses))
    }

    /// Keeps an answer. Where there are too many, all are forgotten: those in use come back with
    /// their next attempt.
    pub(crate) fn keep(&self, name: &str, addresses: &Arc<[IpAddr]>, until: Instant) {
        let mut names = self.0.lock();
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        let addresses = Arc::clone(addresses);
        names.insert(name.into(), Recent { addresses, until });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn addresses() -> Arc<[IpAddr]> {
        Arc::new(["192.0.2.1".parse().unwrap()])
    }

    #[test]
    fn an_answer_lives_as_long_as_it_may() {
        let (names, begin) = (RecentNames::default(), Instant::now());
        let until = begin + Duration::from_secs(1);
        names.keep("a.example", &addresses(), until);
        assert_eq!(names.get("a.example", begin), Some(addresses()));
        assert_eq!(names.get("a.example", until), None);
        assert_eq!(names.get("b.example", begin), None);
    }

    #[test]
    fn names_are_bounded() {
        let (names, begin) = (RecentNames::default(), Instant::now());
        let until = begin + Duration::from_secs(1);
        for number in 0..=NAMES_MAX {
            names.keep(&format!("{number}.example"), &addresses(), until);
        }
        assert_eq!(names.0.lock().len(), 1);
    }
}
