//! Simulated devices of a quarter: what they are, where they stand, and what they say when.
//!
//! Invariant: the same seed and the same times give the same publishes.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use super::curves;
use crate::model::{Millis, Place};

/// Radius around the centre in which devices stand, metres.
const RADIUS_M: f64 = 800.0;
const METRES_A_DEGREE: f64 = 111_320.0;

/// A family of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Air,
    Meter,
    Noise,
    Wallbox,
    Pv,
    Feeder,
    CarPark,
    Bicycle,
}

/// The mix, repeated: the first few devices are of all families, and meters are the most.
const MIX: [Kind; 16] = {
    use Kind::{Air, Bicycle, CarPark, Feeder, Meter, Noise, Pv, Wallbox};
    [
        Air, Meter, Noise, Wallbox, Pv, Feeder, CarPark, Bicycle, Meter, Air, Meter, Pv, Meter,
        Wallbox, Meter, Noise,
    ]
};

impl Kind {
    /// As in the registry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Air => "sensor_box",
            Self::Meter => "meter",
            Self::Noise => "sound_level_meter",
            Self::Wallbox => "wallbox",
            Self::Pv => "pv",
            Self::Feeder => "feeder",
            Self::CarPark => "car_park",
            Self::Bicycle => "bicycle_counter",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Air => "air",
            Self::Meter => "meter",
            Self::Noise => "noise",
            Self::Wallbox => "wallbox",
            Self::Pv => "pv",
            Self::Feeder => "feeder",
            Self::CarPark => "parking",
            Self::Bicycle => "bicycle",
        }
    }
}

/// One simulated device.
#[derive(Debug)]
pub(crate) struct Device {
    /// Stable: `sim-air-001`.
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    topic: String,
    /// How it differs from others of its kind, 0.6 to 1.4.
    level: f64,
    /// kWh, of what counts energy.
    counter: f64,
    last: Option<Millis>,
}

/// What a device sends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Publish {
    /// Index of the device.
    pub(crate) device: usize,
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) readings: u64,
}

/// All simulated devices of one quarter.
#[derive(Debug)]
pub(crate) struct Fleet {
    devices: Vec<Device>,
    next: usize,
    random: Random,
}

impl Fleet {
    /// `count` devices around `centre`.
    pub(crate) fn new(quarter: &str, centre: Place, count: usize, seed: u64) -> Self {
        // Two quarters with one seed differ. FNV-1a: the same on every machine.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        let mut random = Random(quarter.bytes().fold(seed ^ 0xCBF2_9CE4_8422_2325, mix));
        let mut numbers = [0usize; MIX.len()];
        let devices = MIX.iter().cycle().take(count).map(|&kind| {
            let number = numbers.get_mut(kind as usize).map_or(0, |number| {
                *number += 1;
                *number
            });
            let id = format!("sim-{}-{number:03}", kind.prefix());
            let topic = format!("dt/{quarter}/{id}");
            let place = around(centre, &mut random);
            let level = 0.6 + 0.8 * random.share();
            let counter = (1000.0 * random.share()).round();
            Device {
                id,
                kind,
                place,
                topic,
                level,
                counter,
                last: None,
            }
        });
        Self {
            devices: devices.collect(),
            next: 0,
            random,
        }
    }

    pub(crate) fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The next device says what it measures at `now`; its first word places it. `None` where
    /// there are no devices.
    pub(crate) fn publish(&mut self, now: Millis) -> Option<Publish> {
        let index = self.next;
        let count = self.devices.len();
        let device = self.devices.get_mut(index)?;
        self.next = (index + 1) % count;
        // Two readings of one stream with one time would be one.
        let time = device.last.map_or(now, |last| now.max(last.plus(1)));
        let mut payload = format!("{{\"t\":\"{time}\"");
        if device.last.is_none() {
            let (lat, lon) = (device.place.lat(), device.place.lon());
            let _ = write!(payload, ",\"lat\":{lat:.6},\"lon\":{lon:.6}");
        }
        let values = device.measure(time, &mut self.random);
        device.last = Some(time);
        for (metric, value) in &values {
            let _ = write!(
                payload,
                ",\"{metric}\":{}",
                (value * 1000.0).round() / 1000.0
            );
        }
        payload.push('}');
        let readings = values.len() as u64;
        Some(Publish {
            device: index,
            topic: device.topic.clone(),
            payload,
            readings,
        })
    }
}

impl Device {
    fn measure(&mut self, time: Millis, random: &mut Random) -> Vec<(&'static str, f64)> {
        let (hour, level) = (curves::local_hour(time), self.level);
        let mut about =
            |value: f64, spread: f64| value * (1.0 + spread * (2.0 * random.share() - 1.0));
        match self.kind {
            Kind::Air => {
                let pm10 = about(10.0 + 14.0 * curves::traffic(hour), 0.1) * level;
                let no2 = about(8.0 + 30.0 * curves::traffic(hour), 0.1) * level;
                let o3 = about(25.0 + 60.0 * curves::sun(hour), 0.05);
                let temperature = about(11.0 + 8.0 * curves::warmth(hour), 0.02);
                let humidity = about(80.0 - 30.0 * curves::warmth(hour), 0.02);
                vec![
                    ("pm2_5", pm10 * 0.6),
                    ("pm10", pm10),
                    ("no2", no2),
                    ("o3", o3),
                    ("temperature", temperature),
                    ("humidity", humidity),
                ]
            }
            Kind::Noise => vec![(
                "laeq",
                about(44.0 + 18.0 * curves::traffic(hour), 0.04) + level,
            )],
            Kind::Meter => {
                let power = about(0.15 + 0.9 * curves::household(hour), 0.3) * level;
                vec![
                    ("household_power", power),
                    ("household_energy", self.count(power, time)),
                ]
            }
            Kind::Wallbox => {
                let charges = curves::household(hour + self.level * 4.0) > 0.45;
                let power = if charges {
                    about(11.0, 0.01).min(11.0)
                } else {
                    0.0
                };
                vec![
                    ("charging_power", power),
                    ("energy_import", self.count(power, time)),
                ]
            }
            Kind::Pv => {
                let power = about(9.0 * curves::sun(hour), 0.1) * level;
                vec![("pv_power", power), ("pv_energy", self.count(power, time))]
            }
            Kind::Feeder => {
                let power = about(60.0 + 180.0 * curves::household(hour), 0.05) * level;
                vec![
                    ("active_power", power),
                    ("reactive_power", about(power * 0.2, 0.1)),
                    ("voltage", 235.0 - power / 40.0),
                    ("load_factor", power / 4.0),
                ]
            }
            Kind::CarPark => {
                let capacity = (200.0 * level).round();
                let free = capacity * (1.0 - 0.9 * curves::traffic(hour + 2.0));
                vec![
                    ("parking_free", about(free, 0.03).round().min(capacity)),
                    ("parking_capacity", capacity),
                ]
            }
            Kind::Bicycle => {
                vec![(
                    "bicycle_count",
                    about(4.0 + 90.0 * curves::traffic(hour), 0.3).round() * level.round(),
                )]
            }
        }
    }

    /// The energy counter after `power` kW since the last reading.
    fn count(&mut self, power: f64, time: Millis) -> f64 {
        let passed = self.last.map_or(0, |last| time.since(last));
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds between two readings"
        )]
        let hours = passed as f64 / 3_600_000.0;
        self.counter += power * hours;
        self.counter
    }
}

/// A place near `centre`, evenly spread.
fn around(centre: Place, random: &mut Random) -> Place {
    let (angle, distance) = (TAU * random.share(), RADIUS_M * random.share().sqrt());
    let lat = centre.lat() + distance * angle.cos() / METRES_A_DEGREE;
    let east = METRES_A_DEGREE * centre.lat().to_radians().cos().max(0.01);
    let lon = centre.lon() + distance * angle.sin() / east;
    Place::new(lat, lon).unwrap_or(centre)
}

/// SplitMix64: small, and the same on every machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly spread in 0 to 1, without 1.
    fn share(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let bits = (self.next() >> 11) as f64;
        bits / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{Fleet, Kind, Publish};
    use crate::model::{Millis, Place};
    use crate::vocabulary::Vocabulary;

    const NOON: i64 = 1_780_311_600_000;

    fn said(seed: u64) -> Vec<Publish> {
        said_in("q", seed)
    }

    fn said_in(quarter: &str, seed: u64) -> Vec<Publish> {
        let centre = Place::new(51.05456, 13.76997).unwrap();
        let mut fleet = Fleet::new(quarter, centre, 40, seed);
        (0..200)
            .map(|step| fleet.publish(Millis(NOON + step / 7)).unwrap())
            .collect()
    }

    #[test]
    fn the_same_seed_says_the_same_and_another_does_not() {
        assert_eq!(said(1), said(1));
        assert_ne!(said(1), said(2));
        let payload = |quarter| said_in(quarter, 1).pop().unwrap().payload;
        assert_ne!(payload("q"), payload("r"));
    }

    #[test]
    fn every_value_is_known_and_plausible_at_any_hour() {
        let centre = Place::new(51.0, 13.7).unwrap();
        let mut fleet = Fleet::new("q", centre, 32, 7);
        for step in 0..32 * 48 {
            let publish = fleet.publish(Millis(NOON + step / 32 * 1_800_000)).unwrap();
            let value: serde_json::Value = serde_json::from_str(&publish.payload).unwrap();
            let object = value.as_object().unwrap();
            let metrics = object
                .iter()
                .filter(|(key, _)| !["t", "lat", "lon"].contains(&key.as_str()));
            let mut readings = 0;
            for (metric, value) in metrics {
                readings += 1;
                let known = Vocabulary::builtin().get(metric).expect(metric);
                let value = value.as_f64().unwrap();
                let range = known.range.0..=known.range.1;
                assert!(range.contains(&value), "{metric} = {value}");
            }
            assert_eq!(publish.readings, readings);
        }
    }

    #[test]
    fn a_device_is_placed_once_near_the_centre_and_its_time_never_repeats() {
        let said = said(3);
        let mut by_device = std::collections::BTreeMap::<_, Vec<_>>::new();
        for publish in &said {
            let value: serde_json::Value = serde_json::from_str(&publish.payload).unwrap();
            let at = |key| value.get(key).and_then(serde_json::Value::as_f64);
            if let (Some(lat), Some(lon)) = (at("lat"), at("lon")) {
                assert!((lat - 51.05456).abs() < 0.0075 && (lon - 13.76997).abs() < 0.012);
            }
            let time: jiff::Timestamp = value.get("t").unwrap().as_str().unwrap().parse().unwrap();
            by_device
                .entry(publish.device)
                .or_default()
                .push((time, at("lat").is_some()));
        }
        assert_eq!(by_device.len(), 40);
        for words in by_device.values() {
            assert!(
                words
                    .windows(2)
                    .all(|pair| matches!(pair, [a, b] if a.0 < b.0))
            );
            let placed: Vec<_> = words.iter().map(|word| word.1).collect();
            assert!(matches!(placed.as_slice(), [true, rest @ ..] if !rest.contains(&true)));
        }
    }

    #[test]
    fn a_few_devices_are_of_all_families() {
        let fleet = Fleet::new("q", Place::new(51.0, 13.7).unwrap(), 16, 1);
        let ids: Vec<_> = fleet
            .devices()
            .iter()
            .map(|device| device.id.as_str())
            .collect();
        assert!(
            ids.contains(&"sim-air-002") && ids.contains(&"sim-meter-005"),
            "{ids:?}"
        );
        assert!(
            fleet
                .devices()
                .iter()
                .any(|device| device.kind == Kind::Bicycle)
        );
    }
}
