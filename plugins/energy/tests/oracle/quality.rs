//! EN 50160 over weeks, one phase at a time.
//!
//! One difference, on purpose: of a week of which means are missing the oracle says "failed" where
//! the means that are there already break a limit; here it is unknown, as the quarter's rules say.

use ::time::Duration;
use metering::grid::power_quality::{En50160Limits, PowerQualityInterval, assess_en50160};
use quartier_energy::quality::{Band, Limits, Stream, Verdict};
use quartier_energy::time::{TEN_MINUTES_MS, day_of, week_span};

use crate::{Random, instant, milli};

fn limits() -> Limits {
    Limits {
        band: Band::around(230.0, 10.0, 10.0),
        share: 95.0,
        absolute: Some(Band::around(230.0, 10.0, 15.0)),
        complete: 1.0,
    }
}

/// Millivolts: mostly sound, sometimes low, at the ends of the bands as often as beside them.
fn millivolts(random: &mut Random, sick: u64) -> i64 {
    let ends = [207_000, 206_999, 253_000, 253_001, 195_500, 195_499];
    match random.below(1000) {
        n if n < sick => 200_000 + random.below(7000) as i64,
        n if n < sick + 1 => ends[random.below(6) as usize],
        _ => 220_000 + random.below(20_000) as i64,
    }
}

#[test]
fn verdicts_of_300_random_weeks_are_the_oracles() {
    let mut random = Random(4);
    let mut seen = [0; 3];
    for _ in 0..300 {
        let day = day_of(2010, 1, 1) as u64 + random.below(9000);
        let around = [(3, 26), (10, 27)][random.below(2) as usize];
        let day = match random.below(3) {
            0 => day_of(2010 + random.below(20) as i64, around.0, around.1) as u64,
            _ => day,
        };
        let week = week_span(day * 86_400_000);
        let sick = random.below(90);
        let gap = (random.below(3) == 0).then(|| random.below(1002));
        let mut stream = Stream::default();
        let mut series = Vec::new();
        let ends = (week.start + TEN_MINUTES_MS..=week.end).step_by(TEN_MINUTES_MS as usize);
        for (i, end) in ends.enumerate().filter(|(i, _)| Some(*i as u64) != gap) {
            let millivolts = millivolts(&mut random, sick);
            stream.take(end, Some(millivolts as f64 / 1000.0), week, &limits());
            let from = instant(end) - Duration::minutes(10);
            let interval = PowerQualityInterval::empty(from, instant(end));
            series.push(PowerQualityInterval {
                voltage_l1_v: Some(milli(millivolts)),
                ..interval
            });
            assert!(i < 1014);
        }
        let report = assess_en50160(&series, &En50160Limits::LOW_VOLTAGE);
        let oracle = &report.weeks[0];
        assert_eq!(report.weeks.len(), 1, "the week is one week for both");
        let tally = stream.tally(week);
        let [band, absolute] = [
            &oracle.phases[0].voltage_band,
            &oracle.phases[0].voltage_absolute,
        ];
        assert_eq!((tally.means, tally.within), (band.samples, band.within));
        assert_eq!(tally.tolerable, absolute.within);
        let kept = band.compliant().unwrap() && absolute.compliant().unwrap();
        let expected = match (oracle.is_complete(), kept) {
            (false, _) => Verdict::Unknown,
            (true, true) => Verdict::Held,
            (true, false) => Verdict::Failed,
        };
        assert_eq!(tally.verdict(week, &limits()), expected, "{tally:?}");
        seen[expected as usize] += 1;
    }
    assert!(seen.iter().all(|&count| count > 20), "{seen:?}");
}
