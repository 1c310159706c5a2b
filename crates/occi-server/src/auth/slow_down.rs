//! Wrong passwords are slowed down, per user and per address.

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A user recovers one try in so much time: short, because others could lock a user out on purpose.
const USER_PERIOD: Duration = Duration::from_secs(2);
/// An address recovers one try in so much time.
const PEER_PERIOD: Duration = Duration::from_secs(6);
/// Above so many entries, those that no longer matter are dropped.
const PRUNE_ABOVE: usize = 10_000;

/// Counts wrong passwords, and says who has to wait. Right ones cost nothing: an accepted password is remembered and
/// does not come here again.
#[derive(Debug)]
pub struct SlowDown {
    users: Counter,
    peers: Counter,
}

impl SlowDown {
    /// `tries` wrong passwords are answered at once.
    pub fn new(tries: u32) -> Self {
        let tries = NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN);
        Self {
            users: Counter::new(USER_PERIOD, tries),
            peers: Counter::new(PEER_PERIOD, tries),
        }
    }

    /// How long this user at this address has to wait before a password is looked at.
    pub fn wait(&self, user: &str, peer: &str) -> Option<Duration> {
        self.users.wait(user).max(self.peers.wait(peer))
    }

    /// The password was wrong.
    pub fn failed(&self, user: &str, peer: &str) {
        self.users.failed(user);
        self.peers.failed(peer);
    }
}

#[derive(Debug)]
struct Counter {
    failures: DefaultKeyedRateLimiter<String>,
    blocked: Mutex<HashMap<String, Instant>>,
}

impl Counter {
    fn new(period: Duration, tries: NonZeroU32) -> Self {
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        Self {
            failures: RateLimiter::keyed(quota.allow_burst(tries)),
            blocked: Mutex::default(),
        }
    }

    fn wait(&self, key: &str) -> Option<Duration> {
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *blocked.get(key)?;
        let left = until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero());
        if left.is_none() {
            blocked.remove(key);
        }
        left
    }

    fn failed(&self, key: &str) {
        if self.failures.len() > PRUNE_ABOVE {
            self.failures.retain_recent();
        }
        let Err(not_until) = self.failures.check_key(&key.to_owned()) else {
            return;
        };
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        if blocked.len() > PRUNE_ABOVE {
            let now = Instant::now();
            blocked.retain(|_, until| *until > now);
        }
        blocked.insert(key.to_owned(), Instant::now() + wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_make_the_user_and_the_address_wait() {
        let slow = SlowDown::new(3);
        for _ in 0..3 {
            assert_eq!(slow.wait("ann", "::1"), None);
            slow.failed("ann", "::1");
        }
        slow.failed("ann", "::1");
        assert!(slow.wait("ann", "10.0.0.1").is_some_and(|wait| wait <= USER_PERIOD));
        assert!(
            slow.wait("bob", "::1")
                .is_some_and(|wait| wait > USER_PERIOD && wait <= PEER_PERIOD)
        );
        assert_eq!(slow.wait("bob", "10.0.0.1"), None);
    }
}
