//! What is gathered over a stretch of time, such as a day or a night, until it is over.
//!
//! The hours of a stream come in order, so a stretch is over with its last hour, or, where that is
//! missing, with the first hour after it. It is handed out once; an hour of a stretch that is over
//! is ignored.

use serde::{Deserialize, Serialize};

/// The stretch that is being filled, or the one to be filled next.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Span<T> {
    number: u64,
    open: bool,
    gathered: T,
}

impl<T: Default> Span<T> {
    /// Adds an hour of stretch `number`; `last`: the stretch is over with it. Gives the stretches
    /// that are over now, with their numbers, at most two, in order.
    pub fn put(&mut self, number: u64, last: bool, add: impl FnOnce(&mut T)) -> Vec<(u64, T)> {
        let before = self.reach(number);
        if number == self.number {
            self.open = true;
            add(&mut self.gathered);
        }
        let own = if last { self.reach(number + 1) } else { None };
        before.into_iter().chain(own).collect()
    }

    /// Says that an hour behind all stretches below `number` came; gives the one that is over by it.
    pub fn reach(&mut self, number: u64) -> Option<(u64, T)> {
        if number <= self.number {
            return None;
        }
        let (open, gathered) = (
            std::mem::take(&mut self.open),
            std::mem::take(&mut self.gathered),
        );
        let over = std::mem::replace(&mut self.number, number);
        open.then_some((over, gathered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(span: &mut Span<Vec<u8>>, number: u64, last: bool, item: u8) -> Vec<(u64, Vec<u8>)> {
        span.put(number, last, |items| items.push(item))
    }

    #[test]
    fn a_stretch_is_over_with_its_last_hour_and_handed_out_once() {
        let mut span = Span::default();
        assert_eq!(put(&mut span, 7, false, 1), []);
        assert_eq!(put(&mut span, 7, true, 2), [(7, vec![1, 2])]);
        assert_eq!(put(&mut span, 8, false, 3), []);
    }

    #[test]
    fn a_stretch_without_its_last_hour_is_over_with_the_next_one() {
        let mut span = Span::default();
        put(&mut span, 7, false, 1);
        assert_eq!(put(&mut span, 9, true, 2), [(7, vec![1]), (9, vec![2])]);
        put(&mut span, 10, false, 3);
        assert_eq!(span.reach(10), None);
        assert_eq!(span.reach(11), Some((10, vec![3])));
    }

    #[test]
    fn an_hour_of_a_stretch_that_is_over_is_ignored() {
        let mut span = Span::default();
        put(&mut span, 7, true, 1);
        assert_eq!(put(&mut span, 7, true, 2), []);
        assert_eq!(put(&mut span, 8, true, 3), [(8, vec![3])]);
    }
}
