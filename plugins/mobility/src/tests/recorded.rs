//! A week of Dresden's car parks: the rule finds every stale capacity, and each by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quartier_sdk::testing::values;

use super::lab;

fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/parking_dresden");
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

/// Columns of a CSV file without quotes, behind its header.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let cells = |line: &str| line.split(',').map(str::to_owned).collect();
    text.lines().skip(1).map(cells).collect()
}

/// Milliseconds of `2026-06-01T00:00:01+00:00`, all in one month.
fn millis(stamp: &str) -> u64 {
    assert!(
        stamp.starts_with("2026-06-") && stamp.ends_with("+00:00"),
        "{stamp}"
    );
    let number = |at: std::ops::Range<usize>| stamp[at].parse::<u64>().unwrap();
    let (day, hour) = (number(8..10), number(11..13));
    let (minute, second) = (number(14..16), number(17..19));
    const JUNE: u64 = 1_780_272_000;
    (JUNE + ((day - 1) * 24 + hour) * 3600 + minute * 60 + second) * 1000
}

#[test]
fn every_reading_above_the_capacity_in_a_recorded_week_is_flagged_and_no_other() {
    let Some(folder) = folder() else { return };
    let mut lab = lab();
    let mut capacities = BTreeMap::new();
    for lot in rows(&folder.join("lots.csv")) {
        let [id, _, capacity, ..] = lot.as_slice() else {
            panic!("{lot:?}")
        };
        lab.asset(id, "car_park", &[("capacity", capacity)]);
        capacities.insert(id.clone(), capacity.parse::<f64>().ok());
    }
    let (mut expected, mut flagged, mut negative, mut judged) = (0, 0, 0, 0);
    for row in rows(&folder.join("free_2026-06-01_07.csv")) {
        let [stamp, id, free] = row.as_slice() else {
            panic!("{row:?}")
        };
        let free: f64 = free.parse().unwrap();
        if !capacities.contains_key(id) {
            lab.asset(id, "car_park", &[]);
        }
        let known = capacities.get(id).copied().flatten();
        expected += u32::from(known.is_some_and(|capacity| free > capacity));
        let said = lab.reading(id, "parking_free", free, millis(stamp));
        let flags = values(&said, "parking_capacity_stale");
        flagged += u32::from(flags == [1.0]);
        judged += flags.len();
        negative += u32::from(values(&said, "parking_occupancy").iter().any(|o| *o < 0.0));
    }
    assert_eq!((flagged, negative), (expected, expected));
    assert_eq!(
        (judged, flagged),
        (25_597, 2_266),
        "counted apart from this program"
    );
}
