//! A box without the right time: its wall clock is wrong and jumps (libfaketime) while the monotonic
//! clock goes on. Readings stay in order and whole; when the time is known they are corrected and
//! marked, in the box and in the city.

use std::time::Duration;

use jiff::Timestamp;
use quartier_tests::{
    City, Client, ConnectOptions, Influx1, Node, NodeConfig, Packet, WallClock, eventually,
    eventually_some, free_address, get, health_plugin,
};
use quartier_twin::event::{Entry, Event, TimeSource};
use quartier_twin::journal::{JournalFiles, Reader as _};
use serde_json::Value;

const WAIT: Duration = Duration::from_secs(60);
const QUARTER: &str = "johannstadt";
/// Seconds.
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// How far a time may be from when its reading was sent, milliseconds: a busy machine.
const NEAR: i64 = 3000;

/// A box under a wall clock that the test sets.
struct EdgeBox {
    node: Node,
    wall: WallClock,
    heard: Client,
    said: Vec<Said>,
}

/// A value as the twin's topic told it.
#[derive(Debug, Clone)]
struct Said {
    asset: String,
    metric: String,
    value: f64,
    /// Milliseconds since 1970.
    time: i64,
    quality: String,
}

impl EdgeBox {
    /// Starts with a wall clock so many seconds ahead; `None`, said on stderr, without libfaketime.
    fn start(config: NodeConfig, ahead: i64) -> Option<Self> {
        let wall = WallClock::ahead(ahead)?;
        let env = wall.env();
        let node = Node::start(NodeConfig { env, ..config });
        let (mut heard, _) = Client::connect(node.mqtt(), &ConnectOptions::new("watch")).unwrap();
        heard.subscribe("twin/v1/#", 0).unwrap();
        Some(Self {
            node,
            wall,
            heard,
            said: Vec::new(),
        })
    }

    /// The wall clock jumps, and the node has seen it.
    fn jump(&self, ahead: i64) {
        let jumps = || self.node.figure("quartier_clock_jumps_total");
        let before = jumps();
        self.wall.set(ahead);
        eventually("the node sees the jump", WAIT, || {
            let seen = jumps();
            (seen > before).then_some(()).ok_or(format!("{seen} jumps"))
        });
    }

    /// NTP sets the wall clock right.
    fn synchronise(&self) {
        self.wall.set(0);
        self.wall.synchronise();
    }

    /// Publishes as a device without a clock and as one with; when, in milliseconds.
    fn publish(&self, value: i64) -> i64 {
        let (mut client, _) =
            Client::connect(self.node.mqtt(), &ConnectOptions::new("devices")).unwrap();
        let now = Timestamp::now().as_millisecond();
        let bare = format!("{{\"uptime\":{value}}}");
        let timed = format!("{{\"uptime\":{value},\"time\":{now}}}");
        let topic = |asset: &str| format!("dt/{QUARTER}/{asset}");
        client
            .publish_all(&[(&topic("bare"), &bare), (&topic("timed"), &timed)])
            .unwrap();
        now
    }

    /// All that was said of an asset, once `enough` of it was.
    fn said(&mut self, asset: &str, what: &str, enough: impl Fn(&[Said]) -> bool) -> Vec<Said> {
        let Self { heard, said, .. } = self;
        eventually_some(what, WAIT, || {
            while let Some(packet) = heard.receive(Duration::from_millis(50)).unwrap() {
                if let Packet::Publish { topic, payload, .. } = packet {
                    said.extend(read(&topic, &payload));
                }
            }
            let of: Vec<_> = said.iter().filter(|s| s.asset == asset).cloned().collect();
            enough(&of).then_some(of)
        })
    }

    /// Readings without a time, as many as the city takes some time for.
    fn publish_many(&self) {
        let options = ConnectOptions::new("many");
        let (mut device, _) = Client::connect(self.node.mqtt(), &options).unwrap();
        let topic = format!("dt/{QUARTER}/many/uptime");
        for value in 0..20_000 {
            device.publish(&topic, value.to_string().as_bytes(), None, false);
        }
        device.flush().unwrap();
        // It comes behind them.
        device.publish_all(&[(&*topic, "20000")]).unwrap();
    }

    fn clock(&self) -> (String, String) {
        let ready = get(self.node.http(), "/readyz").unwrap().json().unwrap();
        let parts = ready["parts"].as_array().cloned().unwrap_or_default();
        let part = parts.into_iter().find(|part| part["name"] == "clock");
        let part = part.unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&part["state"]), text(&part["detail"]))
    }

    fn knows(&self, source: &str) {
        eventually("the time is known", WAIT, || {
            let (state, detail) = self.clock();
            let known = state == "ok" && detail.contains(source);
            known.then_some(()).ok_or(detail)
        });
        // Figures are a second old.
        eventually("the figure says so", WAIT, || {
            let known = self.node.figure("quartier_clock_known");
            (known == 1.0).then_some(()).ok_or(known.to_string())
        });
    }
}

fn read(topic: &str, payload: &[u8]) -> Option<Said> {
    let mut levels = topic.rsplit('/');
    let metric = levels.next()?.to_owned();
    let json: Value = serde_json::from_slice(payload).ok()?;
    Some(Said {
        asset: levels.next()?.to_owned(),
        metric,
        value: json["value"].as_f64()?,
        time: millis(&json["time"])?,
        quality: json["quality"].as_str()?.to_owned(),
    })
}

fn millis(time: &Value) -> Option<i64> {
    let time: Timestamp = time.as_str()?.parse().ok()?;
    Some(time.as_millisecond())
}

/// Times of the entries and the sources of time in a node's journal.
fn journal(node: &Node) -> (Vec<i64>, Vec<TimeSource>) {
    let files = JournalFiles::open(&node.folder().join("data/journal")).unwrap();
    let mut reader = files.reader(1).unwrap();
    let (mut times, mut sources) = (Vec::new(), Vec::new());
    while let Some(frame) = reader.next().unwrap() {
        for (_, bytes) in frame.entries() {
            let entry: Entry<'_> = postcard::from_bytes(bytes).unwrap();
            times.push(entry.at.0);
            if let Event::ClockSet(set) = entry.event {
                sources.push(set.source);
            }
        }
    }
    (times, sources)
}

fn jumps_and_is_told_by_ntp(ahead: i64) {
    let config = NodeConfig::of_box(QUARTER);
    let Some(mut edge) = EdgeBox::start(config, ahead) else {
        return;
    };
    assert_eq!(edge.clock().0, "degraded");
    let mut sent = vec![edge.publish(0)];
    for jump in [3 * HOUR, -2 * DAY, 5 * HOUR] {
        edge.jump(ahead + jump);
        for _ in 0..3 {
            sent.push(edge.publish(sent.len() as i64));
        }
    }
    let all = sent.len();
    let bare = edge.said("bare", "all without a time", |said| said.len() >= all);
    let timed = edge.said("timed", "all with a time", |said| said.len() >= all);
    for (index, sent) in sent.iter().enumerate() {
        assert_eq!(bare[index].value, index as f64, "{bare:?}");
        let off = bare[index].time - sent - ahead * 1000;
        assert!((0..NEAR).contains(&off), "{index}: {off} ms: {bare:?}");
        assert_eq!(bare[index].quality, "uncertain");
        assert_eq!(timed[index].value, index as f64);
        assert_eq!(timed[index].time, *sent, "what a device says counts");
        assert_eq!(timed[index].quality, "good");
    }
    edge.synchronise();
    edge.knows("ntp");
    let bare = edge.said("bare", "the correction", |said| said.len() > all);
    let corrected = bare.last().unwrap();
    let off = corrected.time - sent[all - 1];
    assert!((-NEAR..NEAR).contains(&off), "{off} ms: {corrected:?}");
    assert_eq!(corrected.value, (all - 1) as f64);
    assert_eq!(corrected.quality, "uncertain", "it stays marked");
    // Nobody says that this is right.
    edge.jump(-2 * DAY);
    let now = edge.publish(1000);
    let bare = edge.said("bare", "the next reading", |said| said.len() > all + 1);
    let next = bare.last().unwrap();
    let off = next.time - now;
    assert!((-50..NEAR).contains(&off), "{off} ms: {next:?}");
    assert_eq!((next.value, next.quality.as_str()), (1000.0, "good"));
    edge.node.settle();
    // Figures are a second old.
    let each_once = 2.0 * (all + 1) as f64;
    eventually("each is counted once", WAIT, || {
        let count = edge.node.figure("quartier_twin_readings");
        (count == each_once)
            .then_some(())
            .ok_or(format!("{count}, not {each_once}"))
    });
    for wrong in ["out_of_order", "late", "duplicates", "ignored"] {
        let figure = edge.node.figure(&format!("quartier_twin_{wrong}"));
        assert_eq!(figure, 0.0, "{wrong}");
    }
    edge.node.terminate();
    let (times, sources) = journal(&edge.node);
    assert!(times.is_sorted(), "entries are in order: {times:?}");
    assert_eq!(sources, [TimeSource::Guess, TimeSource::Ntp]);
}

#[test]
fn a_box_two_days_behind_keeps_order_through_jumps_and_corrects_when_ntp_tells() {
    jumps_and_is_told_by_ntp(-2 * DAY);
}

#[test]
fn a_box_three_hours_ahead_keeps_order_through_jumps_and_corrects_when_ntp_tells() {
    jumps_and_is_told_by_ntp(3 * HOUR);
}

fn is_told_by_the_city(ahead: i64) {
    if WallClock::ahead(0).is_none() {
        return;
    }
    let mqtts = free_address();
    let influx = Influx1::start();
    let config = NodeConfig {
        influx: influx.as_ref().map(Influx1::config),
        ..NodeConfig::of(QUARTER)
    };
    let mut city = City::start(config, mqtts);
    let identity = city.enrol("box-1", QUARTER);
    city.node.terminate();
    let Some(mut edge) = EdgeBox::start(identity.config(), ahead) else {
        return;
    };
    let sent = edge.publish(7);
    edge.said("bare", "the guess", |said| !said.is_empty());
    assert_eq!(edge.clock().0, "degraded");
    edge.publish_many();
    city.node.restart();
    edge.knows("city");
    let bare = edge.said("bare", "the correction", |said| said.len() > 1);
    let corrected = bare.last().unwrap().clone();
    let off = corrected.time - sent;
    assert!((-NEAR..NEAR).contains(&off), "{off} ms: {bare:?}");
    let shown = || city.node.json("/api/v1/assets/bare")["metrics"]["uptime"].clone();
    eventually("the city has it too", WAIT, || {
        let uptime = shown();
        let same = millis(&uptime["time"]) == Some(corrected.time);
        same.then_some(()).ok_or(uptime.to_string())
    });
    assert_eq!(shown()["quality"], "uncertain");
    let now = edge.publish(8);
    eventually("what follows is right", WAIT, || {
        let uptime = shown();
        let time = millis(&uptime["time"]).unwrap_or_default();
        let right = uptime["value"] == 8.0 && uptime["quality"] == "good";
        let right = right && (-50..NEAR).contains(&(time - now));
        right.then_some(()).ok_or(uptime.to_string())
    });
    let position = city.edge("box-1")["position"].as_u64().unwrap_or_default();
    city.is_equal("box-1", position, WAIT);
    let Some(influx) = influx else { return };
    city.node.delivered(WAIT);
    let devices = "\"device\" = 'bare' OR \"device\" = 'many'";
    let points = influx.query(&format!(
        "SELECT \"uptime\" FROM \"device\" WHERE {devices}"
    ));
    let points = points[0]["values"].as_array().into_iter().flatten();
    let times: Vec<_> = points.filter_map(|point| point[0].as_i64()).collect();
    let right = sent - NEAR..now + NEAR;
    let wrong = times.iter().filter(|time| !right.contains(*time)).count();
    assert!(
        times.len() > 10 && wrong == 0,
        "{wrong} of {} wrong",
        times.len()
    );
}

#[test]
fn the_city_tells_a_box_that_is_ahead_the_time_and_has_the_corrected_times_too() {
    is_told_by_the_city(3 * HOUR);
}

/// The city's certificate is not valid yet by the box's guess.
#[test]
fn the_city_tells_a_box_that_is_behind_the_time_and_has_the_corrected_times_too() {
    is_told_by_the_city(-100 * DAY);
}

/// Hourly means of a bad day: after two of them the plugin raises its alert.
#[test]
fn windows_close_and_rules_run_while_the_wall_clock_jumps() {
    let Some(plugin) = health_plugin() else {
        return;
    };
    let mut config = NodeConfig::of_box(QUARTER);
    let street = r#"{"type":"FeatureCollection","features":[{"type":"Feature","id":"street",
        "geometry":{"type":"Point","coordinates":[13.72,51.06]},
        "properties":{"kind":"air_quality_station","interval_s":"3600"}}]}"#;
    config.quarters[0].1 = Some(street.to_owned());
    config.plugins.push((QUARTER.to_owned(), plugin));
    // The device's clock is right, and what it says is a year's half ahead of the box's.
    let Some(mut edge) = EdgeBox::start(config, -180 * DAY) else {
        return;
    };
    let (mut client, _) =
        Client::connect(edge.node.mqtt(), &ConnectOptions::new("street")).unwrap();
    let start = Timestamp::now().as_second() / HOUR * HOUR - 12 * HOUR;
    for hour in 1..=6 {
        let time = start + hour * HOUR;
        let payload = format!("{{\"pm10\":{{\"v\":150,\"t\":{time}}}}}");
        let topic = format!("dt/{QUARTER}/street");
        client.publish_all(&[(&topic, &payload)]).unwrap();
        edge.jump(if hour % 2 == 0 {
            -180 * DAY
        } else {
            -183 * DAY
        });
    }
    let indices = edge.said("street", "indices", |said| {
        said.iter().filter(|said| said.metric == "eaqi").count() >= 4
    });
    let ends = indices.iter().filter(|said| said.metric == "eaqi");
    let ends: Vec<_> = ends.map(|said| said.time / 1000 - start).collect();
    assert!(
        ends.is_sorted_by(|a, b| a + HOUR == *b),
        "one for each hour: {ends:?}"
    );
    eventually("the alert", WAIT, || {
        let alerts = edge.node.figure("quartier_twin_alerts");
        (alerts == 1.0).then_some(()).ok_or(alerts.to_string())
    });
}
