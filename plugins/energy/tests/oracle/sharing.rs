//! § 42b: all three keys. The oracle cuts a quotient after 6 places, so a share differs by at most
//! a millionth of the pool.

use std::collections::BTreeMap;

use metering::allocation::community::{AllocationKey, allocate as oracle};
use metering::allocation::formula::SplitFactor;
use metering::{DayBoundary, MeloId, MeterInterval, QualityFlag, Resolution, Series};
use quartier_energy::sharing::{Key, allocate};
use rust_decimal::Decimal;

use crate::{Random, close, instant, milli};

fn series(thousandths: i64) -> Series {
    let from = instant(1_780_000_200_000);
    let value = MeterInterval::quarter_hour(from, milli(thousandths), QualityFlag::Measured);
    Series::new(
        Resolution::QUARTER_HOUR,
        DayBoundary::Strom,
        vec![value.unwrap()],
    )
    .unwrap()
}

fn participant(number: usize) -> MeloId {
    format!("DE{number:031}").parse().unwrap()
}

/// Parts of a million that are together at most a million, none of them nothing.
fn millionths(random: &mut Random, count: usize) -> Vec<i64> {
    let each = 1_000_000 / count as u64;
    (0..count).map(|_| 1 + random.below(each) as i64).collect()
}

#[test]
fn shares_and_residual_of_5000_random_quarters_are_the_oracles() {
    let mut random = Random(5);
    let mut capped = 0;
    for _ in 0..5000 {
        let count = 1 + random.below(8) as usize;
        let pool = random.below(60_000) as i64 - 5000;
        let consumption: Vec<i64> = (0..count)
            .map(|_| random.below(12_000) as i64 - 1000)
            .collect();
        let parts = millionths(&mut random, count);
        let (key, theirs) = match random.below(3) {
            0 => {
                let factor = |(i, part): (usize, &i64)| {
                    (
                        participant(i),
                        SplitFactor::new(Decimal::new(*part, 6)).unwrap(),
                    )
                };
                let fractions: BTreeMap<_, _> = parts.iter().enumerate().map(factor).collect();
                let shares = parts.iter().map(|part| *part as f64 / 1e6).collect();
                (Key::Constant(shares), AllocationKey::Constant { fractions })
            }
            1 => (Key::Proportional, AllocationKey::Proportional),
            _ => (Key::Equal, AllocationKey::EqualShares),
        };
        let metered: Vec<Series> = consumption.iter().map(|c| series(*c)).collect();
        let participants: Vec<_> = metered
            .iter()
            .enumerate()
            .map(|(i, s)| (participant(i), s))
            .collect();
        let rows = oracle(&series(pool), &participants, &theirs).unwrap();
        let kwh: Vec<f64> = consumption.iter().map(|c| *c as f64 / 1000.0).collect();
        let found = allocate(&key, pool as f64 / 1000.0, &kwh);
        let cut = 1e-6 * (pool.max(0) as f64 / 1000.0) + 1e-9;
        for (found, expected) in found.shares.iter().zip(&rows[0].shares) {
            assert!(
                close(*found, expected.allocated, cut),
                "{found} {expected:?} {key:?}"
            );
            capped += usize::from(expected.capped());
        }
        assert_eq!(found.shares.len(), rows[0].shares.len());
        assert!(
            close(found.residual, rows[0].residual, cut * count as f64),
            "{found:?}"
        );
    }
    assert!(capped > 1000, "{capped}");
}
