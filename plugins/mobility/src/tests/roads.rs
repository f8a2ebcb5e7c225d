//! Density and level of service.

use quartier_sdk::testing::{Lab, Row, Said, values};

use super::{T0, lab};
use crate::Mobility;
use crate::road::Quarter;

const QUARTER: u64 = 900_000;

fn road() -> Lab<Mobility> {
    let mut lab = lab();
    lab.asset("r", "road", &[("lanes", "2")]);
    lab
}

fn quarter(n: u64, flow: f64, speed: f64) -> [Row; 2] {
    let end = T0 + n * QUARTER;
    [
        Row::window("r", "vehicle_flow", 900, flow, end),
        Row::window("r", "vehicle_speed", 900, speed, end),
    ]
}

#[test]
fn density_is_flow_over_speed_and_lanes() {
    let said = road().in_batches(2, &quarter(0, 1600.0, 50.0));
    assert_eq!(values(&said, "vehicle_density"), [16.0]);
    assert_eq!(values(&said, "level_of_service"), [3.0]);
    let said = road().in_batches(2, &quarter(0, 1601.0, 50.0));
    assert_eq!(values(&said, "level_of_service"), [4.0]);
}

#[test]
fn heavy_vehicles_stand_for_more_than_one_car() {
    let quarter = Quarter {
        flow: Some(1000.0),
        speed: Some(50.0),
        heavy: Some(10.0),
    };
    assert_eq!(quarter.density(1.0, 2.0), Some(22.0));
}

#[test]
fn a_level_is_told_again_only_where_it_changed() {
    let mut lab = road();
    lab.in_batches(2, &quarter(0, 1000.0, 50.0));
    let heavy =
        |mean, coverage| Row::window("r", "heavy_vehicle_share", 900, mean, T0).coverage(coverage);
    assert_eq!(lab.row(heavy(10.0, 0.5)), []);
    let said = lab.row(heavy(10.0, 1.0));
    assert_eq!(values(&said, "vehicle_density"), [11.0], "corrected");
}

#[test]
fn without_speed_lanes_or_coverage_there_is_no_level() {
    let mut lab = road();
    lab.asset("x", "road", &[]);
    let end = T0;
    let flow = Row::window("r", "vehicle_flow", 900, 1600.0, end);
    assert_eq!(lab.row(flow), []);
    let thin = Row::window("r", "vehicle_speed", 900, 50.0, end).coverage(0.74);
    assert_eq!(lab.row(thin), []);
    let stands = Row::window("r", "vehicle_speed", 900, 0.0, end);
    assert_eq!(lab.row(stands), []);
    let rows = [
        Row::window("x", "vehicle_flow", 900, 1600.0, end),
        Row::window("x", "vehicle_speed", 900, 50.0, end),
    ];
    assert_eq!(lab.in_batches(2, &rows), [], "no lanes");
}

#[test]
fn two_quarters_at_f_alert_however_their_windows_come() {
    let rows = [quarter(0, 3000.0, 50.0), quarter(1, 3000.0, 50.0)].concat();
    let said = road().same_in_all_cuts(&rows);
    let alert = |said: &Said| said.alert("road_congested");
    assert_eq!(said.iter().filter_map(alert).collect::<Vec<_>>(), [true]);

    // All flows first, then the speeds.
    let mut late = rows.clone();
    late.sort_by_key(|row| !format!("{row:?}").contains("vehicle_flow"));
    let mut lab = road();
    let said: Vec<Said> = late.into_iter().flat_map(|row| lab.row(row)).collect();
    assert_eq!(said.iter().filter_map(alert).collect::<Vec<_>>(), [true]);
    assert_eq!(values(&said, "vehicle_density"), [30.0, 30.0]);
}

#[test]
fn a_missing_quarter_ends_the_count() {
    let rows = [quarter(0, 3000.0, 50.0), quarter(2, 3000.0, 50.0)].concat();
    let said = road().same_in_all_cuts(&rows);
    assert!(
        said.iter()
            .all(|said| said.alert("road_congested").is_none())
    );
}
