//! Every row of the status table, against the mock.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::mock::{MockServer, Reply, Request};
use super::rig::{Rig, Sample, config, entries, until, v1, v2};
use crate::influx::{InfluxApi, InfluxConfig, SinkStatus};

const DONE: Reply = Reply::Status(204, "");

/// Answers by each of `first` once, then 204.
fn first(first: Vec<Reply>) -> impl FnMut(&Request) -> Reply {
    let mut first = first.into_iter();
    move |_| first.next().unwrap_or(DONE)
}

/// Refuses writes that hold one of these devices.
fn refusing(status: u16, poison: &[usize]) -> impl FnMut(&Request) -> Reply + use<> {
    let marks: Vec<_> = poison.iter().map(|n| format!("device=d{n} ")).collect();
    move |request| {
        if marks.iter().any(|mark| request.body.contains(mark)) {
            Reply::Status(status, "{\"error\":\"field type conflict dropped=0\"}")
        } else {
            DONE
        }
    }
}

fn device(line: &str) -> usize {
    let (_, rest) = line.split_once("device=d").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

fn devices<'a>(lines: impl IntoIterator<Item = &'a String>) -> BTreeSet<usize> {
    lines.into_iter().map(|line| device(line)).collect()
}

#[tokio::test]
async fn v1_writes_gzip_with_login_and_any_2xx_moves_the_cursor() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "geheim\n").unwrap();
    for status in [200, 202, 204] {
        let server = MockServer::start(move |_| Reply::Status(status, "")).await;
        let api = InfluxApi::V1 {
            database: "my city".into(),
            user: Some("quartier".into()),
            password_file: Some(secret.path().into()),
        };
        let rig = Rig::start(config(&server.url(), api), entries(3));
        rig.caught_up().await;
        let request = server.seen().remove(0);
        assert_eq!(request.target, "/write?db=my+city&precision=ms");
        assert_eq!(
            request.header("authorization"),
            Some("Basic cXVhcnRpZXI6Z2VoZWlt")
        );
        assert_eq!(request.header("content-encoding"), Some("gzip"));
        assert_eq!(devices(&server.stored()), BTreeSet::from([0, 1, 2]));
        let report = rig.report();
        assert_eq!((report.lines, report.delivered, report.lag), (3, 3, 0));
    }
}

#[tokio::test]
async fn v2_writes_gzip_with_token_and_any_2xx_moves_the_cursor() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "geheim\n").unwrap();
    for status in [200, 202, 204] {
        let server = MockServer::start(move |_| Reply::Status(status, "")).await;
        let api = InfluxApi::V2 {
            org: "dresden".into(),
            bucket: "city".into(),
            token_file: Some(secret.path().into()),
        };
        let rig = Rig::start(config(&server.url(), api), entries(3));
        rig.caught_up().await;
        let request = server.seen().remove(0);
        assert_eq!(
            request.target,
            "/api/v2/write?bucket=city&org=dresden&precision=ms"
        );
        assert_eq!(request.header("authorization"), Some("Token geheim"));
        assert_eq!(request.header("content-encoding"), Some("gzip"));
        assert_eq!(devices(&server.stored()), BTreeSet::from([0, 1, 2]));
    }
}

#[tokio::test]
async fn an_overloaded_server_gets_the_same_lines_again_until_it_takes_them() {
    let busy = [408, 429, 500, 502, 503, 504].map(|status| Reply::Status(status, "busy"));
    for api in [v1(), v2()] {
        let server = MockServer::start(first(busy.to_vec())).await;
        let rig = Rig::start(config(&server.url(), api), entries(10));
        rig.caught_up().await;
        assert_eq!(server.stored().len(), 10);
        assert!(rig.dead().is_empty());
        let report = rig.report();
        assert_eq!((report.retries, report.requests), (6, 7));
        assert_eq!(report.status, SinkStatus::Ok);
        assert_eq!(report.last_error.as_deref(), Some("504: busy"));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_or_is_not_there_is_waited_for() {
    let server = MockServer::start(first(vec![Reply::Hang, Reply::Hang])).await;
    let impatient = InfluxConfig {
        timeout: Duration::from_millis(50),
        ..config(&server.url(), v1())
    };
    let rig = Rig::start(impatient, entries(10));
    rig.caught_up().await;
    assert_eq!((server.stored().len(), rig.report().retries), (10, 2));

    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let rig = Rig::start(config(&format!("http://{address}"), v2()), entries(10));
    until(|| rig.report().retries > 3).await;
    assert_eq!(
        (rig.position(), rig.report().status),
        (0, SinkStatus::Retrying)
    );
    rig.push(entries(5));
    let server = MockServer::start_on(address, first(vec![])).await;
    rig.caught_up().await;
    assert_eq!(server.stored().len(), 15);
}

#[tokio::test]
async fn a_server_that_asks_for_a_pause_gets_it() {
    let server = MockServer::start(first(vec![Reply::Header(429, "retry-after: 1")])).await;
    let start = Instant::now();
    let rig = Rig::start(config(&server.url(), v1()), entries(1));
    rig.caught_up().await;
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn one_poison_line_dies_alone_and_the_rest_arrives() {
    for status in [400, 422] {
        let server = MockServer::start(refusing(status, &[3_217])).await;
        let rig = Rig::start(config(&server.url(), v1()), entries(5_000));
        rig.caught_up().await;
        let dead = rig.dead();
        assert_eq!(dead.len(), 1);
        assert_eq!(device(&dead[0].line), 3_217);
        assert!(
            dead[0].reason.contains("field type conflict"),
            "{}",
            dead[0].reason
        );
        assert_eq!(devices(&server.stored()).len(), 4_999);
        assert!(server.writes() <= 30, "{} requests", server.writes());
        assert_eq!((rig.report().dead_letters, rig.report().lines), (1, 4_999));
    }
}

#[tokio::test]
async fn many_poison_lines_cost_64_requests_and_what_is_left_is_parked() {
    let poison: Vec<usize> = (0..5_000).step_by(487).collect();
    let server = MockServer::start(refusing(400, &poison)).await;
    let rig = Rig::start(config(&server.url(), v2()), entries(5_000));
    rig.caught_up().await;
    assert_eq!(server.writes(), 64);
    let (dead, stored) = (rig.dead(), devices(&server.stored()));
    let buried = devices(dead.iter().map(|letter| &letter.line));
    assert!(poison.iter().all(|n| buried.contains(n)));
    assert!(buried.is_disjoint(&stored));
    assert_eq!(buried.len() + stored.len(), 5_000);
    assert!(stored.len() > 3_500, "only {} arrived", stored.len());
    assert!(
        dead.iter()
            .any(|letter| letter.reason.starts_with("parked with "))
    );

    rig.push(entries(1));
    rig.caught_up().await;
    assert_eq!(server.writes(), 65, "the next batch is as any other");
}

#[tokio::test]
async fn an_outage_while_lines_are_told_apart_buries_nothing_more() {
    let mut refuse = refusing(400, &[70]);
    let mut count = 0;
    let server = MockServer::start(move |request| {
        count += 1;
        if (3..200).contains(&count) {
            Reply::Status(503, "later")
        } else {
            refuse(request)
        }
    })
    .await;
    let rig = Rig::start(config(&server.url(), v1()), entries(100));
    rig.caught_up().await;
    assert_eq!(rig.dead().len(), 1);
    assert_eq!(server.stored().len(), 99);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_halved_and_a_line_that_is_too_large_dies() {
    let server = MockServer::start(|request| match request.lines().count() {
        1 if request.body.contains("device=d77 ") => Reply::Status(413, "too large"),
        0..=100 if !request.body.contains("device=d77 ") => DONE,
        _ => Reply::Status(413, "too large"),
    })
    .await;
    let rig = Rig::start(config(&server.url(), v1()), entries(1_000));
    rig.caught_up().await;
    let dead = rig.dead();
    assert_eq!((dead.len(), device(&dead[0].line)), (1, 77));
    assert_eq!(devices(&server.stored()).len(), 999);
}

#[tokio::test]
async fn after_a_413_the_next_batches_are_smaller_from_the_start() {
    let server = MockServer::start(|request| match request.lines().count() {
        0..=100 => DONE,
        _ => Reply::Status(413, "too large"),
    })
    .await;
    let config = InfluxConfig {
        batch_lines: 400,
        ..config(&server.url(), v1())
    };
    let rig = Rig::start(config, entries(20_000));
    rig.caught_up().await;
    assert_eq!(server.stored().len(), 20_000);
    let refused = server.writes()
        - server
            .seen()
            .iter()
            .filter(|r| r.lines().count() <= 100)
            .count();
    assert!(
        refused * 3 < server.writes(),
        "{refused} of {} were too large",
        server.writes()
    );
}

#[tokio::test]
async fn a_wrong_login_keeps_every_line_and_a_new_token_is_read_from_its_file() {
    for (status, v2) in [(401, true), (403, true), (401, false), (403, false)] {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "old").unwrap();
        let server = MockServer::start(move |request| match request.header("authorization") {
            Some("Token new" | "Basic cTpuZXc=") => DONE,
            _ => Reply::Status(status, "unauthorized"),
        })
        .await;
        let file = Some(secret.path().to_path_buf());
        let api = if v2 {
            InfluxApi::V2 {
                org: "o".into(),
                bucket: "b".into(),
                token_file: file,
            }
        } else {
            InfluxApi::V1 {
                database: "b".into(),
                user: Some("q".into()),
                password_file: file,
            }
        };
        let rig = Rig::start(config(&server.url(), api), entries(10));
        rig.has_status(SinkStatus::Misconfigured).await;
        until(|| server.writes() > 3).await;
        assert_eq!(
            (rig.position(), rig.dead().len(), server.stored().len()),
            (0, 0, 0)
        );

        std::fs::write(secret.path(), "new").unwrap();
        rig.caught_up().await;
        assert_eq!((server.stored().len(), rig.dead().len()), (10, 0));
        assert_eq!(rig.report().status, SinkStatus::Ok);
    }
}

#[tokio::test]
async fn a_missing_database_a_redirection_or_a_wrong_path_keeps_every_line() {
    let faults = vec![
        Reply::Status(404, "{\"error\":\"database not found: \\\"city\\\"\"}"),
        Reply::Header(302, "location: /login"),
        Reply::Status(405, "method not allowed"),
    ];
    let server = MockServer::start(first(faults)).await;
    let rig = Rig::start(config(&server.url(), v1()), entries(10));
    rig.caught_up().await;
    assert_eq!((server.stored().len(), rig.dead().len()), (10, 0));
    assert!(
        server.seen().iter().all(Request::is_write),
        "the redirection was followed"
    );
}

#[tokio::test]
async fn a_server_that_is_misconfigured_is_asked_slowly() {
    let server = MockServer::start(|_| Reply::Status(404, "bucket not found")).await;
    let slow = InfluxConfig {
        retry_misconfigured: Duration::from_secs(3_600),
        ..config(&server.url(), v1())
    };
    let rig = Rig::start(slow, entries(10));
    rig.has_status(SinkStatus::Misconfigured).await;
    assert_eq!(server.writes(), 1);
    rig.shut_down();
    let (_, position) = rig.ended().await;
    assert_eq!((position, server.writes()), (0, 1));
}

#[tokio::test]
async fn a_missing_bucket_is_created_where_the_token_may() {
    let mut created = false;
    let server = MockServer::start(move |request| match request.target.as_str() {
        "/api/v2/orgs?org=dresden" => Reply::Status(
            200,
            r#"{"orgs":[{"id":"0a1b2c3d4e5f6071","name":"dresden"}]}"#,
        ),
        "/api/v2/buckets" => {
            assert!(
                request
                    .body
                    .contains(r#""orgID":"0a1b2c3d4e5f6071","name":"city""#)
            );
            created = true;
            Reply::Status(201, "{}")
        }
        _ if created => DONE,
        _ => Reply::Status(
            404,
            r#"{"code":"not found","message":"bucket \"city\" not found"}"#,
        ),
    })
    .await;
    let slow = InfluxConfig {
        retry_misconfigured: Duration::from_secs(3_600),
        ..config(&server.url(), v2())
    };
    let rig = Rig::start(slow, entries(10));
    rig.caught_up().await;
    assert_eq!(server.stored().len(), 10);
}

#[tokio::test]
async fn a_line_that_breaks_a_healthy_server_dies_alone() {
    let server = MockServer::start(refusing(500, &[33])).await;
    let rig = Rig::start(config(&server.url(), v1()), entries(1_000));
    rig.caught_up().await;
    let dead = rig.dead();
    assert_eq!((dead.len(), device(&dead[0].line)), (1, 33));
    assert_eq!(devices(&server.stored()).len(), 999);
}

#[tokio::test]
async fn a_server_that_breaks_on_everything_costs_no_line() {
    for ping in [503, 204] {
        let mut writes = 0;
        let server = MockServer::start(move |request| {
            if request.target == "/ping" {
                return Reply::Status(ping, "");
            }
            writes += 1;
            if writes <= 150 {
                Reply::Status(500, "no space left on device")
            } else {
                DONE
            }
        })
        .await;
        let rig = Rig::start(config(&server.url(), v1()), entries(100));
        rig.caught_up().await;
        assert_eq!(
            (rig.dead().len(), devices(&server.stored()).len()),
            (0, 100),
            "ping {ping}"
        );
    }
}

#[tokio::test]
async fn a_single_line_that_breaks_the_server_dies_when_another_is_taken() {
    let server = MockServer::start(refusing(500, &[0])).await;
    let rig = Rig::start(config(&server.url(), v1()), entries(1));
    until(|| rig.report().retries > 5).await;
    assert_eq!((rig.position(), rig.dead().len()), (0, 0));
    let other = Sample::of("d1", "no2", 1.0, super::rig::EPOCH + 5);
    rig.push(vec![vec![other]]);
    rig.caught_up().await;
    assert_eq!(
        (rig.dead().len(), devices(&server.stored())),
        (1, BTreeSet::from([1]))
    );
}

#[tokio::test]
async fn a_ledger_or_journal_that_fails_for_a_while_loses_nothing() {
    let server = MockServer::start(first(vec![])).await;
    let rig = Rig::start_with_faults(config(&server.url(), v1()), entries(10), 5);
    rig.caught_up().await;
    assert_eq!(devices(&server.stored()).len(), 10);
    assert_eq!(rig.report().status, SinkStatus::Ok);
    assert!(
        rig.report()
            .last_error
            .unwrap()
            .contains("the disk is full")
    );
}

#[tokio::test]
async fn entries_without_lines_move_the_cursor_and_send_nothing() {
    let server = MockServer::start(first(vec![])).await;
    let nan = Sample::of("d1", "no2", f64::NAN, 0);
    let rig = Rig::start(config(&server.url(), v1()), vec![vec![], vec![nan], vec![]]);
    rig.caught_up().await;
    assert_eq!((server.writes(), rig.report().skipped), (0, 1));
}
