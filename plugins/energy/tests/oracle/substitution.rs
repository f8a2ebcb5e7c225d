//! Substitute values of gaps of all lengths, with changes of clocks and holidays among them.

use ::time::{Date, Duration, Month};
use metering::time::holiday::Bundesland;
use metering::vee::substitute::{Method, Policy as Theirs, SubstitutionReason, substitute};
use metering::vee::validation::{Rules, validate};
use metering::{DayBoundary, MeterInterval, QualityFlag, Resolution, Series};
use quartier_energy::profile::{Origin, Policy, Profile, Slot};
use quartier_energy::time::QUARTER_MS;

use crate::{Random, close, milli, ms};

const POLICY: Policy = Policy {
    interpolated: 8,
    longest: 288,
    days: 3,
};

/// Quarters of an hour that are missing, from 0.
fn gaps(random: &mut Random, slots: u64) -> Vec<bool> {
    let mut missing = vec![false; slots as usize];
    let mut at = 1 + random.below(200);
    while at < slots - 300 {
        let length = match random.below(3) {
            0 => 1 + random.below(8),
            1 => 8 + random.below(3),
            _ => 1 + random.below(280),
        };
        missing[at as usize..(at + length) as usize].fill(true);
        at += length + 1 + random.below(400);
    }
    missing
}

/// 66 days from the first of a month on; how many values were found by each method.
fn compare(month: Month, year: i32, random: &mut Random) -> [usize; 3] {
    let first = Date::from_calendar_date(year, month, 1).unwrap();
    let day = |date| DayBoundary::Strom.day(date).unwrap().start();
    let (start, over) = (day(first), day(first + Duration::days(66)));
    let missing = gaps(random, ((over - start).whole_minutes() / 15) as u64);
    let mut profile = Profile::default();
    let mut mine: Vec<Slot> = Vec::new();
    let mut intervals = Vec::new();
    for (i, _) in missing.iter().enumerate().filter(|(_, missing)| !**missing) {
        let from = start + Duration::minutes(15 * i as i64);
        let watts = 100 + random.below(9000) as i64;
        let value = MeterInterval::quarter_hour(from, milli(watts), QualityFlag::Measured);
        intervals.push(value.unwrap());
        let end = ms(from) + QUARTER_MS;
        mine.extend(profile.take(end, watts as f64 / 1000.0, &POLICY).slots);
    }
    mine.retain(|slot| slot.origin != Origin::Measured);

    let series = Series::new(Resolution::QUARTER_HOUR, DayBoundary::Strom, intervals).unwrap();
    let whole = DayBoundary::Strom.year(year).unwrap();
    let rules = Rules::strom(whole, over + Duration::days(400), None);
    let report = validate(
        &series,
        &rules.without_zero_run().without_stale().without_spike(),
    );
    let policy = Theirs::strom(Bundesland::Sn, SubstitutionReason::CommunicationFailure);
    // The rest of the year is one long gap to the oracle; here, the meter is not back yet.
    let policy = policy.outage(over, whole.end());
    let mut theirs = substitute(&series, &report, &policy).unwrap().substitutes;
    theirs.retain(|substitute| substitute.from < over);

    let mut counts = [0; 3];
    assert_eq!(mine.len(), theirs.len());
    for (found, expected) in mine.iter().zip(&theirs) {
        assert_eq!(found.end, ms(expected.to), "{expected:?}");
        let method = match found.origin {
            Origin::Interpolated => Method::Interpolation,
            _ => Method::Vergleichswert,
        };
        assert_eq!(method, expected.method, "{expected:?}");
        assert!(
            close(found.kw, expected.value, 1e-6),
            "{found:?} {expected:?}"
        );
        counts[found.origin as usize] += 1;
    }
    counts
}

#[test]
fn substitutes_over_changes_of_clocks_and_holidays_are_the_oracles() {
    let mut random = Random(6);
    let mut counts = [0; 3];
    for year in [2024, 2026] {
        for month in [
            Month::January,
            Month::March,
            Month::April,
            Month::September,
            Month::October,
        ] {
            let found = compare(month, year, &mut random);
            for (count, more) in counts.iter_mut().zip(found) {
                *count += more;
            }
        }
    }
    assert!(counts[1] > 200 && counts[2] > 2000, "{counts:?}");
}
