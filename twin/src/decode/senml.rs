//! SenML JSON, RFC 8428: an array of records with base fields that hold for those that follow.
//!
//! The name of a record is `bn` + `n`. Its metric is the last part of that, after the last `/`,
//! `:` or `;`; where only an asset's id without a separator stands before `n`, the metric is `n`.
//! A record that names no more than the device (no `n`, or the asset's id), and no metric of the
//! vocabulary, is the metric that its unit speaks for ([`SPEAKS_FOR`]). The units `lat` and `lon`,
//! and metrics so named, place the asset; the last position of a pack counts.
//!
//! Times below 2^28 count from receipt. A sum (`s`, `bs`) is a reading of `{metric}_sum` in
//! `{unit}.s`. Texts (`vs`) and data (`vd`) are rejected, their neighbours kept. The characters of
//! names are those of the platform, which are more than the RFC's. `ut` says nothing to a twin.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::collect::Collector;
use super::json::{self, KeySeed, Scalar, ScalarSeed};
use super::{Reason, Rejection, time};
use crate::model::Millis;

/// The version of the RFC; packs of a later one are rejected.
const VERSION: f64 = 10.0;

/// Times below count from receipt, seconds (RFC 8428 section 4.5.3).
const FIRST_ABSOLUTE: f64 = 268_435_456.0;

/// Units that measure one thing only.
const SPEAKS_FOR: [(&str, &str); 4] = [
    ("Cel", "temperature"),
    ("%RH", "humidity"),
    ("%EL", "battery_level"),
    ("lx", "illuminance"),
];

/// Reads a pack.
pub(super) fn read<'a>(
    text: &'a str,
    asset: &'a str,
    collector: &mut Collector<'a>,
) -> Result<(), Rejection> {
    let pack = Pack {
        asset,
        base: Base::default(),
        collector: &mut *collector,
    };
    let done = json::read(text, pack, Reason::Senml);
    collector.fatal.take().map_or(done, Err)
}

/// The base fields in force.
#[derive(Default)]
struct Base<'a> {
    name: Cow<'a, str>,
    time: f64,
    unit: Option<Cow<'a, str>>,
    value: Option<f64>,
    sum: Option<f64>,
}

/// The fields of one record.
#[derive(Default)]
struct Record<'a> {
    bn: Option<Scalar<'a>>,
    bt: Option<Scalar<'a>>,
    bu: Option<Scalar<'a>>,
    bv: Option<Scalar<'a>>,
    bs: Option<Scalar<'a>>,
    bver: Option<Scalar<'a>>,
    n: Option<Scalar<'a>>,
    u: Option<Scalar<'a>>,
    v: Option<Scalar<'a>>,
    vb: Option<Scalar<'a>>,
    s: Option<Scalar<'a>>,
    t: Option<Scalar<'a>>,
    /// `vs` or `vd` was there.
    other: Option<&'static str>,
    /// A field that must be understood, and is not.
    must: Option<String>,
}

impl Record<'_> {
    fn is_only_base(&self) -> bool {
        let regular = [&self.n, &self.u, &self.v, &self.vb, &self.s, &self.t];
        regular.iter().all(|field| field.is_none()) && self.other.is_none()
    }
}

struct RecordSeed;

impl<'de> DeserializeSeed<'de> for RecordSeed {
    type Value = Record<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Record<'de>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
        let mut record = Record::default();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let field = match &*key {
                "bn" => &mut record.bn,
                "bt" => &mut record.bt,
                "bu" => &mut record.bu,
                "bv" => &mut record.bv,
                "bs" => &mut record.bs,
                "bver" => &mut record.bver,
                "n" => &mut record.n,
                "u" => &mut record.u,
                "v" => &mut record.v,
                "vb" => &mut record.vb,
                "s" => &mut record.s,
                "t" => &mut record.t,
                name => {
                    match name {
                        "vs" => record.other = Some("a text is not a number"),
                        "vd" => record.other = Some("data are not a number"),
                        name if name.ends_with('_') => record.must = Some(name.to_owned()),
                        _ => {}
                    }
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value_seed(ScalarSeed)?);
        }
        Ok(record)
    }
}

struct Pack<'c, 'a> {
    asset: &'a str,
    base: Base<'a>,
    collector: &'c mut Collector<'a>,
}

impl<'a> Visitor<'a> for Pack<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML pack")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(record) = seq.next_element_seed(RecordSeed)? {
            if let Err(what) = self.enter(&record) {
                self.collector.fatal = Some(Rejection::new(Reason::Senml, what));
                return Err(A::Error::custom("not SenML"));
            }
            if let Err((reason, detail)) = self.resolve(record) {
                self.collector.reject(reason, detail);
            }
            if self.collector.overflows() {
                return Err(A::Error::custom("too many values"));
            }
        }
        Ok(())
    }
}

type Fault = (Reason, String);

impl<'a> Pack<'_, 'a> {
    /// Takes over the base fields of a record; an error ends the pack, since it would falsify
    /// every record that follows.
    fn enter(&mut self, record: &Record<'a>) -> Result<(), String> {
        if let Some(name) = &record.must {
            return Err(format!("field {name:?} must be understood, and is not"));
        }
        let base = &mut self.base;
        if let Some(version) = base_number("bver", &record.bver)?
            && version > VERSION
        {
            return Err(format!("bver {version} is later than {VERSION}"));
        }
        if let Some(name) = base_text("bn", &record.bn)? {
            base.name = name;
        }
        if let Some(unit) = base_text("bu", &record.bu)? {
            base.unit = Some(unit);
        }
        base.time = base_number("bt", &record.bt)?.unwrap_or(base.time);
        base.value = base_number("bv", &record.bv)?.or(base.value);
        base.sum = base_number("bs", &record.bs)?.or(base.sum);
        Ok(())
    }

    fn resolve(&mut self, record: Record<'a>) -> Result<(), Fault> {
        let header = record.is_only_base();
        let own = match record.n {
            None => Cow::Borrowed(""),
            Some(Scalar::Text(name)) => name,
            Some(_) => return Err((Reason::Name, "n is no text".to_owned())),
        };
        let has_own = !own.is_empty();
        let metric = last_part(&self.base.name, own, self.asset);
        if header && (metric.is_empty() || (self.base.value.or(self.base.sum)).is_none()) {
            return Ok(());
        }
        let unit = match record.u {
            None => self.base.unit.clone(),
            Some(Scalar::Text(unit)) => Some(unit),
            Some(_) => return Err((Reason::Unit, format!("{metric}: u is no text"))),
        };
        let time = self.time(&metric, record.t.as_ref())?;
        let value = match (&record.v, &record.vb, record.other) {
            (Some(v), ..) => Some(number(&metric, v)? + self.base.value.unwrap_or(0.0)),
            (None, Some(vb), _) => Some(number(&metric, vb)?),
            (None, None, Some(what)) => {
                return Err((Reason::NotANumber, format!("{metric}: {what}")));
            }
            (None, None, None) if record.s.is_none() => self.base.value,
            (None, None, None) => None,
        };
        let sum = match &record.s {
            Some(s) => Some(number(&metric, s)? + self.base.sum.unwrap_or(0.0)),
            None => self.base.sum,
        };
        match place_name(unit.as_deref(), &metric) {
            Some(Axis::Latitude) => self.collector.latitude(&number_or_null(value)),
            Some(Axis::Longitude) => self.collector.longitude(&number_or_null(value)),
            None => self.push(metric, has_own, value, sum, unit, time)?,
        }
        Ok(())
    }

    fn push(
        &mut self,
        metric: Cow<'a, str>,
        has_own: bool,
        value: Option<f64>,
        sum: Option<f64>,
        unit: Option<Cow<'a, str>>,
        time: Millis,
    ) -> Result<(), Fault> {
        let metric = self.spoken_for(metric, has_own, unit.as_deref());
        if metric.is_empty() {
            return Err((Reason::Name, "a record without a name".to_owned()));
        }
        if let Some(sum) = sum {
            let unit = unit.as_ref().map(|unit| Cow::Owned(format!("{unit}.s")));
            self.push_finite(Cow::Owned(format!("{metric}_sum")), sum, unit, time)?;
        } else if value.is_none() {
            return Err((Reason::NotANumber, format!("{metric}: there is no value")));
        }
        match value {
            Some(value) => self.push_finite(metric, value, unit, time),
            None => Ok(()),
        }
    }

    fn push_finite(
        &mut self,
        metric: Cow<'a, str>,
        value: f64,
        unit: Option<Cow<'a, str>>,
        time: Millis,
    ) -> Result<(), Fault> {
        if !value.is_finite() {
            return Err((
                Reason::NotANumber,
                format!("{metric}: is not finite with its base"),
            ));
        }
        self.collector.push(metric, value, unit, time);
        Ok(())
    }

    fn time(&self, metric: &str, own: Option<&Scalar<'_>>) -> Result<Millis, Fault> {
        let fault = |what: String| (Reason::Time, format!("{metric}: {what}"));
        let own = own.map_or(Ok(0.0), Scalar::number).map_err(fault)?;
        let seconds = self.base.time + own;
        let ms = (seconds * 1000.0).round() as i64;
        let received = self.collector.received;
        if seconds >= FIRST_ABSOLUTE {
            return time::plausible(Millis(ms), received).map_err(fault);
        }
        let time = time::plausible(received.time.plus(ms), received).map_err(fault)?;
        Ok(self.collector.relative(time))
    }

    /// The metric of a record that may name the device only.
    fn spoken_for(&self, metric: Cow<'a, str>, has_own: bool, unit: Option<&str>) -> Cow<'a, str> {
        if (has_own && metric != self.asset) || self.collector.vocabulary.resolve(&metric).is_some()
        {
            return metric;
        }
        let spoken = SPEAKS_FOR.iter().find(|(code, _)| Some(*code) == unit);
        spoken.map_or(metric, |(_, name)| Cow::Borrowed(*name))
    }
}

fn number(metric: &str, sent: &Scalar<'_>) -> Result<f64, Fault> {
    sent.number()
        .map_err(|what| (Reason::NotANumber, format!("{metric}: {what}")))
}

fn number_or_null(value: Option<f64>) -> Scalar<'static> {
    value.map_or(Scalar::Null, Scalar::Number)
}

fn base_number(field: &str, sent: &Option<Scalar<'_>>) -> Result<Option<f64>, String> {
    sent.as_ref()
        .map(Scalar::number)
        .transpose()
        .map_err(|what| format!("{field}: {what}"))
}

fn base_text<'a>(field: &str, sent: &Option<Scalar<'a>>) -> Result<Option<Cow<'a, str>>, String> {
    match sent {
        None => Ok(None),
        Some(Scalar::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{field} is no text")),
    }
}

enum Axis {
    Latitude,
    Longitude,
}

fn place_name(unit: Option<&str>, metric: &str) -> Option<Axis> {
    match (unit, metric) {
        (Some("lat"), _) | (_, "lat" | "latitude") => Some(Axis::Latitude),
        (Some("lon"), _) | (_, "lon" | "lng" | "longitude") => Some(Axis::Longitude),
        _ => None,
    }
}

const SEPARATORS: [char; 3] = ['/', ':', ';'];

/// The last part of `base` + `own`, see the module.
fn last_part<'a>(base: &Cow<'a, str>, own: Cow<'a, str>, asset: &str) -> Cow<'a, str> {
    if own.contains(SEPARATORS) {
        return cut(own);
    }
    let tail = cut(base.clone());
    if own.is_empty() {
        tail
    } else if tail.is_empty() || tail.trim_end_matches(['_', '-', '.']) == asset {
        own
    } else {
        tail + own
    }
}

/// What follows the last separator.
fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(after(text)),
        Cow::Owned(text) => Cow::Owned(after(&text).to_owned()),
    }
}

fn after(text: &str) -> &str {
    text.rsplit(SEPARATORS).next().unwrap_or(text)
}
