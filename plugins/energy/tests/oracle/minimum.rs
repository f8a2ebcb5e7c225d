//! § 14a: grouping, thresholds and both formulas.

use metering::grid::para14a::{
    Anlage, Para14aConfig, SteuVeFallgruppe, Verursachungsregel, mindestleistung_direktansteuerung,
    mindestleistung_ems, netzwirksamer_leistungsbezug, steuerbare_verbrauchseinrichtungen,
};
use quartier_energy::dimming::net_draw_kw;
use quartier_energy::minimum::{Device, Factors, Kind, ems_minimum_kw, units};

use crate::{Random, close, milli};

const FACTORS: Factors = Factors {
    scaling: 0.4,
    simultaneity: [0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45],
};

fn case(kind: Kind) -> SteuVeFallgruppe {
    match kind {
        Kind::Wallbox => SteuVeFallgruppe::Ladepunkt,
        Kind::HeatPump => SteuVeFallgruppe::Waermepumpe,
        Kind::Cooling => SteuVeFallgruppe::Raumkuehlung,
        Kind::Battery => SteuVeFallgruppe::Stromspeicher,
    }
}

/// Powers around the thresholds as often as anywhere else.
fn rated_w(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => 4199 + random.below(3),
        1 => 5499 + random.below(3),
        2 => 10_999 + random.below(3),
        _ => 500 + random.below(30_000),
    }
}

#[test]
fn minimum_power_of_20000_random_connections_is_the_oracles() {
    let mut random = Random(1);
    let (mut counted, mut scaled) = (0, 0);
    for _ in 0..20_000 {
        let count = random.below(14) as usize;
        let devices: Vec<Device<usize>> = (0..count)
            .map(|id| Device {
                id,
                kind: Kind::ALL[random.below(4) as usize],
                rated_w: rated_w(&mut random),
            })
            .collect();
        let installed = |d: &Device<usize>| Anlage::new(case(d.kind), milli(d.rated_w as i64));
        let installed: Vec<Anlage> = devices.iter().map(installed).collect();
        let config = Para14aConfig::VERMUTUNG;

        let found = ems_minimum_kw(&units(&devices), &FACTORS);
        let expected = mindestleistung_ems(&installed, &config);
        match (found, expected) {
            (Some(found), Some(expected)) => {
                assert!(
                    close(found, expected, 1e-9),
                    "{found} {expected} {devices:?}"
                );
                counted += 1;
            }
            (None, None) => {}
            _ => panic!("{found:?} {expected:?} {devices:?}"),
        }
        let mut direct: Vec<_> = units(&devices)
            .iter()
            .map(|u| u.minimum_kw(&FACTORS))
            .collect();
        let counts = steuerbare_verbrauchseinrichtungen(&installed).unwrap();
        scaled += counts.iter().filter(|unit| unit.is_scaled()).count();
        let mut oracle: Vec<_> = counts
            .iter()
            .map(|unit| mindestleistung_direktansteuerung(unit, &config))
            .collect();
        direct.sort_by(f64::total_cmp);
        oracle.sort();
        assert_eq!(direct.len(), oracle.len(), "{devices:?}");
        let mut pairs = direct.iter().zip(&oracle);
        assert!(pairs.all(|(a, b)| close(*a, *b, 1e-9)), "{devices:?}");
    }
    assert!(counted > 10_000 && scaled > 1000, "{counted} {scaled}");
}

#[test]
fn net_draw_is_the_oracles_with_devices_served_last() {
    let mut random = Random(2);
    for _ in 0..10_000 {
        let (grid, devices) = (
            random.below(40_000) as i64 - 20_000,
            random.below(30_000) as i64 - 5000,
        );
        let rule = Verursachungsregel::SteuVeZuletzt;
        let expected =
            netzwirksamer_leistungsbezug(milli(grid), milli(devices), None, rule).unwrap();
        let found = net_draw_kw(Some(grid as f64 / 1000.0), devices as f64 / 1000.0);
        assert!(close(found, expected, 1e-9), "{grid} {devices}: {found}");
    }
}
