//! JSON as devices send it: one value without its depth, and the value-unit-time object.
//!
//! Strings are borrowed from the payload unless they are escaped.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Reason, Rejection};

/// Runs `visitor` over the whole of `text`; `fault` is the reason for JSON of the wrong shape.
pub(super) fn read<'a, V: Visitor<'a>>(
    text: &'a str,
    visitor: V,
    fault: Reason,
) -> Result<V::Value, Rejection> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_any(visitor)
        .and_then(|value| json.end().map(|()| value))
        .map_err(|error| {
            let reason = if error.is_data() { fault } else { Reason::Json };
            Rejection::new(reason, error.to_string())
        })
}

/// One JSON value; what is inside arrays and objects is skipped.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    /// Booleans are 1 and 0.
    Number(f64),
    Text(Cow<'a, str>),
    Null,
    Array,
    Object,
}

impl Scalar<'_> {
    /// The finite number this is or spells.
    pub(super) fn number(&self) -> Result<f64, String> {
        match self {
            Self::Number(number) if number.is_finite() => Ok(*number),
            Self::Number(_) => Err("is not finite".to_owned()),
            Self::Text(text) => match text.trim_ascii().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                _ => Err(format!("{text:?} is not a number")),
            },
            Self::Null => Err("null is not a number".to_owned()),
            Self::Array => Err("an array is not a number".to_owned()),
            Self::Object => Err("an object is not a number".to_owned()),
        }
    }
}

/// Reads a [`Scalar`].
pub(super) struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Scalar<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Number(f64::from(u8::from(value))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Object)
    }
}

/// Reads a key.
pub(super) struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// A value as sent: bare, or an object with unit and time of its own.
#[derive(Debug, Default)]
pub(super) struct Sent<'a> {
    /// `v`, `value`, or the bare value.
    pub(super) value: Option<Scalar<'a>>,
    /// `u`, `unit`.
    pub(super) unit: Option<Scalar<'a>>,
    /// `t`, `time`, `timestamp`.
    pub(super) time: Option<Scalar<'a>>,
}

impl<'a> Sent<'a> {
    fn bare(value: Scalar<'a>) -> Self {
        Self {
            value: Some(value),
            unit: None,
            time: None,
        }
    }
}

/// Reads a [`Sent`]. Of a repeated key the last wins; unknown keys are skipped.
pub(super) struct SentSeed;

impl<'de> DeserializeSeed<'de> for SentSeed {
    type Value = Sent<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Sent<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SentSeed {
    type Value = Sent<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        ScalarSeed.visit_bool(value).map(Sent::bare)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        ScalarSeed.visit_i64(value).map(Sent::bare)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        ScalarSeed.visit_u64(value).map(Sent::bare)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        ScalarSeed.visit_f64(value).map(Sent::bare)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        ScalarSeed.visit_borrowed_str(value).map(Sent::bare)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        ScalarSeed.visit_str(value).map(Sent::bare)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        ScalarSeed.visit_unit().map(Sent::bare)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        ScalarSeed.visit_seq(seq).map(Sent::bare)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut sent = Sent::default();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match &*key {
                "v" | "value" => sent.value = Some(map.next_value_seed(ScalarSeed)?),
                "u" | "unit" => sent.unit = Some(map.next_value_seed(ScalarSeed)?),
                "t" | "time" | "timestamp" => sent.time = Some(map.next_value_seed(ScalarSeed)?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(sent)
    }
}
