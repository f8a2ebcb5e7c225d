//! What a rule said, by name.

use crate::context::Severity;

/// One thing a rule said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A value derived.
    Derived {
        /// Name of the asset.
        asset: String,
        /// Name of the metric.
        metric: String,
        /// In the metric's unit.
        value: f64,
        /// Event time, milliseconds since 1970.
        time_ms: u64,
    },
    /// An alert raised.
    Raised {
        /// Name of the asset.
        asset: String,
        /// Name of the alert topic.
        rule: String,
        /// Which limit of the topic.
        code: u32,
        /// How bad it is.
        severity: Severity,
        /// Value that decided.
        value: f64,
        /// For people.
        text: String,
    },
    /// An alert cleared.
    Cleared {
        /// Name of the asset.
        asset: String,
        /// Name of the alert topic.
        rule: String,
        /// Which limit of the topic.
        code: u32,
        /// Value that decided.
        value: f64,
        /// For people.
        text: String,
    },
    /// A command asked for.
    Command {
        /// Name of the asset.
        asset: String,
        /// Name of the command.
        command: String,
        /// Its argument.
        arg: f64,
        /// Milliseconds since 1970.
        expires_ms: u64,
        /// The same key: the same intent.
        dedup_key: u64,
    },
}

impl Said {
    /// Name of the asset it is about.
    #[must_use]
    pub fn asset(&self) -> &str {
        match self {
            Self::Derived { asset, .. }
            | Self::Raised { asset, .. }
            | Self::Cleared { asset, .. }
            | Self::Command { asset, .. } => asset,
        }
    }

    /// The value derived, where it is one of this metric.
    #[must_use]
    pub fn derived(&self, name: &str) -> Option<f64> {
        match self {
            Self::Derived { metric, value, .. } if metric == name => Some(*value),
            _ => None,
        }
    }

    /// Raised (`true`) or cleared, where it is an alert of this topic.
    #[must_use]
    pub fn alert(&self, topic: &str) -> Option<bool> {
        match self {
            Self::Raised { rule, .. } if rule == topic => Some(true),
            Self::Cleared { rule, .. } if rule == topic => Some(false),
            _ => None,
        }
    }

    /// Values, alerts and commands apart, each by asset and name: the order between them is the
    /// batches' and says nothing.
    pub(super) fn place(&self) -> (u8, &str, &str) {
        match self {
            Self::Derived { asset, metric, .. } => (0, asset, metric),
            Self::Raised { asset, rule, .. } | Self::Cleared { asset, rule, .. } => {
                (1, asset, rule)
            }
            Self::Command { asset, command, .. } => (2, asset, command),
        }
    }
}

/// The values of a metric among what was said, in order.
#[must_use]
pub fn values(said: &[Said], metric: &str) -> Vec<f64> {
    said.iter()
        .filter_map(|said| said.derived(metric))
        .collect()
}
