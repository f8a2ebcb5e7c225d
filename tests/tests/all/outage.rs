//! InfluxDB away, and points it refuses: nobody waits for it, and nothing is lost.

use std::time::Duration;

use quartier_tests::{
    Client, ConnectOptions, Influx1, Load, LoadOptions, Node, NodeConfig, STEP_MS, Sent, eventually,
};

fn expected(sent: &[Sent]) -> Vec<(String, u64, f64)> {
    let one = |sent: &Sent| {
        let n = sent.acknowledged;
        (sent.asset.clone(), n, (n * n.saturating_sub(1) / 2) as f64)
    };
    sent.iter().map(one).collect()
}

#[test]
fn influxdb_down_for_a_whole_load_delays_no_device_and_misses_no_reading() {
    let Some(mut influx) = Influx1::prepare() else {
        return;
    };
    let node = Node::start(NodeConfig::of("johannstadt").influx(influx.config()));
    let options = LoadOptions {
        most: 5000,
        ..LoadOptions::new("johannstadt", 4)
    };
    // All of it is acknowledged while the database is down.
    let sent = Load::start(node.mqtt(), &options).finish(Duration::from_secs(120));
    assert_eq!(sent.iter().map(|one| one.acknowledged).sum::<u64>(), 20_000);
    node.settle();
    for one in &sent {
        assert_eq!(
            node.value(&one.asset, "uptime"),
            Some((4999.0, 5000)),
            "{}",
            one.asset
        );
    }
    assert!(
        node.figure("quartier_influx_lag_entries") > 0.0,
        "nothing can have arrived"
    );
    let ready = node.json("/readyz");
    assert_eq!(
        ready["ready"], true,
        "an output that is down does not make the node unready"
    );
    influx.up();
    node.delivered(Duration::from_secs(120));
    assert_eq!(
        influx.counts("device", "uptime"),
        expected(&sent),
        "device, count, sum"
    );
}

#[test]
fn influxdb_away_in_the_middle_and_a_restart_of_the_node_miss_no_reading() {
    let Some(mut influx) = Influx1::start() else {
        return;
    };
    let mut node = Node::start(NodeConfig::of("johannstadt").influx(influx.config()));
    let load = Load::start(node.mqtt(), &LoadOptions::new("johannstadt", 2));
    let goes_on = |load: &Load| {
        let before = load.total();
        eventually("the load goes on", Duration::from_secs(30), || {
            if load.total() > before + 1000 {
                Ok(())
            } else {
                Err(load.total().to_string())
            }
        });
    };
    goes_on(&load);
    influx.down();
    goes_on(&load);
    node.kill9();
    node.restart();
    goes_on(&load);
    influx.up();
    goes_on(&load);
    let sent = load.finish(Duration::from_secs(60));
    node.delivered(Duration::from_secs(120));
    assert_eq!(
        influx.counts("device", "uptime"),
        expected(&sent),
        "device, count, sum"
    );
}

#[test]
fn poison_lines_go_to_the_dead_letters_and_the_rest_arrives() {
    let Some(influx) = Influx1::start() else {
        return;
    };
    // The field exists as text in the shard of the readings, so numbers for it are refused there.
    let time = quartier_tests::EPOCH_MS;
    influx.write(&format!("device,device=old battery_level=\"full\" {time}"));
    let node = Node::start(NodeConfig::of("johannstadt").influx(influx.config()));
    let good = LoadOptions {
        most: 2000,
        ..LoadOptions::new("johannstadt", 2)
    };
    let load = Load::start(node.mqtt(), &good);
    // A client of its own: one with the identifier of a device of the load would take that over,
    // and both would send again what was not acknowledged.
    let (mut poison, _) = Client::connect(node.mqtt(), &ConnectOptions::new("poison")).unwrap();
    for (value, time) in [(0, time), (1, time + STEP_MS), (2, time + 2 * STEP_MS)] {
        let seconds = time as f64 / 1000.0;
        let payload = format!("{{\"value\":{value},\"time\":{seconds}}}");
        let topic = "dt/johannstadt/device-0/battery_level";
        poison.publish_all(&[(topic, &payload)]).unwrap();
    }
    let sent = load.finish(Duration::from_secs(60));
    node.delivered(Duration::from_secs(120));
    assert_eq!(
        influx.counts("device", "uptime"),
        expected(&sent),
        "device, count, sum"
    );
    let letters = node.json("/api/v1/dead-letters?limit=1000");
    let letters = letters["dead_letters"].as_array().unwrap();
    assert_eq!(letters.len(), 3, "{letters:#?}");
    for letter in letters {
        assert!(
            letter["payload"]
                .as_str()
                .unwrap()
                .contains("battery_level"),
            "{letter}"
        );
        assert!(
            letter["detail"].as_str().unwrap().contains("type"),
            "{letter}"
        );
    }
}
