//! The numbers of the manifest: limits come as `limit.{topic}.{code}`, the rest from `[config]`.

use crate::hours::Thresholds;
use crate::hysteresis::Threshold;
use crate::tables::{LEVEL_COUNT, LEVELS, Measure};

/// What the manifest decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// A window with less coverage is insufficient data; 0 to 1.
    pub coverage: f64,
    /// By level.
    pub thresholds: Thresholds,
}

impl Settings {
    /// Reads the configuration that the host hands to `init`.
    ///
    /// # Errors
    /// Names the key that is missing or out of range.
    pub fn parse(config: &[(String, String)]) -> Result<Self, String> {
        let share = |key: &str| number(config, key, 0.0, 1.0);
        let count = |key: &str| number(config, key, 1.0, 200.0).map(|n| n as u8);
        let clear_after = count("clear_after")?;
        let clear_margin = share("clear_margin")?;
        let mut thresholds: Vec<Threshold> = Vec::with_capacity(LEVEL_COUNT);
        for level in LEVELS {
            thresholds.push(Threshold {
                limit: number(
                    config,
                    &format!("limit.{}.{}", level.topic, level.code),
                    0.0,
                    1e6,
                )?,
                inclusive: level.measure == Measure::Eaqi,
                raise_after: count(&format!("raise_after.{}", level.topic))?,
                clear_after,
                clear_margin,
            });
        }
        let thresholds = thresholds.try_into().map_err(|_| "levels".to_owned())?;
        Ok(Self {
            coverage: share("coverage")?,
            thresholds,
        })
    }
}

fn number(config: &[(String, String)], key: &str, min: f64, max: f64) -> Result<f64, String> {
    let value = config.iter().find(|(k, _)| k == key).map(|(_, v)| v);
    let value = value.ok_or_else(|| format!("{key}: missing"))?;
    match value.parse::<f64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!(
            "{key}: {value:?} is not a number from {min} to {max}"
        )),
    }
}
