//! The test vectors that the public reads are those that hold.

use quartier_energy::minimum::{Device, Factors, Kind, ems_minimum_kw, units};

use crate::MANIFEST;

const FACTORS: Factors = Factors {
    scaling: 0.4,
    simultaneity: [0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45],
};

/// "2 wallboxes of 11 kW" as devices.
fn devices(text: &str) -> Vec<Device<usize>> {
    let mut words = text.split_whitespace();
    let count: usize = words.next().unwrap().parse().unwrap();
    let rest: Vec<&str> = words.collect();
    let kind = match rest[0] {
        "wallbox" | "wallboxes" => Kind::Wallbox,
        "heat" => Kind::HeatPump,
        other => panic!("{other}"),
    };
    let of = rest.iter().position(|word| *word == "of").unwrap();
    let rated_w = rest[of + 1].parse::<u64>().unwrap() * 1000;
    vec![
        Device {
            id: 0,
            kind,
            rated_w
        };
        count
    ]
}

#[test]
fn minimum_power_of_the_manifests_vectors_is_what_the_rule_computes() {
    let mut seen = 0;
    let lines: Vec<&str> = MANIFEST.lines().collect();
    for pair in lines.windows(2) {
        let (Some(given), Some(then)) = (
            pair[0].strip_prefix("given = \""),
            pair[1].strip_prefix("then = \""),
        ) else {
            continue;
        };
        let Some((kw, _)) = then.split_once(" kW stay guaranteed") else {
            continue;
        };
        let (installed, _) = given.split_once(", all behind").unwrap();
        let devices: Vec<_> = installed.split(" and ").flat_map(devices).collect();
        let found = ems_minimum_kw(&units(&devices), &FACTORS).unwrap();
        assert!(
            (found - kw.parse::<f64>().unwrap()).abs() < 1e-9,
            "{given}: {found}"
        );
        seen += 1;
    }
    assert_eq!(seen, 5);
}
