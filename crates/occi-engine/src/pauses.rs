//! Pauses between looks and tries: each is twice as long as the one before it.

use std::time::Duration;

/// Pauses that have no end.
pub(crate) struct Pauses {
    next: Duration,
    most: Duration,
    is_spread: bool,
}

impl Pauses {
    /// From `least` to `most`.
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self {
            next: least,
            most,
            is_spread: false,
        }
    }

    /// The same for what many begin at the same moment, each shorter by chance, by up to a half: a database or an engine
    /// that is back is not asked by all at once.
    pub(crate) fn spread(least: Duration, most: Duration) -> Self {
        Self {
            is_spread: true,
            ..Self::new(least, most)
        }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (2 * pause).min(self.most);
        match self.is_spread {
            true => pause.mul_f64(1.0 - fastrand::f64() / 2.0),
            false => pause,
        }
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
        assert!((ms(5)..=ms(10)).contains(&spread.next()));
        assert!((0..100).all(|_| (ms(10)..=ms(50)).contains(&spread.next())));
    }
}
