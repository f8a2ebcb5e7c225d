//! The nearest few of a stream of candidates, in bounded memory.

use std::cmp::Ordering;

/// Keeps the `limit` nearest candidates within a radius that shrinks as better ones come.
pub(super) struct Nearest {
    limit: usize,
    radius: f64,
    found: Vec<(u32, f64)>,
}

impl Nearest {
    pub(super) fn new(limit: usize, radius_m: f64) -> Self {
        Self {
            limit,
            radius: radius_m,
            found: Vec::new(),
        }
    }

    /// Whether something at this distance could still be among the nearest.
    pub(super) fn wants(&self, distance_m: f64) -> bool {
        self.limit > 0 && distance_m <= self.radius
    }

    pub(super) fn offer(&mut self, asset: u32, distance_m: f64) {
        if !self.wants(distance_m) {
            return;
        }
        self.found.push((asset, distance_m));
        // At twice the limit, so that the selection costs O(1) a candidate.
        if self.found.len() >= self.limit.saturating_mul(2).max(64) {
            self.shrink();
        }
    }

    pub(super) fn finish(mut self) -> Vec<(u32, f64)> {
        self.shrink();
        self.found.sort_unstable_by(order);
        self.found
    }

    fn shrink(&mut self) {
        let Some(last) = self.limit.checked_sub(1) else {
            return;
        };
        if last + 1 < self.found.len() {
            let (_, farthest, _) = self.found.select_nth_unstable_by(last, order);
            self.radius = farthest.1;
            self.found.truncate(self.limit);
        }
    }
}

fn order(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    a.1.total_cmp(&b.1).then(a.0.cmp(&b.0))
}
