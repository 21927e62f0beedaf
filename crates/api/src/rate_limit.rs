//! Rate limits: how many requests an API key may make in a minute, by class.
//!
//! A key's window begins with its first request and lasts [`WINDOW_MS`]; the next request after
//! that begins another. What is off costs nothing.

use std::{collections::HashMap, num::NonZeroU32};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use parking_lot::Mutex;
use tidings_domain::{id::ApiKeyId, time::UtcMillis};

use crate::problem::{Code, Problem};

/// How long a window lasts, in milliseconds.
const WINDOW_MS: i64 = 60_000;
/// The same in seconds, as the header fields have it.
const WINDOW_SECONDS: i64 = WINDOW_MS / 1000;
/// Keys that are counted at a time. Windows that ended make room first.
const KEYS_MAX: usize = 100_000;

/// Requests per minute and key; none where a class has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// `GET` and `HEAD`.
    pub read: Option<NonZeroU32>,
    /// Every other change: subscriptions, keys, event types, tests, replays, links into the portal.
    pub write: Option<NonZeroU32>,
    /// Publishing; a batch counts once.
    pub publish: Option<NonZeroU32>,
}

/// What kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `GET` and `HEAD`.
    Read,
    /// Changes.
    Write,
    /// Publishing.
    Publish,
}

impl Class {
    /// The class of a request.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        if method == Method::GET || method == Method::HEAD {
            Self::Read
        } else if method == Method::POST
            && matches!(path, "/api/v1/events" | "/api/v1/events/batch")
        {
            Self::Publish
        } else {
            Self::Write
        }
    }
}

/// Counts requests.
pub(crate) struct RateLimiter {
    limits: RateLimits,
    windows: Mutex<HashMap<ApiKeyId, [Window; 3]>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: UtcMillis,
    used: u32,
}

/// Where a key stands after a request was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    limit: u32,
    used: u32,
    now: UtcMillis,
    ends: UtcMillis,
}

impl RateLimiter {
    /// With nothing counted yet.
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            windows: Mutex::default(),
        }
    }

    /// Counts a request; none where its class has no limit.
    pub(crate) fn count(&self, key: ApiKeyId, class: Class, now: UtcMillis) -> Option<Standing> {
        let limit = match class {
            Class::Read => self.limits.read,
            Class::Write => self.limits.write,
            Class::Publish => self.limits.publish,
        }?
        .get();
        let mut windows = self.windows.lock();
        if windows.len() >= KEYS_MAX && !windows.contains_key(&key) {
            windows.retain(|_, windows| windows.iter().any(|window| now < window.ends));
            if windows.len() >= KEYS_MAX {
                // Counting anew is better than refusing those who did nothing wrong.
                windows.clear();
            }
        }
        let never = Window {
            ends: UtcMillis::from_millis(0),
            used: 0,
        };
        let window = &mut windows.entry(key).or_insert([never; 3])[class as usize];
        let fresh_end = now.plus_millis(WINDOW_MS);
        // A clock that was set back must not make a window last longer than it should.
        if now >= window.ends || window.ends > fresh_end {
            *window = Window {
                ends: fresh_end,
                used: 0,
            };
        }
        window.used = window.used.saturating_add(1);
        Some(Standing {
            limit,
            used: window.used,
            now,
            ends: window.ends,
        })
    }
}

impl Standing {
    /// 429 where the request was one too many.
    pub(crate) fn check(self) -> Result<(), Problem> {
        if self.used <= self.limit {
            return Ok(());
        }
        let wait_seconds = self.ends.since(self.now).div_euclid(1000) + 1;
        let detail = format!(
            "the key may make {} requests of this kind a minute",
            self.limit
        );
        Err(Problem::new(Code::RateLimited, detail).retry_after(wait_seconds.min(WINDOW_SECONDS)))
    }

    /// Adds the header fields that tell where the key stands. `Reset` is the end of the window in
    /// Unix seconds, rounded up.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
        const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
        const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
        const WINDOW: HeaderName = HeaderName::from_static("x-ratelimit-window");
        const POLICY: HeaderName = HeaderName::from_static("x-ratelimit-policy");
        let remaining = self.limit.saturating_sub(self.used);
        let reset = self.ends.plus_millis(999).as_seconds();
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(remaining));
        headers.insert(RESET, HeaderValue::from(reset));
        headers.insert(WINDOW, HeaderValue::from(WINDOW_SECONDS));
        let policy = format!("{};w={WINDOW_SECONDS}", self.limit);
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(POLICY, policy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> ApiKeyId {
        ApiKeyId::from_bytes([number; 16])
    }

    fn at(millis: i64) -> UtcMillis {
        UtcMillis::from_millis(millis)
    }

    fn limiter() -> RateLimiter {
        RateLimiter::new(RateLimits {
            publish: NonZeroU32::new(2),
            ..RateLimits::default()
        })
    }

    #[test]
    fn classes() {
        for (method, path, class) in [
            (Method::GET, "/api/v1/events", Class::Read),
            (Method::HEAD, "/api/v1/me", Class::Read),
            (Method::POST, "/api/v1/events", Class::Publish),
            (Method::POST, "/api/v1/events/batch", Class::Publish),
            (Method::POST, "/api/v1/webhooks/subscriptions", Class::Write),
            (Method::DELETE, "/api/v1/api-keys/x", Class::Write),
        ] {
            assert_eq!(Class::of(&method, path), class, "{method} {path}");
        }
    }

    #[test]
    fn a_window_begins_with_the_first_request_and_ends_after_a_minute() {
        let limiter = limiter();
        let allowed = |millis, number| {
            let standing = limiter.count(key(number), Class::Publish, at(millis));
            standing.unwrap().check().is_ok()
        };
        assert!(allowed(30_000, 1) && allowed(89_999, 1));
        assert!(!allowed(89_999, 1), "a third within the minute");
        assert!(allowed(89_999, 2), "each key has its own");
        assert!(allowed(90_000, 1), "a new window");
        assert_eq!(limiter.count(key(1), Class::Read, at(0)), None);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lock_a_key_out() {
        let limiter = limiter();
        for _ in 0..3 {
            limiter.count(key(1), Class::Publish, at(10_000_000));
        }
        let standing = limiter.count(key(1), Class::Publish, at(5_000)).unwrap();
        assert!(standing.check().is_ok());
    }

    #[test]
    fn the_fields_say_where_the_key_stands() {
        let limiter = limiter();
        let mut headers = HeaderMap::new();
        let standing = limiter.count(key(1), Class::Publish, at(1)).unwrap();
        standing.write(&mut headers);
        for (name, value) in [
            ("limit", "2"),
            ("remaining", "1"),
            ("reset", "61"),
            ("window", "60"),
            ("policy", "2;w=60"),
        ] {
            assert_eq!(headers[format!("x-ratelimit-{name}")], value);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = limiter();
        for number in 0..=KEYS_MAX as u128 {
            let key = ApiKeyId::from_bytes(number.to_be_bytes());
            limiter.count(key, Class::Publish, at(0));
        }
        assert!(limiter.windows.lock().len() <= KEYS_MAX);
    }
}
