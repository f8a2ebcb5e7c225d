//! Aggregates of current values, and what of them can be merged.

use crate::model::Millis;
use crate::vocabulary::MeanKind;

/// The current value of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// In the metric's unit; finite.
    pub value: f64,
    /// Event time.
    pub time: Millis,
    /// Index of the asset that it belongs to.
    pub asset: u32,
}

/// The current values of one metric in one cell, taken together; always of at least one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aggregate {
    /// Streams that have a value.
    pub count: u32,
    /// Assets that these streams belong to; the figure that k-anonymity goes by.
    pub assets: u32,
    /// Mean of the values, energetic where the metric says so.
    pub mean: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Sum of the values.
    pub sum: f64,
    /// Newest event time.
    pub time: Millis,
}

/// An aggregate that others can be merged into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partial {
    count: u32,
    pub(super) assets: u32,
    min: f64,
    max: f64,
    sum: f64,
    /// Sum of 10^(value/10); 0 where the mean is arithmetic.
    power: f64,
    time: Millis,
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            count: 0,
            assets: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            power: 0.0,
            time: Millis(i64::MIN),
        }
    }
}

impl Partial {
    /// Adds one value; its asset is for the caller to count.
    pub(super) fn add(&mut self, sample: &Sample, mean: MeanKind) {
        self.count += 1;
        self.min = self.min.min(sample.value);
        self.max = self.max.max(sample.value);
        self.sum += sample.value;
        if mean == MeanKind::Energetic {
            self.power += 10f64.powf(sample.value / 10.0);
        }
        self.time = self.time.max(sample.time);
    }

    /// Adds everything of another cell. No asset is in two cells.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.assets += other.assets;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.power += other.power;
        self.time = self.time.max(other.time);
    }

    /// `None` where nothing was added.
    pub(super) fn aggregate(&self, mean: MeanKind) -> Option<Aggregate> {
        let count = f64::from(self.count);
        (self.count > 0).then(|| Aggregate {
            count: self.count,
            assets: self.assets,
            mean: match mean {
                MeanKind::Arithmetic => self.sum / count,
                MeanKind::Energetic => 10.0 * (self.power / count).log10(),
            },
            min: self.min,
            max: self.max,
            sum: self.sum,
            time: self.time,
        })
    }
}
