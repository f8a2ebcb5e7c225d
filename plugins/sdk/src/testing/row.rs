//! Rows by name, and the columns they make.

use crate::rows::{Quality, ReadingColumns, WindowColumns};

/// A reading or a closed window, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub(super) asset: String,
    pub(super) metric: String,
    pub(super) time_ms: u64,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Reading {
        value: f64,
        quality: Quality,
    },
    Window {
        span_s: u32,
        mean: f64,
        range: [f64; 2],
        last: f64,
        coverage: f64,
    },
}

impl Row {
    /// A good reading; time in milliseconds since 1970.
    #[must_use]
    pub fn reading(asset: &str, metric: &str, value: f64, time_ms: u64) -> Self {
        let quality = Quality::Good;
        Self::new(asset, metric, time_ms, What::Reading { value, quality })
    }

    /// A window that is covered whole and whose values were all the same; its end in milliseconds
    /// since 1970.
    #[must_use]
    pub fn window(asset: &str, metric: &str, span_s: u32, mean: f64, end_ms: u64) -> Self {
        let what = What::Window {
            span_s,
            mean,
            range: [mean; 2],
            last: mean,
            coverage: 1.0,
        };
        Self::new(asset, metric, end_ms, what)
    }

    fn new(asset: &str, metric: &str, time_ms: u64, what: What) -> Self {
        Self {
            asset: asset.to_owned(),
            metric: metric.to_owned(),
            time_ms,
            what,
        }
    }

    /// The reading with another quality. Of a window nothing changes.
    #[must_use]
    pub fn quality(mut self, graded: Quality) -> Self {
        if let What::Reading { quality, .. } = &mut self.what {
            *quality = graded;
        }
        self
    }

    /// The window with another coverage, 0 to 1. Of a reading nothing changes.
    #[must_use]
    pub fn coverage(mut self, share: f64) -> Self {
        if let What::Window { coverage, .. } = &mut self.what {
            *coverage = share;
        }
        self
    }

    /// The window with smallest, largest and latest value. Of a reading nothing changes.
    #[must_use]
    pub fn values(mut self, min: f64, max: f64, latest: f64) -> Self {
        if let What::Window { range, last, .. } = &mut self.what {
            (*range, *last) = ([min, max], latest);
        }
        self
    }

    pub(super) fn is_window(&self) -> bool {
        matches!(self.what, What::Window { .. })
    }
}

/// Columns that are owned.
#[derive(Debug, Default)]
pub(super) struct Columns {
    asset: [Vec<u32>; 2],
    metric: [Vec<u32>; 2],
    time_ms: [Vec<u64>; 2],
    value: Vec<f64>,
    quality: Vec<u8>,
    span_s: Vec<u32>,
    window: [Vec<f64>; 5],
}

impl Columns {
    pub(super) fn push(&mut self, asset: u32, metric: u32, row: &Row) {
        let table = usize::from(row.is_window());
        self.asset[table].push(asset);
        self.metric[table].push(metric);
        self.time_ms[table].push(row.time_ms);
        match row.what {
            What::Reading { value, quality } => {
                self.value.push(value);
                self.quality.push(quality as u8);
            }
            What::Window {
                span_s,
                mean,
                range: [min, max],
                last,
                coverage,
            } => {
                self.span_s.push(span_s);
                let values = [mean, min, max, last, coverage];
                for (column, value) in self.window.iter_mut().zip(values) {
                    column.push(value);
                }
            }
        }
    }

    pub(super) fn readings(&self) -> ReadingColumns<'_> {
        ReadingColumns {
            asset: &self.asset[0],
            metric: &self.metric[0],
            value: &self.value,
            ts_ms: &self.time_ms[0],
            quality: &self.quality,
        }
    }

    pub(super) fn windows(&self) -> WindowColumns<'_> {
        let [mean, minimum, maximum, last, coverage] = &self.window;
        WindowColumns {
            asset: &self.asset[1],
            metric: &self.metric[1],
            span_s: &self.span_s,
            end_ms: &self.time_ms[1],
            mean,
            minimum,
            maximum,
            last,
            coverage,
        }
    }
}
