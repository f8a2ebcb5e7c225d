//! The sample of a new rule: PM10 of one sensor box over a summer's day and the night after, made up
//! so that the rule has something to say. A line a message, as a device would publish it.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

/// 2026-06-20T00:00:00Z.
const START_S: i64 = 1_781_913_600;
/// Seconds between two readings: the reporting interval of PM10 in the vocabulary.
const INTERVAL_S: i64 = 150;
const HOURS: i64 = 30;

/// Lines `{"topic":..,"payload":..,"time":..}`.
pub(super) fn lines(quarter: &str) -> String {
    let topic = serde_json::Value::from(format!("dt/{quarter}/box-1/pm10"));
    let start = Timestamp::from_second(START_S).unwrap_or_default();
    let mut lines = String::new();
    for n in 1..=HOURS * 3600 / INTERVAL_S {
        let time = start + SignedDuration::from_secs(n * INTERVAL_S);
        let value = pm10((n * INTERVAL_S) as f64 / 3600.0, n);
        // Writing to a string cannot fail.
        let _ = writeln!(
            lines,
            r#"{{"topic":{topic},"payload":"{value:.1}","time":"{time}"}}"#
        );
    }
    lines
}

/// Twenty on an ordinary day, with a fire on the meadow from 19 to 22 o'clock UTC.
fn pm10(hour: f64, n: i64) -> f64 {
    let daily = 20.0 + 6.0 * (hour / 24.0 * std::f64::consts::TAU).sin();
    let fire = if (19.0..22.0).contains(&hour) {
        60.0
    } else {
        0.0
    };
    // Repeats only after all of them.
    let noise = (n * 37 % 101) as f64 / 101.0 * 6.0 - 3.0;
    daily + fire + noise
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_thirty_hours_of_messages_in_order_of_time() {
        let lines = lines("q\"1");
        let mut times: Vec<Timestamp> = Vec::new();
        for line in lines.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["topic"], "dt/q\"1/box-1/pm10");
            assert!(line["payload"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
            times.push(line["time"].as_str().unwrap().parse().unwrap());
        }
        assert_eq!(times.len(), 720);
        assert!(times.is_sorted());
        assert_eq!(times[0].to_string(), "2026-06-20T00:02:30Z");
    }
}
