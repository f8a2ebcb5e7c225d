//! Claims about the table of units.

use super::*;

#[test]
fn every_unit_converts_to_every_other_of_its_family_and_back() {
    let mut pairs = 0;
    for family in FAMILIES {
        for from in family.units {
            for to in family.units {
                let there = Target { family, unit: to };
                let back = Target { family, unit: from };
                for value in [-40.0, 0.0, 1.0, 21.5, 1e3, 12_345.678] {
                    let sent = there.convert(value, from.spelling).unwrap();
                    let again = back.convert(sent, to.spelling).unwrap();
                    let slack = 1e-9 * (value.abs() + from.offset.abs() + 1.0);
                    assert!(
                        (again - value).abs() <= slack,
                        "{value} {} = {sent} {} = {again}",
                        from.spelling,
                        to.spelling
                    );
                }
                pairs += 1;
            }
        }
    }
    assert!(pairs > 800, "{pairs}");
}

#[test]
fn known_equalities_hold_exactly() {
    for (value, from, to, want) in [
        (1500.0, "W", "kW", 1.5),
        (3.2, "MW", "kW", 3200.0),
        (217.0, "Wh", "kWh", 0.217),
        (3.6, "MJ", "kWh", 1.0),
        (7.2e6, "J", "kWh", 2.0),
        (293.15, "K", "Cel", 20.0),
        (212.0, "[degF]", "Cel", 100.0),
        (-40.0, "\u{b0}F", "Cel", -40.0),
        (100_520.25, "Pa", "hPa", 1005.2025),
        (1.01325, "bar", "hPa", 1013.25),
        (0.3, "mg/m3", "ug/m3", 300.0),
        (12.5, "\u{b5}g/m\u{b3}", "ug/m3", 12.5),
        (12.5, "\u{3bc}g/m\u{b3}", "ug/m3", 12.5),
        (36.0, "km/h", "m/s", 10.0),
        (10.0, "m/s", "km/h", 36.0),
        (1.0, "kn", "km/h", 1.852),
        (0.5, "1", "%", 50.0),
        (50.0, "%", "1", 0.5),
        (0.04, "%", "ppm", 400.0),
        (2.0, "min", "s", 120.0),
        (1.5, "h", "s", 5400.0),
        (1.2, "km", "m", 1200.0),
        (0.4, "kV", "V", 400.0),
        (230_100.0, "mV", "V", 230.1),
        (1500.0, "mA", "A", 1.5),
        (1.0, "klx", "lx", 1000.0),
        (1.0, "1/s", "1/h", 3600.0),
        (5.5, "Bspl", "dB(A)", 55.0),
        (0.0, "dBW", "dBm", 30.0),
        (4.5, "l/m2", "mm", 4.5),
    ] {
        assert_eq!(convert(value, from, to), Ok(want), "{value} {from} -> {to}");
    }
}

#[test]
fn different_quantities_never_convert_and_the_error_names_both() {
    let error = convert(1.0, "kWh", "kW").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unit \"kWh\" is unknown or cannot be converted to \"kW\""
    );
    for (i, from) in FAMILIES.iter().enumerate() {
        for (j, to) in FAMILIES.iter().enumerate() {
            if i == j {
                continue;
            }
            for unit in from.units {
                let target = Target {
                    family: to,
                    unit: &to.units[0],
                };
                let shared = to.unit(unit.spelling).is_some();
                assert_eq!(target.convert(1.0, unit.spelling).is_some(), shared);
                assert!(!shared || unit.spelling == "dB", "{}", unit.spelling);
            }
        }
    }
    for (from, to) in [
        ("ppm", "ug/m3"),
        ("kVA", "kW"),
        ("kvar", "kW"),
        ("dBm", "dB"),
    ] {
        assert!(convert(1.0, from, to).is_err(), "{from} -> {to}");
    }
}

#[test]
fn no_spelling_stands_twice_in_a_family() {
    for family in FAMILIES {
        for (i, unit) in family.units.iter().enumerate() {
            assert!(
                family.units[..i]
                    .iter()
                    .all(|other| other.spelling != unit.spelling),
                "{}",
                unit.spelling
            );
        }
    }
}
