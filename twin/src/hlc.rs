//! A hybrid logical clock (Kulkarni, Demirbas and others 2014): wall time where clocks agree, and
//! where they do not, later than everything that its author knew of.

use parking_lot::Mutex;

use crate::event::Stamp;
use crate::model::Millis;

/// A stamp from further in the future than this does not drag the clock along: a clock that is
/// wrong, or a hostile one, would win for ever.
pub const MAX_AHEAD_MS: i64 = 3_600_000;

/// Makes stamps of one node.
pub struct Hlc {
    node: String,
    last: Mutex<(Millis, u32)>,
}

impl Hlc {
    /// `known`: the stamps that were recorded, each of which is looked at as in [`Hlc::seen`].
    pub fn new<'a>(node: String, known: impl Iterator<Item = &'a Stamp>, wall: Millis) -> Self {
        let clock = Self {
            node,
            last: Mutex::new((Millis(0), 0)),
        };
        known.for_each(|stamp| clock.seen(stamp, wall));
        clock
    }

    /// A stamp later than all before, at `wall` by the clock; but where those before are from a clock
    /// that was wrong, and was put right since.
    pub fn now(&self, wall: Millis) -> Stamp {
        let mut last = self.last.lock();
        *last = match wall > last.0 || last.0.since(wall) > MAX_AHEAD_MS {
            true => (wall, 0),
            false => last
                .1
                .checked_add(1)
                .map_or((last.0.plus(1), 0), |count| (last.0, count)),
        };
        Stamp {
            time: last.0,
            count: last.1,
            node: self.node.clone(),
        }
    }

    /// Somebody else's stamp was seen: those made from here on are later.
    pub fn seen(&self, stamp: &Stamp, wall: Millis) {
        if stamp.time.since(wall) > MAX_AHEAD_MS {
            metrics::counter!("quartier_stamps_too_far_ahead_total").increment(1);
            return;
        }
        let mut last = self.last.lock();
        *last = (*last).max((stamp.time, stamp.count));
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn a_stamp_is_later_than_everything_its_author_knew_of() {
        let (city, edge) = (
            Hlc::new("city".to_owned(), iter::empty(), Millis(0)),
            Hlc::new("box".to_owned(), iter::empty(), Millis(0)),
        );
        let first = city.now(Millis(1_000));
        let second = city.now(Millis(1_000));
        assert!(second > first);
        assert!(city.now(Millis(10)) > second, "the wall clock went back");
        // The box's clock is ten minutes behind, and it has seen what the city wants.
        edge.seen(&second, Millis(-599_000));
        assert!(edge.now(Millis(-599_000)) > second);
        let again = Hlc::new("box".to_owned(), [&second].into_iter(), Millis(0));
        assert!(again.now(Millis(0)) > second, "also after a restart");
    }

    #[test]
    fn a_clock_that_is_far_ahead_drags_nobody_along() {
        let city = Hlc::new("city".to_owned(), iter::empty(), Millis(0));
        let wild = Stamp {
            time: Millis(MAX_AHEAD_MS * 2),
            ..Stamp::default()
        };
        city.seen(&wild, Millis(0));
        assert!(city.now(Millis(1)) < wild);
        let sane = Stamp {
            time: Millis(1000),
            ..Stamp::default()
        };
        let again = Hlc::new("city".to_owned(), [&wild, &sane].into_iter(), Millis(0));
        let now = again.now(Millis(1));
        assert!(now < wild && now > sane, "nor after a restart: {now:?}");
    }

    #[test]
    fn a_clock_that_is_put_right_again_is_followed_back() {
        let city = Hlc::new("city".to_owned(), iter::empty(), Millis(0));
        city.now(Millis(MAX_AHEAD_MS * 2));
        assert_eq!(city.now(Millis(1)).time, Millis(1));
    }
}
