//! A box and its city over bad links. For each: all readings arrive once and in order, and the
//! states of the two for the quarter are equal byte for byte at the same position.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quartier_tests::{
    CITY, City, Conditions, Load, LoadOptions, Net, Node, NodeConfig, Process, Side, Way, counters,
    eventually, pause, run,
};

const BOX: &str = "box-1";
const DEVICES: usize = 4;
/// Readings of a device; with [`IN_FLIGHT`] and the journal's pace the load takes ten seconds.
const READINGS: u64 = 800;
const IN_FLIGHT: usize = 20;
/// How long a bad condition lasts.
const TROUBLE: Duration = Duration::from_secs(8);
const WAIT: Duration = Duration::from_secs(120);

/// A city and a box in two namespaces, connected.
struct Rig {
    net: Arc<Net>,
    city: City,
    edge: Node,
}

impl Rig {
    fn new() -> Option<Self> {
        Some(Self::within(Net::new()?))
    }

    fn within(net: Net) -> Self {
        let net = Arc::new(net);
        let city = City::start(
            NodeConfig {
                inside: Some((Arc::clone(&net), Side::City)),
                ..NodeConfig::of("johannstadt")
            },
            SocketAddr::from((CITY, 8883)),
        );
        let identity = city.enrol(BOX, "johannstadt");
        let edge = Node::start(NodeConfig {
            inside: Some((Arc::clone(&net), Side::Box)),
            ..identity.config()
        });
        let rig = Self { net, city, edge };
        rig.connected();
        rig
    }

    fn has_lost_its_city(&self) {
        eventually(
            "the box sees that it has lost its city",
            WAIT,
            || match self.is_connected() {
                true => Err("connected".to_owned()),
                false => Ok(()),
            },
        );
    }

    fn is_connected(&self) -> bool {
        self.edge.figure("quartier_uplink_connected") == 1.0
    }

    fn connected(&self) {
        eventually("the box is connected", WAIT, || match self.is_connected() {
            true => Ok(()),
            false => Err(self.edge.json("/readyz").to_string()),
        });
    }

    fn load(&self) -> Load {
        let options = LoadOptions {
            in_flight: IN_FLIGHT,
            most: READINGS,
            ..LoadOptions::new("johannstadt", DEVICES)
        };
        Load::start(self.edge.mqtt(), &options)
    }

    /// All of the load is at the city, once and in order, and box and replica are the same.
    fn assert_arrived(&self, load: Load) {
        let sent = load.finish(WAIT);
        let all = DEVICES as u64 * READINGS;
        eventually("the city has all", WAIT, || {
            let edge = self.city.edge(BOX);
            match edge["readings"].as_u64() >= Some(all) && edge["behind"] == 0 {
                true => Ok(()),
                false => Err(format!("{edge:#}")),
            }
        });
        let edge = self.city.edge(BOX);
        assert_eq!(edge["readings"], all, "each once: {edge:#}");
        let position = edge["position"].as_u64().unwrap();
        assert_eq!(edge["lost"], serde_json::json!([]), "{edge:#}");
        assert_eq!(edge["refused"], 0, "{edge:#}");
        self.city.node.settle();
        let found = counters(self.city.node.mqtt(), "uptime", |f| f.len() == DEVICES);
        for one in &sent {
            let newest = (READINGS - 1) as f64;
            assert_eq!(
                found.get(&one.asset),
                Some(&(newest, READINGS)),
                "{}",
                one.asset
            );
        }
        self.city.is_equal(BOX, position, WAIT);
        self.city.has_same_past(BOX, &self.edge, WAIT);
        // Figures are taken once a second, and the proof has taken longer.
        for wrong in ["out_of_order", "corrected", "late"] {
            let figure = self.city.node.figure(&format!("quartier_twin_{wrong}"));
            assert_eq!(figure, 0.0, "{wrong} at the city");
        }
        for node in [&self.edge, &self.city.node] {
            assert!(!node.log().contains("panicked"), "{}", node.log());
        }
    }

    fn lost(&self, way: Way) -> u64 {
        self.net.packets(way).1
    }
}

/// With the link as given all the time.
fn over(conditions: Conditions) -> Option<Rig> {
    let rig = Rig::new()?;
    rig.net.set_both(conditions);
    let load = rig.load();
    rig.assert_arrived(load);
    Some(rig)
}

/// With the link cut in these directions while the load runs.
fn with_cut(ways: &[Way]) {
    let Some(rig) = Rig::new() else { return };
    let load = rig.load();
    pause(Duration::from_secs(1));
    for way in ways {
        rig.net.set(*way, Conditions::cut());
    }
    pause(TROUBLE);
    for way in ways {
        assert!(rig.lost(*way) > 0, "nothing was cut");
        rig.net.set(*way, Conditions::default());
    }
    rig.assert_arrived(load);
}

/// What the tests below rest on: a program in one namespace meets what the link is told to do.
#[test]
fn the_link_delays_loses_slows_and_cuts_as_it_is_told() {
    let Some(net) = Net::new() else { return };
    let mut echo = net.command(Side::City, Path::new("python3"));
    echo.args(["-c", ECHO]);
    let echo = Process::start(&mut echo);
    let listens = echo.stdout_has(WAIT, |lines| (!lines.is_empty()).then_some(()));
    assert!(listens.is_some(), "{:?}", echo.stderr());
    // Share of 200 datagrams that came back, their mean time and the time of all, seconds.
    let probe = || {
        let mut probe = net.command(Side::Box, Path::new("python3"));
        probe.args(["-c", PROBE]);
        let done = run(&mut probe, WAIT);
        let figures = serde_json::from_str::<(f64, f64, f64)>(&done.stdout);
        figures.unwrap_or_else(|_| panic!("{done:?}"))
    };
    let (back, mean, _) = probe();
    assert!(back == 1.0 && mean < 0.1, "{back} {mean}");
    let mut up = Conditions {
        delay_ms: 200,
        ..Conditions::default()
    };
    net.set(Way::Up, up);
    let (back, mean, _) = probe();
    assert!(back == 1.0 && (0.2..0.3).contains(&mean), "{back} {mean}");
    up = Conditions {
        loss: 0.3,
        ..Conditions::default()
    };
    net.set(Way::Up, up);
    let (back, ..) = probe();
    assert!((0.5..0.9).contains(&back), "{back}");
    // 200 datagrams of 128 bytes with their headers are 204,800 bits.
    up = Conditions {
        rate_bits: 204_800,
        ..Conditions::default()
    };
    net.set(Way::Up, up);
    let (back, _, time) = probe();
    assert!(back == 1.0 && (0.9..2.0).contains(&time), "{back} {time}");
    for way in [Way::Up, Way::Down] {
        net.set_both(Conditions::default());
        net.set(way, Conditions::cut());
        let (back, ..) = probe();
        assert_eq!(back, 0.0, "{way:?}");
    }
    net.set_both(Conditions::default());
    net.move_box([10, 77, 0, 3].into());
    let (back, ..) = probe();
    assert_eq!(back, 1.0, "from the new address");
}

const ECHO: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.77.0.1', 9000))
print('listens', flush=True)
while True:
    data, sender = s.recvfrom(2000)
    s.sendto(data, sender)
";

const PROBE: &str = "
import json, socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1.5)
began, times = time.monotonic(), []
for n in range(200):
    s.sendto(struct.pack('d92x', time.monotonic()), ('10.77.0.1', 9000))
try:
    while len(times) < 200:
        data, _ = s.recvfrom(2000)
        times.append(time.monotonic() - struct.unpack_from('d', data)[0])
except TimeoutError:
    pass
mean = sum(times) / len(times) if times else 0.0
print(json.dumps([len(times) / 200, mean, time.monotonic() - began]))
";

#[test]
fn over_a_delay_of_300_ms_all_arrives_once_and_both_are_equal() {
    over(Conditions {
        delay_ms: 150,
        jitter_ms: 20,
        ..Conditions::default()
    });
}

#[test]
fn with_5_percent_loss_all_arrives_once_and_both_are_equal() {
    let rig = over(Conditions {
        delay_ms: 10,
        loss: 0.05,
        ..Conditions::default()
    });
    let Some(rig) = rig else { return };
    assert!(rig.lost(Way::Up) > 0 && rig.lost(Way::Down) > 0);
}

#[test]
fn over_64_kbit_s_all_arrives_once_and_both_are_equal() {
    over(Conditions {
        delay_ms: 30,
        rate_bits: 64_000,
        ..Conditions::default()
    });
}

#[test]
fn over_a_link_that_flaps_every_2_s_all_arrives_once_and_both_are_equal() {
    let Some(rig) = Rig::new() else { return };
    let load = rig.load();
    for _ in 0..3 {
        pause(Duration::from_secs(2));
        rig.net.set_both(Conditions::cut());
        pause(Duration::from_secs(2));
        rig.net.set_both(Conditions::default());
    }
    assert!(rig.lost(Way::Up) > 0, "nothing was cut");
    rig.assert_arrived(load);
}

#[test]
fn after_a_cut_of_the_way_up_only_all_arrives_once_and_both_are_equal() {
    with_cut(&[Way::Up]);
}

#[test]
fn after_a_cut_of_the_way_down_only_all_arrives_once_and_both_are_equal() {
    with_cut(&[Way::Down]);
}

#[test]
fn after_the_box_has_another_address_all_arrives_once_and_both_are_equal() {
    let Some(rig) = Rig::new() else { return };
    let load = rig.load();
    pause(Duration::from_secs(2));
    rig.net.move_box([10, 77, 0, 3].into());
    rig.has_lost_its_city();
    rig.connected();
    rig.assert_arrived(load);
}

#[test]
fn after_a_cut_in_which_the_box_cannot_even_write_all_arrives_once_and_both_are_equal() {
    let Some(net) = Net::new() else { return };
    // A large backlog does that to buffers of a usual size: they are full, and a write waits.
    net.sysctl(Side::Box, "net/ipv4/tcp_wmem", "4096 4096 4096");
    let rig = Rig::within(net);
    rig.net.set_both(Conditions::cut());
    let load = rig.load();
    rig.has_lost_its_city();
    eventually("there is a backlog", WAIT, || match load.total() {
        total if total == DEVICES as u64 * READINGS => Ok(()),
        total => Err(total.to_string()),
    });
    rig.net.set_both(Conditions {
        rate_bits: 64_000,
        ..Conditions::default()
    });
    rig.connected();
    pause(Duration::from_secs(1));
    rig.net.set_both(Conditions::cut());
    rig.has_lost_its_city();
    rig.net.set_both(Conditions::default());
    rig.assert_arrived(load);
}
