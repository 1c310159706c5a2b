//! Wrong passwords are slowed down, per user and address; an address alone has only so many looked at together.
//!
//! Neither keeps anybody else out: who guesses the passwords of a user does not lock out the user elsewhere, nor others who
//! come from the same address, as all do behind a proxy or a gateway.

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A user at an address recovers one try in so much time.
const PERIOD: Duration = Duration::from_secs(2);
/// Above so many entries, those that no longer matter are dropped.
const PRUNE_ABOVE: usize = 10_000;
/// So many passwords of one address are looked at, or wait for that, at the same time: a part of what the hasher lets wait.
const TOGETHER: u32 = 16;

/// Counts wrong passwords, and says who has to wait. Right ones cost nothing: an accepted password is remembered and
/// does not come here again.
#[derive(Debug)]
pub struct SlowDown {
    wrong: Counter,
    together: Mutex<HashMap<IpAddr, u32>>,
}

/// A password that is being looked at.
#[derive(Debug)]
pub struct Place<'s> {
    of: &'s SlowDown,
    from: Option<IpAddr>,
}

impl SlowDown {
    /// `tries` wrong passwords are answered at once.
    pub fn new(tries: u32) -> Self {
        let tries = NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN);
        Self {
            wrong: Counter::new(PERIOD, tries),
            together: Mutex::default(),
        }
    }

    /// How long this user has to wait at this address before a password is looked at. `from` is none on a unix socket: all
    /// who come that way are one.
    pub fn wait(&self, user: &str, from: Option<IpAddr>) -> Option<Duration> {
        self.wrong.wait(&key(user, from))
    }

    /// The password was wrong.
    pub fn failed(&self, user: &str, from: Option<IpAddr>) {
        self.wrong.failed(&key(user, from));
    }

    /// A place for a password from this address; none if it has too many.
    pub fn enter(&self, from: Option<IpAddr>) -> Option<Place<'_>> {
        let from = from.map(neighbourhood);
        if let Some(from) = from {
            let mut together = self.together.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = together.entry(from).or_default();
            if *taken >= TOGETHER {
                return None;
            }
            *taken += 1;
        }
        Some(Place { of: self, from })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(from) = self.from else { return };
        let mut together = self.of.together.lock().unwrap_or_else(PoisonError::into_inner);
        match together.get_mut(&from) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => drop(together.remove(&from)),
        }
    }
}

fn key(user: &str, from: Option<IpAddr>) -> String {
    match from {
        Some(from) => format!("{} {user}", neighbourhood(from)),
        None => format!("- {user}"),
    }
}

/// What one person has of addresses: of IPv6, where that is 2^64, what they have in common.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
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

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn wrong_passwords_make_the_user_wait_at_the_address_and_nobody_else() {
        let slow = SlowDown::new(3);
        for from in [at("10.0.0.1"), at("2001:db8::1"), None] {
            for _ in 0..3 {
                assert_eq!(slow.wait("ann", from), None);
                slow.failed("ann", from);
            }
            slow.failed("ann", from);
            assert!(slow.wait("ann", from).is_some_and(|wait| wait <= PERIOD));
            assert_eq!(slow.wait("bob", from), None);
        }
        assert_eq!(slow.wait("ann", at("10.0.0.2")), None);
        assert!(slow.wait("ann", at("2001:db8::2")).is_some(), "of the same network");
        assert_eq!(slow.wait("ann", at("2001:db8:0:1::1")), None);
    }

    #[test]
    fn an_address_has_so_many_passwords_looked_at_together() {
        let slow = SlowDown::new(3);
        let mut places: Vec<_> = (0..TOGETHER).map(|_| slow.enter(at("10.0.0.1")).unwrap()).collect();
        assert!(slow.enter(at("10.0.0.1")).is_none());
        assert!(slow.enter(at("10.0.0.2")).is_some());
        assert!((0..100).map(|_| slow.enter(None)).collect::<Option<Vec<_>>>().is_some());
        places.pop();
        assert!(slow.enter(at("10.0.0.1")).is_some());
        drop(places);
        assert!(slow.together.lock().unwrap().is_empty());
    }
}
