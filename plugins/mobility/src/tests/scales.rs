//! Crowding and delay at junctions.

use quartier_sdk::testing::{Row, Said, values};

use super::{T0, lab};

#[test]
fn crowding_alerts_at_e_and_again_at_f() {
    let mut lab = lab();
    lab.asset("bridge", "walkway", &[]);
    let densities = [1.1, 1.1, 3.0, 3.0, 1.5, 1.5, 1.5, 0.2, 0.2, 0.2];
    let rows: Vec<Row> = densities
        .into_iter()
        .zip(0..)
        .map(|(density, n)| Row::reading("bridge", "pedestrian_density", density, T0 + n))
        .collect();
    let said = lab.same_in_all_cuts(&rows);
    let levels = values(&said, "crowding_level");
    assert_eq!(levels, [5.0, 5.0, 6.0, 6.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0]);
    let alerts: Vec<(u32, bool)> = said
        .iter()
        .filter_map(|said| match said {
            Said::Raised { code, .. } => Some((*code, true)),
            Said::Cleared { code, .. } => Some((*code, false)),
            _ => None,
        })
        .collect();
    assert_eq!(alerts, [(5, true), (6, true), (5, true), (5, false)]);
}

#[test]
fn a_value_repeated_for_the_same_time_counts_once() {
    let mut lab = lab();
    lab.asset("bridge", "walkway", &[]);
    for _ in 0..3 {
        let said = lab.reading("bridge", "pedestrian_density", 3.0, T0);
        assert_eq!(said.len(), 1, "the level alone");
    }
}

#[test]
fn a_delay_of_45_s_is_e_and_alerts_the_second_time() {
    let mut lab = lab();
    lab.asset("x", "junction", &[]);
    let said = lab.reading("x", "delay", 45.0, T0);
    assert_eq!(values(&said, "junction_level_of_service"), [5.0]);
    let said = lab.reading("x", "delay", 45.0, T0 + 900_000);
    assert_eq!(
        said.iter()
            .filter_map(|s| s.alert("junction_delay"))
            .collect::<Vec<_>>(),
        [true]
    );
}
