//! The sink against the real servers: every point exactly once, whatever happens on the way.

use super::rig::{EPOCH, Rig, Sample, config, entries, until, v1, v2};
use super::servers::{Kind, Server};
use crate::influx::SinkStatus;

/// `count` readings of 100 devices, a minute apart.
fn readings(from: usize, count: usize) -> Vec<Vec<Sample>> {
    (from..from + count)
        .map(|n| {
            let (device, time) = (format!("d{}", n % 100), EPOCH + (n / 100) as i64 * 60_000);
            vec![
                Sample::of(&device, "pm10", n as f64 / 10.0, time),
                Sample::of(&device, "pm2_5", n as f64 / 3.0, time),
            ]
        })
        .collect()
}

async fn influx() -> Option<Server> {
    let mut server = Server::prepare(Kind::Influx1)?;
    server.start().await;
    server.query("CREATE DATABASE city").await;
    Some(server)
}

/// Number and sum of a field in InfluxDB 1.x.
async fn count_and_sum(server: &Server, field: &str) -> (u64, f64) {
    let query = format!("SELECT count({field}), sum({field}) FROM environment");
    let row = server.query(&query).await[0]["values"][0].clone();
    (row[1].as_u64().unwrap(), row[2].as_f64().unwrap())
}

/// Whether the samples 0 to `count` are there, each once.
fn assert_all(found: (u64, f64), count: usize, scale: f64) {
    let sum: f64 = (0..count).map(|n| n as f64 / scale).sum();
    assert_eq!(found.0, count as u64);
    assert!(
        (found.1 - sum).abs() < sum * 1e-9,
        "{} is not {sum}",
        found.1
    );
}

#[tokio::test]
async fn influxdb_1_down_for_a_while_holds_every_point_exactly_once() {
    let Some(mut server) = influx().await else {
        return;
    };
    let rig = Rig::start(config(&server.url(), v1()), readings(0, 20_000));
    rig.caught_up().await;
    server.stop();
    rig.push(readings(20_000, 20_000));
    until(|| rig.report().retries > 3).await;
    assert_eq!(
        (rig.position(), rig.report().status),
        (20_000, SinkStatus::Retrying)
    );
    server.start().await;
    rig.caught_up().await;
    assert_all(count_and_sum(&server, "pm10").await, 40_000, 10.0);
    assert_all(count_and_sum(&server, "pm2_5").await, 40_000, 3.0);
    assert_eq!(rig.dead(), []);
}

#[tokio::test]
async fn influxdb_1_killed_while_writing_holds_every_point_exactly_once() {
    let Some(mut server) = influx().await else {
        return;
    };
    let rig = Rig::start(config(&server.url(), v1()), readings(0, 60_000));
    for lines in [5_000, 20_000, 40_000] {
        until(|| rig.report().lines >= lines).await;
        server.stop();
        server.start().await;
    }
    rig.caught_up().await;
    assert_all(count_and_sum(&server, "pm10").await, 60_000, 10.0);
    assert_eq!(rig.dead(), []);
}

#[tokio::test]
async fn influxdb_1_refuses_poison_and_takes_the_rest_even_of_the_same_line() {
    let Some(server) = influx().await else { return };
    server
        .write("environment,device=x poison=\"a string\" 1780272000000")
        .await;
    let mut all = readings(0, 10_000);
    for place in [17, 4_711] {
        all[place].push(Sample::of("bad", "poison", 1.0, EPOCH + place as i64));
    }
    // Of the device and the time of the readings before it, so that it joins their line.
    let neighbour = all[9_999][0].clone();
    all[9_999].push(Sample {
        field: "poison".into(),
        value: 1.0,
        ..neighbour
    });
    let rig = Rig::start(config(&server.url(), v1()), all);
    rig.caught_up().await;
    let dead = rig.dead();
    assert_eq!(dead.len(), 3);
    for letter in &dead {
        assert!(letter.line.contains(" poison=1 "), "{letter:?}");
        assert!(letter.reason.contains("field type conflict"), "{letter:?}");
    }
    assert_all(count_and_sum(&server, "pm10").await, 10_000, 10.0);
    assert_all(count_and_sum(&server, "pm2_5").await, 10_000, 3.0);
}

#[tokio::test]
async fn a_missing_database_is_waited_for() {
    let Some(mut server) = Server::prepare(Kind::Influx1) else {
        return;
    };
    server.start().await;
    let rig = Rig::start(config(&server.url(), v1()), readings(0, 1_000));
    rig.has_status(SinkStatus::Misconfigured).await;
    let error = rig.report().last_error.unwrap();
    assert!(error.contains("database not found"), "{error}");
    server.query("CREATE DATABASE city").await;
    rig.caught_up().await;
    assert_all(count_and_sum(&server, "pm10").await, 1_000, 10.0);
}

#[tokio::test]
async fn victoria_metrics_down_for_a_while_holds_every_point_exactly_once() {
    let Some(mut server) = Server::prepare(Kind::VictoriaMetrics) else {
        return;
    };
    let rig = Rig::start(config(&server.url(), v2()), entries(20_000));
    until(|| rig.report().retries > 3).await;
    assert_eq!(rig.position(), 0);
    server.start().await;
    rig.caught_up().await;
    let mut devices = Vec::new();
    for series in server.export().await {
        let device = series["metric"]["device"].as_str().unwrap();
        let n: usize = device.strip_prefix('d').unwrap().parse().unwrap();
        assert_eq!(series["values"].as_array().unwrap().len(), 1);
        assert_eq!(series["values"][0].as_f64().unwrap(), n as f64 / 10.0);
        assert_eq!(series["timestamps"][0].as_i64().unwrap(), EPOCH + n as i64);
        devices.push(n);
    }
    devices.sort_unstable();
    assert_eq!(devices, (0..20_000).collect::<Vec<_>>());
}
