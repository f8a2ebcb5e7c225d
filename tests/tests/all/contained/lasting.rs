//! What stays over restarts, and a plugin that is far too slow.

use quartier_plugin_host::QUARANTINE;
use quartier_tests::{Client, ConnectOptions, EPOCH_MS, eventually};
use serde_json::Value;

use super::{City, HOSTILE, PATIENCE, POISON, connect, eventually_alerts};

#[test]
fn a_plugin_in_quarantine_stays_there_over_restarts_until_another_version_comes() {
    let Some(mut city) = City::new() else { return };
    city.deploys(&city.hostile(&[]), "trap");
    city.hostile_reads(1.0);
    for _ in 0..QUARANTINE {
        city.hostile_reads(POISON);
    }
    city.is(HOSTILE, "hostile", "quarantined");
    let alerts = eventually_alerts(&city);
    for end in ["kill -9", "SIGTERM"] {
        match end {
            "kill -9" => city.node.kill9(),
            _ => assert!(city.node.terminate().success()),
        }
        city.node.restart();
        city.device = connect(&city.node);
        city.is(HOSTILE, "hostile", "quarantined");
        assert_eq!(
            city.figure("quartier_plugin_quarantined"),
            1.0,
            "after {end}"
        );
        city.hostile_reads(1.0);
        city.good_goes_on();
        assert_eq!(city.quarantine_alerts(), alerts, "after {end}");
        let failed = city.decisions("&failed=true");
        assert_eq!(failed.len(), QUARANTINE as usize, "after {end}: {failed:?}");
    }
    let next = city.hostile(&[("version = \"1.0.0\"", "version = \"1.1.0\"")]);
    city.deploys(&next, "good");
    assert_eq!(city.quarantine_alerts(), [] as [Value; 0]);
    assert_eq!(city.figure("quartier_plugin_quarantined"), 0.0);
    city.hostile_reads(2.0);
    eventually(
        "it counts on from its last good state",
        PATIENCE,
        || match city.node.value("box-1", "seen") {
            Some((2.0, 2)) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    city.good_goes_on();
}

#[test]
fn a_plugin_that_traps_over_its_own_state_keeps_no_node_from_starting() {
    let Some(mut city) = City::new() else { return };
    city.deploys(&city.hostile(&[]), "restore");
    city.hostile_reads(1.0);
    city.good_goes_on();
    assert!(city.node.terminate().success());
    city.node.restart();
    city.device = connect(&city.node);
    city.good_goes_on();
    for _ in 0..QUARANTINE {
        city.hostile_reads(1.0);
        city.good_goes_on();
    }
    city.is(HOSTILE, "hostile", "quarantined");
    let alerts = eventually_alerts(&city);
    assert!(
        alerts[0]["text"]
            .as_str()
            .unwrap()
            .contains("restore: trap"),
        "{alerts:?}"
    );
}

/// Rows that may wait for one plugin; see the node's engine.
const MOST_WAITING: u64 = 1 << 20;

#[test]
fn a_plugin_that_is_far_too_slow_is_parked_and_the_others_do_not_wait_for_it() {
    let Some(mut city) = City::new() else { return };
    let slow = city.hostile(&[
        (
            "fuel_per_batch = 20_000_000",
            "fuel_per_batch = 9_000_000_000_000_000",
        ),
        ("deadline_ms = 500", "deadline_ms = 60_000"),
    ]);
    city.deploys(&slow, "loop");
    city.hostile_reads(POISON);
    // It loops until its deadline; meanwhile more readings come than may wait for it.
    let mut crowd = Client::connect(city.node.mqtt(), &ConnectOptions::new("crowd"))
        .unwrap()
        .0;
    const PACK: u64 = 1000;
    let start = EPOCH_MS / 1000 + 86_400;
    for pack in 0..=MOST_WAITING / PACK {
        let records: Vec<String> = (0..PACK)
            .map(|n| {
                format!(
                    "{{\"bt\":{},\"n\":\"active_power\",\"v\":1}}",
                    start + pack * PACK + n
                )
            })
            .collect();
        let payload = format!("[{}]", records.join(","));
        crowd
            .publish_all(&[("dt/johannstadt/box-3", &payload)])
            .unwrap();
        if pack % 200 == 0 {
            city.good_goes_on();
        }
    }
    city.is(HOSTILE, "hostile", "parked");
    city.good_goes_on();
    let behind = city.node.json("/readyz");
    assert!(behind["ready"] == true, "{behind}");
}
