//! Places for the requests that are being worked on, for their bodies, and for what is open for long: so many in all, and no
//! more than a share of them for one principal, who could take them from everybody else by waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places.
pub(super) struct Places {
    all: Arc<Semaphore>,
    each: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There is none for anybody.
    All,
    /// The principal has its share.
    Share,
}

/// A place; free again when it goes.
pub(super) struct Place {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    principal: String,
    _one: OwnedSemaphorePermit,
}

impl Places {
    /// So many, half of them for one principal at most.
    pub(super) fn new(number: usize) -> Self {
        Self::shared(number, number / 2)
    }

    /// So many, `each` for one principal at most.
    pub(super) fn shared(number: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(number)),
            each: each.max(1),
            taken: Arc::default(),
        }
    }

    /// A place for a request of `principal`, if there is one now.
    pub(super) fn take(&self, principal: &str) -> Result<Place, Full> {
        let one = self.all.clone().try_acquire_owned().map_err(|_| Full::All)?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.entry(principal.to_owned()).or_default();
        if *own == self.each {
            return Err(Full::Share);
        }
        *own += 1;
        Ok(Place {
            taken: self.taken.clone(),
            principal: principal.to_owned(),
            _one: one,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_half_and_what_goes_is_free_again() {
        let places = Places::new(4);
        let first = places.take("ann").unwrap();
        let _second = places.take("ann").unwrap();
        assert_eq!(places.take("ann").err(), Some(Full::Share));
        let _third = places.take("bob").unwrap();
        drop(first);
        let _fourth = places.take("ann").unwrap();
        let _fifth = places.take("eve").unwrap();
        assert_eq!(places.take("bob").err(), Some(Full::All));
        assert_eq!(places.taken.lock().unwrap().len(), 3);
    }
}
