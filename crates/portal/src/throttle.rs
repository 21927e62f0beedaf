//! Throttling of sign-ins: wrong passwords make the next try wait.
//!
//! The tenth wrong password for an account from one network within the window closes the account
//! to that network, and to no other: if it closed it to everybody, a stranger who knows an email
//! would keep its owner out with ten requests in each window. A network that tries many accounts
//! is closed to all of them. Guesses for one account from many networks have a bound of their own,
//! so much higher that to close an account by it takes ten networks, again in each window. It
//! leaves a guesser some ten thousand tries a day, too few for a password of the length that we
//! ask for; and who takes that trouble to keep an owner out is seen, and is a matter for what
//! stands in front of the server.
//!
//! Kept in each node's memory and bounded there. Source: OWASP, Authentication Cheat Sheet, "Login
//! Throttling".

use std::{collections::HashMap, net::IpAddr};

use parking_lot::Mutex;
use tidings_domain::{email::Email, time::UtcMillis};

/// Wrong passwords within the window for one account from one network.
const PER_ACCOUNT_AND_NETWORK_MAX: u32 = 10;
/// Wrong passwords within the window for one account from everywhere.
const PER_ACCOUNT_MAX: u32 = 100;
/// Wrong passwords within the window from one network.
const PER_NETWORK_MAX: u32 = 30;
/// How long wrong passwords count, from the first of them on.
const WINDOW_MS: i64 = 15 * 60 * 1000;
/// Keys that are counted for each wrong password at the most.
const KEYS_EACH_MAX: usize = 3;
/// Accounts and networks that are remembered; beyond it those with the fewest wrong passwords are
/// forgotten, so that nobody opens a closed account by trying many others.
const REMEMBERED_MAX: usize = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// An account from one network, or from where nobody knows.
    AccountFrom(u64, Option<IpAddr>),
    Account(u64),
    Network(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: UtcMillis,
    count: u32,
}

/// Counts wrong passwords.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<Key, Failures>>,
    hasher: std::hash::RandomState,
}

impl Throttle {
    /// Whether a try is allowed; if not, for how many seconds it is not.
    pub(crate) fn check(
        &self,
        email: &Email,
        address: Option<IpAddr>,
        now: UtcMillis,
    ) -> Result<(), u64> {
        let failures = self.failures.lock();
        let waits = self.keys(email, address).filter_map(|(key, max)| {
            let failures = failures.get(&key)?;
            let left = WINDOW_MS - now.since(failures.since);
            (failures.count >= max && left > 0).then_some(left)
        });
        match waits.max() {
            None => Ok(()),
            Some(left) => Err(u64::try_from(left).unwrap_or(0).div_ceil(1000)),
        }
    }

    /// Counts a wrong password. Counted before it is known to be wrong, so that many tries at the
    /// same time are counted, too; [`Throttle::forgive`] takes it back.
    pub(crate) fn count(&self, email: &Email, address: Option<IpAddr>, now: UtcMillis) {
        let mut failures = self.failures.lock();
        if failures.len() + KEYS_EACH_MAX > REMEMBERED_MAX {
            failures.retain(|_, entry| now.since(entry.since) < WINDOW_MS);
        }
        if failures.len() + KEYS_EACH_MAX > REMEMBERED_MAX {
            forget_half(&mut failures);
        }
        for (key, _) in self.keys(email, address) {
            let entry = failures.entry(key).or_insert(Failures {
                since: now,
                count: 0,
            });
            if now.since(entry.since) >= WINDOW_MS {
                *entry = Failures {
                    since: now,
                    count: 0,
                };
            }
            entry.count += 1;
        }
    }

    /// Forgets the account's wrong passwords from this network, since the right one came, and
    /// takes one back elsewhere: what others guessed still counts.
    pub(crate) fn forgive(&self, email: &Email, address: Option<IpAddr>) {
        let mut failures = self.failures.lock();
        for (key, _) in self.keys(email, address) {
            match (key, failures.get_mut(&key)) {
                (Key::AccountFrom(..), _) => drop(failures.remove(&key)),
                (_, Some(entry)) => entry.count = entry.count.saturating_sub(1),
                (_, None) => {}
            }
        }
    }

    fn keys(&self, email: &Email, address: Option<IpAddr>) -> impl Iterator<Item = (Key, u32)> {
        use std::hash::BuildHasher as _;
        let account = self.hasher.hash_one(email);
        let from = address.map(network);
        let pair = Key::AccountFrom(account, from);
        let keys: [_; KEYS_EACH_MAX] = [
            Some((pair, PER_ACCOUNT_AND_NETWORK_MAX)),
            Some((Key::Account(account), PER_ACCOUNT_MAX)),
            from.map(|from| (Key::Network(from), PER_NETWORK_MAX)),
        ];
        keys.into_iter().flatten()
    }
}

/// Forgets at least half of them: those with the fewest wrong passwords, and the oldest of these.
fn forget_half(failures: &mut HashMap<Key, Failures>) {
    let ranks = failures.values().map(|entry| (entry.count, entry.since));
    let mut ranks: Vec<(u32, UtcMillis)> = ranks.collect();
    let middle = ranks.len() / 2;
    if middle > 0 {
        let (_, median, _) = ranks.select_nth_unstable(middle);
        let median = *median;
        failures.retain(|_, entry| (entry.count, entry.since) > median);
    }
}

/// What one client has of the addresses: one of IPv4, a whole /64 of IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UtcMillis {
        UtcMillis::from_millis(seconds * 1000)
    }

    #[test]
    fn an_account_closes_and_opens_again() {
        let (throttle, email) = (Throttle::default(), Email::parse("a@example.com").unwrap());
        for n in 0..10 {
            assert_eq!(throttle.check(&email, None, at(n)), Ok(()), "{n}");
            throttle.count(&email, None, at(n));
        }
        assert_eq!(throttle.check(&email, None, at(10)), Err(890));
        let other = Email::parse("b@example.com").unwrap();
        assert_eq!(throttle.check(&other, None, at(10)), Ok(()));
        assert_eq!(throttle.check(&email, None, at(900)), Ok(()));
        throttle.count(&email, None, at(900));
        assert_eq!(throttle.check(&email, None, at(901)), Ok(()));
    }

    #[test]
    fn a_stranger_closes_an_account_to_their_own_network_alone() {
        let (throttle, email) = (Throttle::default(), Email::parse("a@example.com").unwrap());
        let stranger: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let owner: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..10 {
            throttle.count(&email, Some(stranger), at(0));
        }
        assert_eq!(throttle.check(&email, Some(stranger), at(1)), Err(899));
        assert_eq!(throttle.check(&email, Some(neighbour), at(1)), Err(899));
        assert_eq!(throttle.check(&email, Some(owner), at(1)), Ok(()));
        // That the owner came in lets the stranger guess no more than before.
        throttle.count(&email, Some(owner), at(1));
        throttle.forgive(&email, Some(owner));
        assert!(throttle.check(&email, Some(stranger), at(2)).is_err());
    }

    #[test]
    fn an_account_closes_to_everybody_after_many_guesses_from_everywhere() {
        let (throttle, email) = (Throttle::default(), Email::parse("a@example.com").unwrap());
        let from = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        for n in 0..99 {
            throttle.count(&email, from(n), at(0));
        }
        assert_eq!(throttle.check(&email, from(200), at(1)), Ok(()));
        // The right password takes back no guess but its own.
        throttle.count(&email, from(200), at(1));
        throttle.forgive(&email, from(200));
        assert_eq!(throttle.check(&email, from(201), at(1)), Ok(()));
        throttle.count(&email, from(99), at(1));
        assert_eq!(throttle.check(&email, from(201), at(2)), Err(898));
        assert_eq!(throttle.check(&email, from(201), at(900)), Ok(()));
    }

    #[test]
    fn a_network_closes_for_every_account() {
        let throttle = Throttle::default();
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        for n in 0..30 {
            let email = Email::parse(&format!("u{n}@example.com")).unwrap();
            throttle.count(&email, Some(address), at(0));
        }
        let email = Email::parse("z@example.com").unwrap();
        assert!(throttle.check(&email, Some(neighbour), at(1)).is_err());
        assert!(
            throttle
                .check(&email, Some("192.0.2.1".parse().unwrap()), at(1))
                .is_ok()
        );
    }

    #[test]
    fn trying_many_accounts_does_not_open_a_closed_one() {
        let (throttle, email) = (Throttle::default(), Email::parse("a@example.com").unwrap());
        for _ in 0..10 {
            throttle.count(&email, None, at(0));
        }
        for n in 0..REMEMBERED_MAX * 2 {
            let other = Email::parse(&format!("u{n}@example.com")).unwrap();
            throttle.count(&other, None, at(1));
            assert!(throttle.failures.lock().len() <= REMEMBERED_MAX);
        }
        assert!(throttle.check(&email, None, at(2)).is_err());
    }

    #[test]
    fn the_right_password_forgives() {
        let (throttle, email) = (Throttle::default(), Email::parse("a@example.com").unwrap());
        for _ in 0..10 {
            throttle.count(&email, None, at(0));
        }
        throttle.forgive(&email, None);
        assert_eq!(throttle.check(&email, None, at(1)), Ok(()));
    }
}
