//! The main job on recorded data: `quartier replay` into a node, and every point exactly once in
//! the databases, the last values in the twin, the index of every hour as computed here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use quartier_tests::{
    Influx1, Node, NodeConfig, Victoria, data, eventually, health_plugin, quartier, run, workspace,
};
use serde_json::json;

use crate::dashboards;

/// Values of one field of one device, by time.
pub(crate) type Values = BTreeMap<i64, f64>;
/// Measurement and field, then device.
pub(crate) type Points = BTreeMap<(&'static str, &'static str), BTreeMap<String, Values>>;

/// Station, file, latitude, longitude.
const STATIONS: [(&str, &str, f64, f64); 3] = [
    ("dresden-nord", "nord_2018.csv", 51.0650, 13.7414),
    (
        "dresden-bergstrasse",
        "bergstrasse_2018.csv",
        51.0297,
        13.7323,
    ),
    (
        "dresden-winckelmannstr",
        "winckelmannstr_2018.csv",
        51.0361,
        13.7306,
    ),
];

/// Column and metric of the stations' files.
const STATION_COLUMNS: [(&str, &str); 14] = [
    ("NO", "no"),
    ("NO2", "no2"),
    ("O3", "o3"),
    ("PM10_TEOM", "pm10"),
    ("PM2.5", "pm2_5"),
    ("SO2", "so2"),
    ("BEN", "benzene"),
    ("TEMP", "temperature"),
    ("FEUCHT", "humidity"),
    ("DRUCK", "pressure"),
    ("WINDGE", "wind_speed"),
    ("WINDRI", "wind_direction"),
    ("STRAHL", "solar_radiation"),
    ("RUSS_PM1", "black_carbon"),
];

/// One file and how it is replayed.
struct Job {
    file: PathBuf,
    mapping: &'static str,
    set: Option<String>,
}

fn add(points: &mut Points, of: (&'static str, &'static str), device: &str, time: i64, text: &str) {
    // A missing measurement is written as nothing or as NaN.
    let Some(value) = text
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
    else {
        return;
    };
    points
        .entry(of)
        .or_default()
        .entry(device.to_owned())
        .or_default()
        .insert(time, value);
}

pub(crate) fn rows(file: &Path, mut row: impl FnMut(&dyn Fn(&str) -> String)) {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let header = reader.headers().unwrap().clone();
    for record in reader.records() {
        let record = record.unwrap();
        row(&|name| {
            let at = header.iter().position(|column| column == name).unwrap();
            record[at].to_owned()
        });
    }
}

/// `None` for what is no time: the sensors' file ends within a row.
pub(crate) fn utc(text: &str) -> Option<i64> {
    let time: DateTime = text
        .trim_end_matches("+00:00")
        .replace(' ', "T")
        .parse()
        .ok()?;
    Some(
        time.to_zoned(TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_millisecond(),
    )
}

/// Rows without an hour are means of a day. The clock is Central European Time all year.
pub(crate) fn station(points: &mut Points, device: &str, file: &Path) {
    let cet = TimeZone::fixed(Offset::constant(1));
    rows(file, |column| {
        if column("Zeit").is_empty() {
            return;
        }
        let time: DateTime = format!("{}T{}", column("Datum"), column("Zeit"))
            .parse()
            .unwrap();
        let time = time
            .to_zoned(cet.clone())
            .unwrap()
            .timestamp()
            .as_millisecond();
        for (name, metric) in STATION_COLUMNS {
            add(points, ("environment", metric), device, time, &column(name));
        }
    });
}

/// What is in the files, read without the product; and how the product is told to replay them.
fn recorded() -> Option<(Points, Vec<Job>)> {
    let (mut points, mut jobs) = (Points::new(), Vec::new());
    let air = data("air_dresden")?;
    for (device, file, ..) in STATIONS {
        station(&mut points, device, &air.join(file));
        let set = Some(format!("asset={device}"));
        jobs.push(Job {
            file: air.join(file),
            mapping: "air_dresden.toml",
            set,
        });
    }
    let lowcost = data("air_lowcost")?.join("aberdeen_sds011_2019-01_02.csv");
    rows(&lowcost, |column| {
        let device = format!("sds011-{}", column("sensor_id"));
        let Some(time) = utc(&column("timestamp_utc")) else {
            return;
        };
        add(
            &mut points,
            ("environment", "pm10"),
            &device,
            time,
            &column("P1_pm10"),
        );
        add(
            &mut points,
            ("environment", "pm2_5"),
            &device,
            time,
            &column("P2_pm25"),
        );
    });
    jobs.push(Job {
        file: lowcost,
        mapping: "air_lowcost.toml",
        set: None,
    });
    let parking = data("parking_dresden")?;
    let mut capacities = BTreeMap::new();
    rows(&parking.join("lots.csv"), |column| {
        capacities.insert(column("place_id"), column("capacity"));
    });
    let free = parking.join("free_2026-06-01_07.csv");
    rows(&free, |column| {
        let (device, time) = (column("place_id"), utc(&column("timestamp")).unwrap());
        add(
            &mut points,
            ("mobility", "parking_free"),
            &device,
            time,
            &column("free"),
        );
        if let Some(capacity) = capacities.get(&device) {
            add(
                &mut points,
                ("mobility", "parking_capacity"),
                &device,
                time,
                capacity,
            );
        }
    });
    jobs.push(Job {
        file: free,
        mapping: "parking_dresden.toml",
        set: None,
    });
    let noise = data("noise")?.join("laeq_1min.csv");
    rows(&noise, |column| {
        let (time, level) = (utc(&column("datetime")).unwrap(), column("LEQ dB -A"));
        add(
            &mut points,
            ("environment", "laeq"),
            "sound-level-meter-1",
            time,
            &level,
        );
    });
    jobs.push(Job {
        file: noise,
        mapping: "noise.toml",
        set: None,
    });
    Some((points, jobs))
}

/// The stations as the registry knows them: an hourly mean stands for its hour.
pub(crate) fn stations() -> String {
    let feature = |(id, _, lat, lon): (&str, &str, f64, f64)| {
        json!({
            "type": "Feature",
            "id": id,
            "geometry": { "type": "Point", "coordinates": [lon, lat] },
            "properties": { "kind": "air_quality_station", "name": id, "interval_s": "3600" },
        })
    };
    json!({ "type": "FeatureCollection", "features": STATIONS.map(feature) }).to_string()
}

fn node(influx: String) -> Option<Node> {
    let plugin = health_plugin()?;
    Some(Node::start(NodeConfig {
        influx: Some(influx),
        quarters: vec![
            ("johannstadt".to_owned(), None),
            ("friedrichstadt".to_owned(), Some(stations())),
        ],
        plugins: vec![("friedrichstadt".to_owned(), plugin)],
        ..NodeConfig::default()
    }))
}

fn replay(node: &Node, job: &Job) {
    let mut command = Command::new(quartier());
    command.arg("replay").arg(&job.file).arg("--json");
    command
        .arg("--mapping")
        .arg(workspace().join("deploy/replay").join(job.mapping));
    command.args(["--mqtt", &format!("mqtt://{}", node.mqtt())]);
    command.args(job.set.iter().flat_map(|set| ["--set", set.as_str()]));
    let done = run(&mut command, Duration::from_secs(120));
    assert_eq!(done.code, Some(0), "{}: {done:?}", job.file.display());
    eprintln!("{}: {}", job.mapping, done.stdout);
}

fn assert_last_values(node: &Node, points: &Points) {
    for ((_, metric), devices) in points {
        for (device, values) in devices {
            let (_, last) = values.last_key_value().unwrap();
            let found = node.value(device, metric).map(|(value, _)| value);
            assert_eq!(found, Some(*last), "last {metric} of {device}");
        }
    }
}

/// Upper limits of hourly means, ug/m3, of good to very poor: EAQI, revision of 2024.
const EAQI: [(&str, [f64; 5]); 5] = [
    ("pm2_5", [5.0, 15.0, 50.0, 90.0, 140.0]),
    ("pm10", [15.0, 45.0, 120.0, 195.0, 270.0]),
    ("no2", [10.0, 25.0, 60.0, 100.0, 150.0]),
    ("o3", [60.0, 100.0, 120.0, 160.0, 180.0]),
    ("so2", [20.0, 40.0, 125.0, 190.0, 275.0]),
];

/// The index of every hour with any pollutant: values rounded half up, the worst decides. Each
/// published value is the mean of a whole hour, so an hour has full coverage or no value.
pub(crate) fn eaqi(points: &Points, device: &str) -> Values {
    let mut index = Values::new();
    for (metric, limits) in EAQI {
        let values = points
            .get(&("environment", metric))
            .and_then(|devices| devices.get(device));
        for (time, value) in values.into_iter().flatten() {
            let rounded = (value + 0.5).floor();
            let class = 1 + limits.iter().filter(|limit| rounded > **limit).count();
            let worst = index.entry(*time).or_insert(0.0);
            *worst = worst.max(class as f64);
        }
    }
    index
}

fn stored_index(influx: &Influx1, device: &str) -> Values {
    let query = format!("SELECT \"eaqi\" FROM \"health\" WHERE \"device\" = '{device}'");
    let series = influx.query(&query);
    let rows = series[0]["values"].as_array().cloned().unwrap_or_default();
    rows.iter()
        .filter_map(|row| Some((row[0].as_i64()?, row[1].as_f64()?)))
        .collect()
}

#[test]
fn recorded_data_are_in_influxdb_exactly_once_and_give_the_index_computed_here() {
    let (Some((points, jobs)), Some(influx)) = (recorded(), Influx1::start()) else {
        return;
    };
    let Some(node) = node(influx.config()) else {
        return;
    };
    for job in &jobs {
        replay(&node, job);
    }
    node.delivered(Duration::from_secs(120));
    for ((measurement, field), devices) in &points {
        let stored = influx.counts(measurement, field);
        let counted: Vec<_> = stored
            .iter()
            .map(|(device, count, _)| (device.clone(), *count))
            .collect();
        let expected: Vec<_> = devices
            .iter()
            .map(|(d, v)| (d.clone(), v.len() as u64))
            .collect();
        assert_eq!(counted, expected, "points of {field}");
        for ((device, _, sum), values) in stored.iter().zip(devices.values()) {
            let expected: f64 = values.values().sum();
            let near = (sum - expected).abs() <= 1e-9 * expected.abs().max(1.0);
            assert!(near, "sum of {field} of {device}: {sum}, not {expected}");
        }
    }
    assert_last_values(&node, &points);
    dashboards::assert_every_query_returns_rows(&node, &influx);
    let mut expected = eaqi(&points, "dresden-nord");
    // The window of the newest hour waits for a reading behind it, or an hour of wall time.
    expected.pop_last();
    assert!(expected.len() > 8000, "{} hours", expected.len());
    eventually(
        "the index of every hour is stored",
        Duration::from_secs(60),
        || {
            let stored = stored_index(&influx, "dresden-nord");
            if stored == expected {
                return Ok(());
            }
            let differing = |(time, class): &(&i64, &f64)| stored.get(time) != Some(class);
            let first: Vec<_> = expected
                .iter()
                .filter(differing)
                .take(5)
                .map(|(time, class)| (time, class, stored.get(time)))
                .collect();
            let more = stored
                .keys()
                .filter(|time| !expected.contains_key(time))
                .count();
            Err(format!(
                "{} of {} hours, {more} not expected; (time, expected, stored): {first:?}",
                stored.len(),
                expected.len()
            ))
        },
    );
}

#[test]
fn recorded_data_are_in_victoria_metrics_exactly_once() {
    let (Some((points, jobs)), Some(victoria)) = (recorded(), Victoria::start()) else {
        return;
    };
    let Some(node) = node(victoria.config()) else {
        return;
    };
    for job in &jobs {
        replay(&node, job);
    }
    node.delivered(Duration::from_secs(120));
    for ((measurement, field), devices) in &points {
        let expected: Vec<_> = devices
            .iter()
            .map(|(d, v)| (d.clone(), v.len() as u64))
            .collect();
        eventually(
            &format!("points of {field}"),
            Duration::from_secs(30),
            || {
                let stored = victoria.counts(measurement, field);
                if stored == expected {
                    Ok(())
                } else {
                    Err(format!("{stored:?}, not {expected:?}"))
                }
            },
        );
    }
    assert_last_values(&node, &points);
}
