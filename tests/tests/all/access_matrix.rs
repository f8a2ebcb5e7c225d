//! Who may do what: users of every role x topics x actions, against one node with real
//! connections. Each case looks at the answer and at what the others see.
//!
//! What is expected is written out by hand, not derived from the rules of the program.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use quartier_tests::{Client, ConnectOptions, Node, NodeConfig, Packet, Version, publish_packet};

/// argon2id of [`PASSWORD`], with little memory: hashing is not what is tested here.
const HASH: &str = "$argon2id$v=19$m=1024,t=1,p=1$k3nrGhXaX4JQf6NtBz1V8w$lKo3uZWTrsJWrGG+fpvunAbgbnkZwyPyTnpRMn5A/3g";
const PASSWORD: &str = "correct horse";
const PATIENCE: Duration = Duration::from_secs(30);
/// Denied, MQTT 5 and 3.1.1.
const NOT_AUTHORIZED: u8 = 0x87;
const FAILURE: u8 = 0x80;
const REFUSED_V4: u8 = 5;

/// A user and the topics of [`TOPICS`] that it may use.
struct User {
    name: &'static str,
    /// Lines of its `[[mqtt.user]]`.
    lines: &'static str,
    publish: &'static [&'static str],
    subscribe: &'static [&'static str],
}

const TOPICS: [&str; 28] = [
    "dt/a/m1",
    "dt/a/m1/uptime",
    "dt/a/m1/x/y",
    "dt/a/m2/uptime",
    "dt/b/m1/uptime",
    "cmd/v1/a/m1",
    "cmd/v1/a/m2",
    "cmd/v1/b/m1",
    "twin/v1/a/energy/m1/active_power",
    "twin/v1/a/environment/m1/temperature",
    "twin/v1/b/energy/m1/active_power",
    "personal/v1/a/energy/h1/household_power",
    "decision/v1/a/energy",
    "decision/v1/a/health",
    "decision/v1/b/energy",
    "alert/v1/a/air/m1",
    "alert/v1/b/air/m1",
    "area/v1/861e3aaffffffff/1/2/3/4/energy/m1/active_power",
    "cell/v1/8/881e3aab01fffff/energy/active_power",
    "uplink/v1/edge-1",
    "uplink/v1/edge-1/news",
    "uplink/v1/edge-2",
    "downlink/v1/edge-1/cursor",
    "downlink/v1/edge-2/cursor",
    "node/v1/edge-1/status",
    "node/v1/edge-2/status",
    "free/m1",
    "/dt/a/m1",
];

const USERS: [User; 10] = [
    User {
        name: "m1",
        lines: "roles = [\"device\"]\nquarters = [\"a\"]",
        publish: &["dt/a/m1", "dt/a/m1/uptime"],
        subscribe: &["cmd/v1/a/m1"],
    },
    User {
        name: "gateway",
        lines: "roles = [\"device\"]\nassets = [\"m1\", \"m2\"]",
        publish: &[
            "dt/a/m1",
            "dt/a/m1/uptime",
            "dt/a/m2/uptime",
            "dt/b/m1/uptime",
        ],
        subscribe: &["cmd/v1/a/m1", "cmd/v1/a/m2", "cmd/v1/b/m1"],
    },
    User {
        name: "grid",
        lines: "roles = [\"utility\"]\nquarters = [\"a\"]",
        publish: &[],
        subscribe: &["twin/v1/a/energy/m1/active_power", "decision/v1/a/energy"],
    },
    User {
        name: "grid-of-all",
        lines: "roles = [\"utility\"]",
        publish: &[],
        subscribe: &[
            "twin/v1/a/energy/m1/active_power",
            "twin/v1/b/energy/m1/active_power",
            "decision/v1/a/energy",
            "decision/v1/b/energy",
        ],
    },
    User {
        name: "lab",
        lines: "roles = [\"lab\"]\nquarters = [\"a\"]",
        publish: &[],
        subscribe: &[
            "twin/v1/a/energy/m1/active_power",
            "twin/v1/a/environment/m1/temperature",
            "decision/v1/a/energy",
            "decision/v1/a/health",
            "alert/v1/a/air/m1",
            "cell/v1/8/881e3aab01fffff/energy/active_power",
            "node/v1/edge-1/status",
            "node/v1/edge-2/status",
        ],
    },
    User {
        name: "map",
        lines: "roles = [\"dashboard\"]\nquarters = [\"a\"]",
        publish: &[],
        subscribe: &[
            "twin/v1/a/energy/m1/active_power",
            "twin/v1/a/environment/m1/temperature",
            "alert/v1/a/air/m1",
            "area/v1/861e3aaffffffff/1/2/3/4/energy/m1/active_power",
            "cell/v1/8/881e3aab01fffff/energy/active_power",
            "node/v1/edge-1/status",
            "node/v1/edge-2/status",
        ],
    },
    User {
        name: "edge-1",
        lines: "roles = [\"edge\"]\nquarters = [\"a\"]",
        publish: &[
            "uplink/v1/edge-1",
            "uplink/v1/edge-1/news",
            "node/v1/edge-1/status",
        ],
        subscribe: &["downlink/v1/edge-1/cursor"],
    },
    // Names and identifiers that are filters: they widen nothing.
    User {
        name: "+",
        lines: "roles = [\"device\", \"edge\"]\nquarters = [\"b\"]",
        publish: &[],
        subscribe: &[],
    },
    User {
        name: "#",
        lines: "roles = [\"device\"]",
        publish: &[],
        subscribe: &[],
    },
    User {
        name: "m1/#",
        lines: "roles = []\nquarters = []",
        publish: &["free/m1"],
        subscribe: &["personal/v1/a/energy/h1/household_power"],
    },
];

const RULES: &str = "[[mqtt.acl]]\nuser = \"m1/#\"\npublish = [\"free/m1\", \"dt/{quarter}/m1\", \
    \"dt/a/{user}\"]\nsubscribe = [\"personal/v1/+/energy/#\", \"{client}/#\"]\n";

fn node() -> Node {
    let user = |name: &str, lines: &str| {
        format!("[[mqtt.user]]\nname = \"{name}\"\npassword_hash = \"{HASH}\"\n{lines}\n")
    };
    let users: String = USERS.iter().map(|u| user(u.name, u.lines)).collect();
    let boss = user("boss", "roles = [\"operator\"]");
    Node::start(NodeConfig {
        anonymous: "none".to_owned(),
        quarters: vec![("a".to_owned(), None), ("b".to_owned(), None)],
        mqtt: format!("{users}{boss}{RULES}"),
        ..NodeConfig::default()
    })
}

fn options<'a>(id: &'a str, user: &'a str, version: Version) -> ConnectOptions<'a> {
    let options = ConnectOptions::new(id).login(user, PASSWORD);
    ConnectOptions { version, ..options }
}

fn connect(node: &Node, id: &str, user: &str, version: Version) -> Client {
    let (client, code) = Client::connect(node.mqtt(), &options(id, user, version)).unwrap();
    assert_eq!(code, 0, "{user} {version:?}");
    client
}

/// The operator: sees everything that gets through.
struct Boss {
    client: Client,
    sent: u16,
}

impl Boss {
    fn new(node: &Node) -> Self {
        let mut client = connect(node, "boss", "boss", Version::V5);
        let (codes, _) = client.subscribe("#", 1).unwrap();
        assert_eq!(codes, [1]);
        Self { client, sent: 0 }
    }

    fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        self.sent += 1;
        let id = Some(self.sent);
        let mut packet = publish_packet(Version::V5, topic, payload.as_bytes(), id);
        packet[0] |= u8::from(retain);
        self.client.raw(&packet);
        self.client.flush().unwrap();
    }

    /// Payloads of publishes until all of `expected` are there; what else came is among them.
    fn sees(&mut self, expected: &BTreeSet<String>) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let end = Instant::now() + PATIENCE;
        while !expected.is_subset(&seen) {
            assert!(Instant::now() < end, "{:?} did not come", expected - &seen);
            seen.extend(self.next_payload(Duration::from_secs(1)));
        }
        seen
    }

    fn next_payload(&mut self, within: Duration) -> Option<String> {
        payload(&mut self.client, within)
    }
}

/// The payload of the next PUBLISH, acknowledged.
fn payload(client: &mut Client, within: Duration) -> Option<String> {
    match client.receive(within).unwrap()? {
        Packet::Publish { payload, id, .. } => {
            client.acknowledge(id);
            client.flush().unwrap();
            Some(String::from_utf8(payload).unwrap())
        }
        _ => None,
    }
}

#[test]
fn a_publish_gets_through_where_a_rule_allows_it_and_nowhere_else() {
    let node = node();
    let mut boss = Boss::new(&node);
    let (mut expected, mut number, mut cases) = (BTreeSet::new(), 1_000_000, 0);
    for user in &USERS {
        for version in [Version::V4, Version::V5] {
            let mut client = connect(&node, user.name, user.name, version);
            for topic in TOPICS {
                let allowed = user.publish.contains(&topic);
                for qos in [0, 1] {
                    number += 1;
                    cases += 1;
                    let text = number.to_string();
                    client.publish(topic, text.as_bytes(), (qos == 1).then_some(1), false);
                    if allowed {
                        expected.insert(text);
                    }
                }
                client.flush().unwrap();
                let reason = match client.receive(PATIENCE).unwrap() {
                    Some(Packet::PubAck(1, reason)) => reason,
                    other => panic!("{} {topic} {version:?}: {other:?}", user.name),
                };
                if allowed || version == Version::V4 {
                    assert!(
                        reason < 0x80,
                        "{} {topic} {version:?}: {reason:#x}",
                        user.name
                    );
                } else {
                    assert_eq!(reason, NOT_AUTHORIZED, "{} {topic}", user.name);
                }
            }
        }
    }
    boss.publish("free/last", "last", false);
    expected.insert("last".to_owned());
    let seen = boss.sees(&expected);
    let numbers = |set: &BTreeSet<String>| -> BTreeSet<String> {
        let is_number = |text: &&String| text.parse::<u32>().is_ok_and(|n| n > 1_000_000);
        set.iter().filter(is_number).cloned().collect()
    };
    assert_eq!(numbers(&seen), numbers(&expected));
    assert!(cases >= 1_000, "{cases}");
}

#[test]
fn a_will_is_taken_where_its_client_could_publish_and_nowhere_else() {
    let node = node();
    let mut boss = Boss::new(&node);
    let (mut expected, mut number) = (BTreeSet::new(), 2_000_000);
    for user in &USERS {
        for version in [Version::V4, Version::V5] {
            for topic in TOPICS {
                number += 1;
                let text = number.to_string();
                let id = format!("will of {}", user.name);
                let options = options(&id, user.name, version).will(topic, text.as_bytes());
                let (client, code) = Client::connect(node.mqtt(), &options).unwrap();
                let allowed = user.publish.contains(&topic);
                let wanted = match version {
                    _ if allowed => 0,
                    Version::V4 => REFUSED_V4,
                    Version::V5 => NOT_AUTHORIZED,
                };
                assert_eq!(code, wanted, "{} {topic} {version:?}", user.name);
                // Gone without a DISCONNECT.
                drop(client);
                if allowed {
                    expected.insert(text);
                    boss.sees(&expected);
                    expected.clear();
                }
            }
        }
    }
    boss.publish("free/last", "last", false);
    let seen = boss.sees(&BTreeSet::from(["last".to_owned()]));
    assert!(!seen.iter().any(|text| text.starts_with('2')), "{seen:?}");
}

/// A subscriber and the topics that it may read.
struct Reader {
    what: String,
    client: Client,
    topics: Vec<&'static str>,
}

#[test]
fn a_subscription_reads_where_a_rule_allows_it_and_nowhere_else() {
    let node = node();
    let mut boss = Boss::new(&node);
    // Retained messages of these are answered from the twin, and there is none.
    let kept = |topic: &str| {
        let of_twin = [
            "twin/",
            "personal/",
            "alert/",
            "cell/",
            "cmd/",
            "dt/",
            "uplink/",
            "downlink/",
        ];
        !of_twin.iter().any(|prefix| topic.starts_with(prefix))
    };
    for topic in TOPICS.iter().filter(|topic| kept(topic)) {
        boss.publish(topic, &format!("kept {topic}"), true);
    }
    let kept_messages: BTreeSet<_> = TOPICS
        .iter()
        .filter(|t| kept(t))
        .map(|t| format!("kept {t}"))
        .collect();
    boss.sees(&kept_messages);
    let mut readers = Vec::new();
    for user in &USERS {
        for version in [Version::V4, Version::V5] {
            for shared in [false, true] {
                let what = format!("{} {version:?} shared: {shared}", user.name);
                let mut client = connect(
                    &node,
                    &format!("reader-{}", readers.len()),
                    user.name,
                    version,
                );
                let mut retained = BTreeSet::new();
                for topic in TOPICS {
                    let filter = match shared {
                        true => format!("$share/group-{}/{topic}", readers.len()),
                        false => topic.to_owned(),
                    };
                    let (codes, before) = client.subscribe(&filter, 1).unwrap();
                    let wanted = match version {
                        _ if user.subscribe.contains(&topic) => 1,
                        Version::V4 => FAILURE,
                        Version::V5 => NOT_AUTHORIZED,
                    };
                    assert_eq!(codes, [wanted], "{what} {topic}");
                    for packet in before {
                        let Packet::Publish { topic, id, .. } = packet else {
                            continue;
                        };
                        client.acknowledge(id);
                        retained.insert(topic);
                    }
                }
                let topics = user.subscribe.to_vec();
                let wanted: BTreeSet<_> = topics
                    .iter()
                    .filter(|t| kept(t) && !shared)
                    .map(|t| (*t).to_owned())
                    .collect();
                let end = Instant::now() + PATIENCE;
                while !wanted.is_subset(&retained) && Instant::now() < end {
                    if let Some(text) = payload(&mut client, Duration::from_millis(100)) {
                        retained.insert(text.trim_start_matches("kept ").to_owned());
                    }
                }
                assert_eq!(retained, wanted, "{what}: retained");
                readers.push(Reader {
                    what,
                    client,
                    topics,
                });
            }
        }
    }
    for topic in TOPICS {
        boss.publish(topic, &format!("live {topic}"), false);
    }
    let live: BTreeSet<_> = TOPICS.iter().map(|topic| format!("live {topic}")).collect();
    boss.sees(&live);
    for reader in &mut readers {
        let wanted: BTreeSet<_> = reader.topics.iter().map(|t| format!("live {t}")).collect();
        let mut seen = BTreeSet::new();
        let end = Instant::now() + PATIENCE;
        while !wanted.is_subset(&seen) && Instant::now() < end {
            seen.extend(payload(&mut reader.client, Duration::from_millis(100)));
        }
        // What is answered now came behind everything that was there for this client.
        reader.client.raw(&[0xC0, 0]);
        reader.client.flush().unwrap();
        loop {
            match reader.client.receive(PATIENCE).unwrap() {
                Some(Packet::Publish { payload, .. }) => {
                    seen.insert(String::from_utf8(payload).unwrap());
                }
                Some(Packet::Other(0xD0, _)) => break,
                Some(_) => {}
                None => panic!("{}: no PINGRESP", reader.what),
            }
        }
        assert_eq!(seen, wanted, "{}", reader.what);
    }
}

#[test]
fn a_wildcard_is_granted_only_where_all_that_it_matches_is() {
    let node = node();
    for (user, filter, allowed) in [
        ("m1", "#", false),
        ("m1", "+/#", false),
        ("m1", "dt/a/m1", false),
        ("m1", "cmd/v1/a/+", false),
        ("m1", "cmd/v1/+/m1", false),
        ("m1", "cmd/v1/a/m1/#", false),
        ("m1", "cmd/#", false),
        ("m1", "$share/g/#", false),
        ("m1", "$share/g/cmd/v1/a/+", false),
        ("m1", "$SYS/#", false),
        ("m1", "$SYS/broker/uptime", false),
        ("gateway", "cmd/v1/+/m1", true),
        ("gateway", "cmd/v1/+/m2", true),
        ("gateway", "cmd/v1/a/+", false),
        ("gateway", "cmd/v1/+/+", false),
        ("grid", "twin/v1/a/energy/#", true),
        ("grid", "$share/g/twin/v1/a/energy/#", true),
        ("grid", "twin/v1/a/energy/+/active_power", true),
        ("grid", "twin/v1/a/energy", true),
        ("grid", "twin/v1/a/#", false),
        ("grid", "twin/v1/+/energy/#", false),
        ("grid", "twin/v1/a/+/m1/active_power", false),
        ("grid", "twin/#", false),
        ("grid", "$share/g/twin/#", false),
        ("grid", "personal/#", false),
        ("grid", "personal/v1/a/energy/#", false),
        ("grid", "area/#", false),
        ("grid", "cell/v1/#", false),
        ("grid-of-all", "twin/v1/+/energy/#", true),
        ("grid-of-all", "twin/v1/+/+/m1/active_power", false),
        ("grid-of-all", "personal/v1/+/energy/#", false),
        ("grid-of-all", "cell/v1/+/+/energy/#", false),
        ("lab", "twin/v1/a/#", true),
        ("lab", "cell/v1/#", true),
        ("lab", "node/v1/+/status", true),
        ("lab", "node/v1/#", false),
        ("lab", "alert/v1/a/#", true),
        ("lab", "alert/v1/#", false),
        ("lab", "area/v1/#", false),
        ("map", "area/v1/861e3aaffffffff/#", true),
        ("map", "decision/v1/a/#", false),
        ("map", "cmd/v1/a/#", false),
        ("edge-1", "cmd/v1/a/#", false),
        ("edge-1", "uplink/v1/edge-1/#", false),
        ("edge-1", "downlink/v1/edge-1/#", true),
        ("edge-1", "downlink/v1/+/cursor", false),
        ("edge-1", "uplink/v1/+", false),
        ("+", "uplink/v1/+", false),
        ("+", "uplink/v1/+/#", false),
        ("+", "downlink/v1/+/#", false),
        ("+", "cmd/v1/b/#", false),
        ("+", "cmd/v1/b/+", false),
        ("+", "cmd/v1/a/#", false),
        ("#", "cmd/v1/+/#", false),
        ("#", "cmd/v1/a/#", false),
        ("m1/#", "#", false),
        ("m1/#", "m1/#", false),
        ("m1/#", "personal/v1/+/energy/#", true),
        ("boss", "#", true),
        ("boss", "personal/#", true),
        ("boss", "$SYS/#", true),
        ("boss", "$share/g/#", true),
    ] {
        for version in [Version::V4, Version::V5] {
            // The identifier is a filter too.
            let mut client = connect(&node, &format!("+/{user}"), user, version);
            let (codes, _) = client.subscribe(filter, 0).unwrap();
            let wanted = match version {
                _ if allowed => 0,
                Version::V4 => FAILURE,
                Version::V5 => NOT_AUTHORIZED,
            };
            assert_eq!(codes, [wanted], "{user} {filter} {version:?}");
        }
    }
}
