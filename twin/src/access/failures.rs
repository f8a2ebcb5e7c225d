//! How often a login may fail: token buckets, looked at before a password is hashed.
//!
//! Who has logged in from an address before has a bucket of its own there. All others share the
//! bucket of their address and that of the user they claim to be. So guessing is slow from one
//! address and, for one user, from all addresses together, and an attacker locks out neither a
//! device at its usual place nor the others behind the same router; only a user's first login
//! from a new address can be delayed, by seconds at a time, while somebody guesses.
//!
//! A bucket is one moment: that at which it is full again.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

/// Failures at once, and the time until one more is allowed.
#[derive(Clone, Copy)]
struct Limit {
    burst: u32,
    refill: Duration,
}

/// Of a user; also of a user at a place where it has logged in before.
const USER: Limit = Limit {
    burst: 5,
    refill: Duration::from_secs(5),
};
/// Of an address: many devices may be behind one.
const ADDRESS: Limit = Limit {
    burst: 20,
    refill: Duration::from_secs(1),
};
/// Buckets and known places at most; beyond, new ones share one bucket and none is remembered.
const MOST: usize = 100_000;

/// Time between two looks through all of them, where there are too many.
const TIDY: Duration = Duration::from_secs(1);

/// Keyed hash of what a bucket is for: an attacker chooses user names, of any length.
type Key = u64;

const OTHERS: Key = 0;

/// Failed logins of the last time.
#[derive(Default)]
pub(super) struct Failures {
    key: RandomState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    full_at: HashMap<Key, Instant>,
    /// When it was last looked through for buckets that are full again.
    tidied: Option<Instant>,
    /// Users at addresses from which they have logged in.
    known: HashSet<Key>,
}

/// An attempt that is paid for and not yet decided. Attempts at the same time pay beforehand, so
/// that they cannot be more than the bucket holds.
pub(super) struct Attempt {
    place: Key,
    paid: [Option<(Key, Limit)>; 2],
}

impl Failures {
    /// Pays for an attempt to log in as `user` from `address`; `None`: too many have failed.
    pub(super) fn attempt(&self, user: &str, address: IpAddr, now: Instant) -> Option<Attempt> {
        let network = network(address);
        let place = self.key.hash_one((user, network));
        let mut state = self.state.lock();
        let buckets = if state.known.contains(&place) {
            [Some((place, USER)), None]
        } else {
            let (user, network) = (self.key.hash_one(user), self.key.hash_one(network));
            [Some((user, USER)), Some((network, ADDRESS))]
        };
        let paid = buckets.map(|bucket| bucket.map(|(key, limit)| (state.room(key, now), limit)));
        let affordable = |(key, limit): &(Key, Limit)| {
            let full_at = state.full_at.get(key).copied().unwrap_or(now);
            full_at.saturating_duration_since(now) <= limit.refill * (limit.burst - 1)
        };
        if !paid.iter().flatten().all(affordable) {
            return None;
        }
        for (key, limit) in paid.iter().flatten() {
            let full_at = state.full_at.entry(*key).or_insert(now);
            *full_at = (*full_at).max(now) + limit.refill;
        }
        Some(Attempt { place, paid })
    }

    /// Gives back what was paid for an attempt that succeeded, and remembers the place.
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let mut state = self.state.lock();
        for (key, limit) in attempt.paid.iter().flatten() {
            if let Some(full_at) = state.full_at.get_mut(key) {
                *full_at = full_at.checked_sub(limit.refill).unwrap_or(*full_at);
            }
        }
        if state.known.len() < MOST {
            state.known.insert(attempt.place);
        }
    }
}

impl State {
    /// The key of the bucket that counts for `key`.
    fn room(&mut self, key: Key, now: Instant) -> Key {
        if self.full_at.len() < MOST || self.full_at.contains_key(&key) {
            return key;
        }
        if self.tidied.is_none_or(|last| now >= last + TIDY) {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.tidied = Some(now);
        }
        if self.full_at.len() < MOST {
            key
        } else {
            OTHERS
        }
    }
}

/// What one holder of an address can choose freely: with IPv6 the lower 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn fails(failures: &Failures, user: &str, address: IpAddr, now: Instant) -> bool {
        failures.attempt(user, address, now).is_some()
    }

    #[test]
    fn five_failures_of_a_user_are_quick_and_then_one_every_five_seconds() {
        let (failures, start) = (Failures::default(), Instant::now());
        for address in 1..=5 {
            assert!(fails(&failures, "a", at(address), start));
        }
        assert!(!fails(&failures, "a", at(6), start), "from anywhere");
        assert!(fails(&failures, "b", at(6), start), "others may");
        let later = start + USER.refill;
        assert!(fails(&failures, "a", at(6), later));
        assert!(!fails(&failures, "a", at(6), later));
    }

    #[test]
    fn an_address_may_fail_twenty_times_whoever_it_says_it_is() {
        let (failures, start) = (Failures::default(), Instant::now());
        let users: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        for user in &users[..20] {
            assert!(fails(&failures, user, at(1), start));
        }
        assert!(!fails(&failures, &users[20], at(1), start));
        assert!(fails(&failures, &users[20], at(2), start));
    }

    #[test]
    fn a_device_at_its_usual_place_is_not_locked_out_by_those_who_guess() {
        let (failures, start) = (Failures::default(), Instant::now());
        failures.succeeded(&failures.attempt("meter", at(1), start).unwrap());
        for address in [1, 2] {
            for _ in 0..100 {
                fails(&failures, "meter", at(2), start);
                fails(&failures, "other", at(address), start);
            }
        }
        assert!(!fails(&failures, "meter", at(3), start));
        assert!(fails(&failures, "meter", at(1), start), "at its place");
        for _ in 0..4 {
            assert!(fails(&failures, "meter", at(1), start));
        }
        assert!(!fails(&failures, "meter", at(1), start), "with a limit too");
    }

    #[test]
    fn success_costs_nothing_and_attempts_at_the_same_time_pay_beforehand() {
        let (failures, start) = (Failures::default(), Instant::now());
        for _ in 0..100 {
            failures.succeeded(&failures.attempt("a", at(1), start).unwrap());
        }
        let under_way: Vec<_> = (0..100)
            .filter_map(|_| failures.attempt("b", at(1), start))
            .collect();
        assert_eq!(under_way.len(), 5);
    }

    #[test]
    fn addresses_that_one_host_can_choose_are_one() {
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::ffff:1".parse().unwrap();
        assert_eq!(network(a), network(b));
        assert_ne!(network(a), network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), at(1));
    }

    #[test]
    fn names_without_end_take_bounded_memory() {
        let (failures, start) = (Failures::default(), Instant::now());
        for n in 0..MOST as u32 {
            let address = IpAddr::from(n.to_be_bytes());
            fails(&failures, &n.to_string(), address, start);
        }
        assert!(failures.state.lock().full_at.len() <= MOST + 1);
        let later = start + USER.refill * 6;
        assert!(fails(&failures, "new", at(1), later));
        assert!(
            failures.state.lock().full_at.len() < 10,
            "old ones are gone"
        );
    }
}
