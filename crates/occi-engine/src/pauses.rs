//! Pauses between looks and tries: each is twice as long as the one before it.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// Pauses that have no end.
pub(crate) struct Pauses {
    backoff: ExponentialBackoff,
    most: Duration,
}

impl Pauses {
    /// From `least` to `most`.
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self::build(least, most, ExponentialBuilder::new())
    }

    /// The same for what many begin at the same moment, each a little longer by chance: a database or an engine that is
    /// back is not asked by all at once.
    pub(crate) fn spread(least: Duration, most: Duration) -> Self {
        Self::build(least, most, ExponentialBuilder::new().with_jitter())
    }

    fn build(least: Duration, most: Duration, builder: ExponentialBuilder) -> Self {
        let builder = builder.with_min_delay(least).with_max_delay(most).without_max_times();
        Self {
            backoff: builder.build(),
            most,
        }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Duration {
        self.backoff.next().unwrap_or(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_have_no_end() {
        let ms = Duration::from_millis;
        let mut pauses = Pauses::new(ms(125), ms(600));
        let first: Vec<_> = (0..5).map(|_| pauses.next()).collect();
        assert_eq!(first, [ms(125), ms(250), ms(500), ms(600), ms(600)]);
        let mut spread = Pauses::spread(ms(10), ms(50));
        assert!((0..100).all(|_| (ms(10)..=ms(100)).contains(&spread.next())));
    }
}
