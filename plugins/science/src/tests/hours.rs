//! Neighbours, humidity and the verdict.

use quartier_sdk::testing::{Row, Said, values};

use super::{HOME, T0, hour, quarter};
use crate::raw::HOUR;

/// Hour `n` of the box and its five neighbours.
fn hours(n: u64, own: f64, peers: usize) -> Vec<Row> {
    let theirs =
        (1..=peers).map(|peer| hour(&format!("n{peer}"), "pm2_5", n, 10.0 + peer as f64 / 5.0));
    theirs.chain([hour("box", "pm2_5", n, own)]).collect()
}

fn of_the_box(said: &[Said]) -> Vec<Said> {
    said.iter()
        .filter(|said| said.asset() == "box")
        .cloned()
        .collect()
}

fn alerts(said: &[Said]) -> Vec<bool> {
    said.iter()
        .filter_map(|said| said.alert("pm2_5_suspect"))
        .collect()
}

#[test]
fn three_hours_unlike_five_neighbours_are_suspect_and_two_are_not() {
    let rows: Vec<Row> = (1..=4).flat_map(|n| hours(n, 40.0, 5)).collect();
    let said = of_the_box(&quarter(5).same_in_all_cuts(&rows));
    assert_eq!(values(&said, "pm2_5_flags"), [0.0, 0.0, 16.0]);
    assert_eq!(values(&said, "plausibility"), [1.0, 1.0, 0.0]);
    assert_eq!(alerts(&said), [true]);
    let text = said.iter().find_map(|said| match said {
        Said::Raised { text, .. } => Some(text.clone()),
        _ => None,
    });
    assert_eq!(
        text.as_deref(),
        Some("PM2.5 40.0 ug/m3; 5 neighbours have a median of 10.6")
    );
    let rows: Vec<Row> = (1..=3).flat_map(|n| hours(n, 40.0, 5)).collect();
    assert_eq!(alerts(&quarter(5).same_in_all_cuts(&rows)), []);
}

#[test]
fn four_neighbours_are_too_few_and_those_far_away_do_not_count() {
    let rows: Vec<Row> = (1..=4).flat_map(|n| hours(n, 40.0, 4)).collect();
    let said = of_the_box(&quarter(4).same_in_all_cuts(&rows));
    assert_eq!(values(&said, "pm2_5_flags"), [64.0; 3]);
    assert_eq!(values(&said, "plausibility"), [1.0; 3]);
    let rows: Vec<Row> = (1..=4).flat_map(|n| hours(n, 40.0, 5)).collect();
    let mut lab = quarter(5);
    let home = h3o::CellIndex::try_from(HOME).unwrap();
    let three_away: Vec<h3o::CellIndex> = home.grid_ring(3);
    lab.place("n5", three_away[0].into());
    assert_eq!(alerts(&lab.same_in_all_cuts(&rows)), []);
}

#[test]
fn a_neighbour_that_moves_away_counts_no_more() {
    let mut lab = quarter(5);
    lab.in_batches(6, &hours(1, 40.0, 5));
    lab.survives_restart();
    lab.place("n5", 0);
    let said = of_the_box(&lab.in_batches(6, &hours(2, 40.0, 5)));
    assert_eq!(values(&said, "pm2_5_flags"), [64.0]);
}

#[test]
fn a_gap_or_an_hour_with_insufficient_data_ends_the_count() {
    let gap: Vec<Row> = [1, 2, 4, 5]
        .into_iter()
        .flat_map(|n| hours(n, 40.0, 5))
        .collect();
    assert_eq!(alerts(&quarter(5).same_in_all_cuts(&gap)), []);
    let thin = |n: u64, row: Row| if n == 2 { row.coverage(0.74) } else { row };
    let rows: Vec<Row> = (1..=4)
        .flat_map(|n| hours(n, 40.0, 5).into_iter().map(move |row| thin(n, row)))
        .collect();
    let said = of_the_box(&quarter(5).same_in_all_cuts(&rows));
    assert_eq!(alerts(&said), []);
    assert_eq!(
        values(&said, "pm2_5_flags").len(),
        2,
        "no verdict on the thin hour"
    );
}

#[test]
fn a_verdict_carries_the_time_of_its_hour_and_comes_once() {
    let rows: Vec<Row> = (1..=3).flat_map(|n| hours(n, 10.0, 5)).collect();
    let said = of_the_box(&quarter(5).same_in_all_cuts(&rows));
    let times: Vec<u64> = said
        .iter()
        .filter_map(|said| match said {
            Said::Derived {
                metric, time_ms, ..
            } if metric == "pm2_5_flags" => Some(*time_ms),
            _ => None,
        })
        .collect();
    assert_eq!(times, [T0 + HOUR, T0 + 2 * HOUR]);
}

#[test]
fn humid_air_is_in_doubt_and_corrected_whichever_window_comes_first() {
    let rows = [
        hour("box", "pm2_5", 1, 20.0),
        hour("box", "humidity", 1, 80.0),
        hour("box", "pm10", 1, 20.0),
        hour("box", "pm2_5", 2, 20.0),
        hour("box", "humidity", 2, 70.0),
        hour("box", "pm2_5", 3, 20.0),
    ];
    let said = quarter(0).same_in_all_cuts(&rows);
    assert_eq!(values(&said, "pm2_5_flags"), [64.0 + 32.0, 64.0]);
    let fine = values(&said, "pm2_5_corrected");
    assert!((fine[0] - 18.664_762).abs() < 1e-6, "{fine:?}");
    let coarse = values(&said, "pm10_corrected");
    assert_eq!(coarse.len(), 1);
    assert!((coarse[0] - 16.368_424).abs() < 1e-6, "{coarse:?}");
    assert_eq!(values(&said, "plausibility"), [0.5, 1.0]);
}

#[test]
fn the_worse_pollutant_decides_the_plausibility_of_an_hour() {
    let mut lab = quarter(0);
    lab.reading("box", "pm10", 1000.0, T0 + 1);
    for n in 1..=2 {
        lab.row(hour("box", "pm10", n, 20.0));
        let said = lab.row(hour("box", "pm2_5", n, 20.0));
        if n == 2 {
            assert_eq!(values(&said, "plausibility"), [0.0]);
            assert_eq!(values(&said, "pm2_5_flags"), [64.0]);
        }
    }
}
