//! Places for the requests that are being worked on: so many in all, and no more than half of them for one principal, who
//! could take them from everybody else by waiting.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The places.
pub(super) struct Places {
    all: Semaphore,
    each: usize,
    taken: Mutex<HashMap<String, usize>>,
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
pub(super) struct Place<'a> {
    places: &'a Places,
    principal: String,
    _one: SemaphorePermit<'a>,
}

impl Places {
    pub(super) fn new(number: usize) -> Self {
        Self {
            all: Semaphore::new(number),
            each: (number / 2).max(1),
            taken: Mutex::default(),
        }
    }

    /// A place for a request of `principal`, if there is one now.
    pub(super) fn take(&self, principal: &str) -> Result<Place<'_>, Full> {
        let one = self.all.try_acquire().map_err(|_| Full::All)?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.entry(principal.to_owned()).or_default();
        if *own == self.each {
            return Err(Full::Share);
        }
        *own += 1;
        Ok(Place {
            places: self,
            principal: principal.to_owned(),
            _one: one,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
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
