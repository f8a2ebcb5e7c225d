//! The rules against the crate `metering`, an independent implementation, on random inputs.
#![expect(
    clippy::unwrap_used,
    reason = "what cannot be built here fails the test"
)]

mod calendar;
mod minimum;
mod quality;
mod sharing;
mod substitution;

use ::time::OffsetDateTime;
use metering::prelude::Decimal;

/// SplitMix64: the same inputs in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly from 0 to `n` - 1.
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A number of thousandths, exact in the oracle's arithmetic.
fn milli(thousandths: i64) -> Decimal {
    Decimal::new(thousandths, 3)
}

fn instant(ms: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp((ms / 1000) as i64).unwrap()
}

fn ms(instant: OffsetDateTime) -> u64 {
    u64::try_from(instant.unix_timestamp()).unwrap() * 1000
}

fn close(found: f64, expected: Decimal, within: f64) -> bool {
    let expected: f64 = expected.to_string().parse().unwrap();
    (found - expected).abs() <= within
}
