//! The flat object of an asset, and the single value of a metric.
//!
//! In a flat object every key is a metric, but `t`, `time`, `timestamp` (the time of all values
//! without their own) and `lat`/`latitude`, `lon`/`lng`/`longitude` (where the asset is). A value
//! is bare or an object of `v`/`value`, `u`/`unit`, `t`/`time`/`timestamp`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};

use super::collect::Collector;
use super::json::{self, KeySeed, ScalarSeed, Sent, SentSeed};
use super::{Reason, Rejection};

/// Reads the flat object of an asset.
pub(super) fn read<'a>(text: &'a str, collector: &mut Collector<'a>) -> Result<(), Rejection> {
    let done = json::read(text, Flat(collector), Reason::Json);
    collector.fatal.take().map_or(done, Err)
}

/// Reads `{"value":..,"time":..,"unit":..}`.
pub(super) fn read_one<'a>(
    text: &'a str,
    metric: &'a str,
    collector: &mut Collector<'a>,
) -> Result<(), Rejection> {
    let sent = json::read(text, SentSeed, Reason::Json)?;
    collector.take(Cow::Borrowed(metric), sent);
    Ok(())
}

/// Reads a bare value: a number, a number in quotes, `true` or `false`.
pub(super) fn read_bare<'a>(text: &'a str, metric: &'a str, collector: &mut Collector<'a>) {
    let name = Cow::Borrowed(metric);
    let bare = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .unwrap_or(text);
    let number = match bare {
        "true" => Some(1.0),
        "false" => Some(0.0),
        bare => bare
            .trim_ascii()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite()),
    };
    match number {
        Some(value) => collector.push(name, value, None, super::collect::UNTIMED),
        None => {
            let start: String = text.chars().take(40).collect();
            collector.reject(
                Reason::NotANumber,
                format!("{metric}: {start:?} is not a number"),
            );
        }
    }
}

struct Flat<'c, 'a>(&'c mut Collector<'a>);

impl<'a> Visitor<'a> for Flat<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of metrics")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let collector = self.0;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match &*key {
                "t" | "time" | "timestamp" => {
                    collector.common_time(&map.next_value_seed(ScalarSeed)?);
                }
                "lat" | "latitude" => collector.latitude(&map.next_value_seed(ScalarSeed)?),
                "lon" | "lng" | "longitude" => {
                    collector.longitude(&map.next_value_seed(ScalarSeed)?);
                }
                _ => {
                    let sent: Sent<'a> = map.next_value_seed(SentSeed)?;
                    collector.take(key, sent);
                }
            }
            if collector.overflows() {
                return Err(A::Error::custom("too many values"));
            }
        }
        Ok(())
    }
}
