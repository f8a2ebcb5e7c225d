//! E5: who gets how much of a plant's energy in a quarter of an hour.
//!
//! § 42b EnWG: alloc_i = min(consumption_i, q_i * pool); what nobody takes, the residual, feeds the
//! grid. § 42c EnWG has no statutory key: it is whatever the contract says.

/// How q is found.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// Agreed shares, one for each participant, 0 to 1, together at most 1.
    Constant(Vec<f64>),
    /// By consumption in the quarter of an hour.
    Proportional,
    /// Equal; § 42b (5) where nothing is agreed.
    Equal,
}

/// One quarter of an hour, kWh.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// By participant.
    pub shares: Vec<f64>,
    /// What no participant took.
    pub residual: f64,
}

/// Divides `pool` among consumptions, all kWh; a negative one counts as 0.
pub fn allocate(key: &Key, pool: f64, consumption: &[f64]) -> Allocation {
    let pool = pool.max(0.0);
    let taken = |c: &f64| c.max(0.0);
    let total: f64 = consumption.iter().map(taken).sum();
    let quota = |i: usize, c: f64| match key {
        Key::Constant(shares) => shares.get(i).copied().unwrap_or(0.0),
        Key::Proportional if total > 0.0 => c / total,
        Key::Proportional => 0.0,
        Key::Equal => 1.0 / consumption.len() as f64,
    };
    let caps = consumption.iter().map(taken).enumerate();
    let shares: Vec<f64> = caps.map(|(i, c)| c.min(quota(i, c) * pool)).collect();
    let residual = (pool - shares.iter().sum::<f64>()).max(0.0);
    Allocation { shares, residual }
}

/// Sums over the quarters of an hour of a day, kWh.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Balance {
    /// Generated.
    pub generated: f64,
    /// Consumed.
    pub consumed: f64,
    /// Consumed at the time it was generated.
    pub matched: f64,
    /// Quarters of an hour in it.
    pub slots: u32,
}

impl Balance {
    /// Adds one quarter of an hour.
    pub fn add(&mut self, generated: f64, consumed: f64) {
        let (generated, consumed) = (generated.max(0.0), consumed.max(0.0));
        self.generated += generated;
        self.consumed += consumed;
        self.matched += generated.min(consumed);
        self.slots += 1;
    }

    /// Sum of min(G, L) over sum of G, percent; `None` without generation.
    pub fn self_consumption(&self) -> Option<f64> {
        (self.generated > 0.0).then(|| 100.0 * self.matched / self.generated)
    }

    /// Sum of min(G, L) over sum of L, percent; `None` without consumption.
    pub fn autarky(&self) -> Option<f64> {
        (self.consumed > 0.0).then(|| 100.0 * self.matched / self.consumed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_more_than_consumed_nor_more_than_the_share() {
        let key = Key::Constant(vec![0.5, 0.3, 0.2]);
        let found = allocate(&key, 10.0, &[1.0, 9.0, -4.0]);
        assert_eq!(found.shares, [1.0, 3.0, 0.0]);
        assert_eq!(found.residual, 6.0);
    }

    #[test]
    fn by_consumption_a_small_pool_is_used_up_and_a_large_one_covers_all() {
        let found = allocate(&Key::Proportional, 2.0, &[1.0, 3.0]);
        assert_eq!((found.shares, found.residual), (vec![0.5, 1.5], 0.0));
        let found = allocate(&Key::Proportional, 10.0, &[1.0, 3.0]);
        assert_eq!((found.shares, found.residual), (vec![1.0, 3.0], 6.0));
        let found = allocate(&Key::Proportional, 10.0, &[0.0, 0.0]);
        assert_eq!((found.shares, found.residual), (vec![0.0, 0.0], 10.0));
    }

    #[test]
    fn equal_shares_leave_what_one_cannot_take() {
        let found = allocate(&Key::Equal, 4.0, &[1.0, 5.0]);
        assert_eq!((found.shares, found.residual), (vec![1.0, 2.0], 1.0));
        assert_eq!(allocate(&Key::Equal, 4.0, &[]).residual, 4.0);
    }

    #[test]
    fn self_consumption_and_autarky_count_what_coincides() {
        let mut day = Balance::default();
        assert_eq!((day.self_consumption(), day.autarky()), (None, None));
        day.add(4.0, 1.0);
        day.add(0.0, 3.0);
        assert_eq!(day.self_consumption(), Some(25.0));
        assert_eq!(day.autarky(), Some(25.0));
        day.add(0.0, 6.0);
        assert_eq!(
            (day.self_consumption(), day.autarky()),
            (Some(25.0), Some(10.0))
        );
    }
}
