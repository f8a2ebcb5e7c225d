//! The end: what is left goes out where it can, and nothing is taken for delivered that is not.

use std::time::{Duration, Instant};

use super::mock::{MockServer, Reply};
use super::rig::{Rig, config, entries, until, v1, v2};
use crate::influx::{ConfigError, InfluxApi, InfluxConfig};

#[tokio::test]
async fn what_is_left_is_sent_before_the_sink_ends() {
    let server = MockServer::start(|_| Reply::Status(204, "")).await;
    let patient = InfluxConfig {
        batch_delay: Duration::from_secs(3_600),
        batch_lines: 10,
        drain: Duration::from_secs(30),
        ..config(&server.url(), v1())
    };
    let rig = Rig::start(patient, entries(25));
    until(|| rig.position() == 20).await;
    rig.shut_down();
    let (state, position) = rig.ended().await;
    assert_eq!(
        (position, server.stored().len(), state.report().lag),
        (25, 25, 0)
    );
}

#[tokio::test]
async fn a_request_that_hangs_is_abandoned_in_time_and_the_cursor_stays() {
    let server = MockServer::start(|_| Reply::Hang).await;
    let rig = Rig::start(config(&server.url(), v2()), entries(25));
    until(|| server.writes() == 1).await;
    let start = Instant::now();
    rig.shut_down();
    let (state, position) = rig.ended().await;
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    assert_eq!((position, state.report().lag), (0, 25));
}

#[tokio::test]
async fn an_outage_does_not_hold_the_shutdown_up() {
    let server = MockServer::start(|_| Reply::Header(503, "retry-after: 500")).await;
    let slow = InfluxConfig {
        drain: Duration::from_secs(3_600),
        ..config(&server.url(), v1())
    };
    let rig = Rig::start(slow, entries(25));
    until(|| rig.report().retries == 1).await;
    rig.shut_down();
    assert_eq!(rig.ended().await.1, 0);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_what_to_do() {
    let message = |url: &str, api| config(url, api).check().unwrap_err().to_string();
    assert!(message("localhost:8086", v1()).contains("write http://host:8086"));
    assert!(message("http://", v1()).contains("write http://host:8086"));
    assert!(message("http://h/influx", v2()).contains("leave the path away"));
    let nameless = InfluxApi::V1 {
        database: String::new(),
        user: None,
        password_file: None,
    };
    assert_eq!(
        message("http://h", nameless),
        "influx.database is empty; set it"
    );
    let lost = InfluxApi::V2 {
        org: "o".into(),
        bucket: "b".into(),
        token_file: Some("/nonexistent/token".into()),
    };
    let fault = config("http://h", lost).check().unwrap_err();
    assert!(matches!(
        fault,
        ConfigError::Secret {
            key: "token_file",
            ..
        }
    ));
    assert!(config("https://h/influx", v1()).check().is_ok());
}
