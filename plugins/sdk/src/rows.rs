//! Rows as a rule sees them, and the columns they come in.

use crate::ids::{AssetId, Metric, Prop};

/// How far a reading can be trusted, as OPC UA grades it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// As measured, within the plausible range.
    Good,
    /// With a doubt: the unit or the clock of the sender, a value that was filled in.
    Uncertain,
    /// Not plausible.
    Bad,
}

impl From<u8> for Quality {
    /// 0 good, 1 uncertain; anything else is bad.
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Good,
            1 => Self::Uncertain,
            _ => Self::Bad,
        }
    }
}

/// A reading.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Whose it is.
    pub asset: AssetId,
    /// What was measured.
    pub metric: Metric,
    /// In the metric's unit.
    pub value: f64,
    /// Event time, milliseconds since 1970.
    pub time_ms: u64,
    /// How far it can be trusted.
    pub quality: Quality,
    pub(crate) twin: TwinRow<'a>,
}

impl Reading<'_> {
    /// A property of the row's asset; `None` where it has no value.
    #[must_use]
    pub fn prop(&self, prop: Prop) -> Option<f64> {
        self.twin.get(prop)
    }
}

/// A closed window.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Whose it is.
    pub asset: AssetId,
    /// What was measured.
    pub metric: Metric,
    /// Length, seconds: 600, 900, 3600, 28800 or 86400.
    pub span_s: u32,
    /// End, milliseconds since 1970.
    pub end_ms: u64,
    /// Mean of the metric's kind: energetic for sound levels; weighted by coverage.
    pub mean: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Latest value.
    pub last: f64,
    /// Share of the window that readings stand for, 0 to 1.
    pub coverage: f64,
    pub(crate) twin: TwinRow<'a>,
}

impl Window<'_> {
    /// The mean, where at least the share `need` of the window is covered; `None`: insufficient
    /// data.
    #[must_use]
    pub fn mean_if(&self, need: f64) -> Option<f64> {
        (self.coverage >= need && self.mean.is_finite()).then_some(self.mean)
    }

    /// A property of the row's asset; `None` where it has no value.
    #[must_use]
    pub fn prop(&self, prop: Prop) -> Option<f64> {
        self.twin.get(prop)
    }
}

/// Properties, row by row: each row has one value for each of `props`, NaN where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct TwinColumns<'a> {
    /// Property numbers.
    pub props: &'a [u32],
    /// `props.len()` values for each reading, then for each window.
    pub values: &'a [f64],
}

/// The properties of one row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TwinRow<'a> {
    pub(crate) columns: &'a TwinColumns<'a>,
    pub(crate) row: usize,
}

impl TwinRow<'_> {
    fn get(self, prop: Prop) -> Option<f64> {
        let props = self.columns.props;
        let column = props.iter().position(|id| *id == prop.0)?;
        let value = self.columns.values.get(self.row * props.len() + column)?;
        value.is_finite().then_some(*value)
    }
}

/// Readings in columns of the same length.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadingColumns<'a> {
    /// Asset numbers.
    pub asset: &'a [u32],
    /// Metric numbers.
    pub metric: &'a [u32],
    /// In the metric's unit.
    pub value: &'a [f64],
    /// Event times, milliseconds since 1970.
    pub ts_ms: &'a [u64],
    /// 0 good, 1 uncertain, 2 bad.
    pub quality: &'a [u8],
}

impl<'a> ReadingColumns<'a> {
    pub(crate) fn len(&self) -> usize {
        self.asset.len()
    }

    pub(crate) fn is_rectangular(&self) -> bool {
        let lengths = [
            self.metric.len(),
            self.value.len(),
            self.ts_ms.len(),
            self.quality.len(),
        ];
        lengths.iter().all(|&len| len == self.len())
    }

    pub(crate) fn rows(&self, twin: &'a TwinColumns<'a>) -> impl Iterator<Item = Reading<'a>> {
        let place = self.asset.iter().zip(self.metric);
        let what = self.value.iter().zip(self.ts_ms).zip(self.quality);
        let rows = place.zip(what).enumerate();
        rows.map(
            |(row, ((&asset, &metric), ((&value, &time_ms), &quality)))| Reading {
                asset: AssetId(asset),
                metric: Metric(metric),
                value,
                time_ms,
                quality: Quality::from(quality),
                twin: TwinRow { columns: twin, row },
            },
        )
    }
}

/// Windows in columns of the same length.
#[derive(Debug, Clone, Copy, Default)]
pub struct WindowColumns<'a> {
    /// Asset numbers.
    pub asset: &'a [u32],
    /// Metric numbers.
    pub metric: &'a [u32],
    /// Lengths, seconds.
    pub span_s: &'a [u32],
    /// Ends, milliseconds since 1970.
    pub end_ms: &'a [u64],
    /// Means.
    pub mean: &'a [f64],
    /// Smallest values.
    pub minimum: &'a [f64],
    /// Largest values.
    pub maximum: &'a [f64],
    /// Latest values.
    pub last: &'a [f64],
    /// Shares covered, 0 to 1.
    pub coverage: &'a [f64],
}

impl<'a> WindowColumns<'a> {
    pub(crate) fn len(&self) -> usize {
        self.asset.len()
    }

    pub(crate) fn is_rectangular(&self) -> bool {
        let lengths = [
            self.metric.len(),
            self.span_s.len(),
            self.end_ms.len(),
            self.mean.len(),
            self.minimum.len(),
            self.maximum.len(),
            self.last.len(),
            self.coverage.len(),
        ];
        lengths.iter().all(|&len| len == self.len())
    }

    /// `first`: rows of the batch before these, its readings.
    pub(crate) fn rows(
        &self,
        first: usize,
        twin: &'a TwinColumns<'a>,
    ) -> impl Iterator<Item = Window<'a>> {
        let place = self.asset.iter().zip(self.metric);
        let when = self.span_s.iter().zip(self.end_ms);
        let range = self.minimum.iter().zip(self.maximum);
        let rest = self.last.iter().zip(self.coverage);
        let what = self.mean.iter().zip(range.zip(rest));
        let rows = (first..).zip(place.zip(when).zip(what));
        rows.map(
            |(
                row,
                (
                    ((&asset, &metric), (&span_s, &end_ms)),
                    (&mean, ((&min, &max), (&last, &coverage))),
                ),
            )| Window {
                asset: AssetId(asset),
                metric: Metric(metric),
                span_s,
                end_ms,
                mean,
                min,
                max,
                last,
                coverage,
                twin: TwinRow { columns: twin, row },
            },
        )
    }
}
