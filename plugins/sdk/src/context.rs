//! What a rule may do while it looks at a row: look at the quarter, and say something. What it says
//! carries the row as its cause.

use crate::assets::Assets;
use crate::hysteresis::Limit;
use crate::ids::{AssetId, CommandId, Metric, Prop, Topic};
use crate::services::Services;

/// How bad an alert is, in rising order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A limit is near or passed for a while.
    Warning,
    /// A limit is passed.
    Major,
    /// People or equipment are in danger.
    Critical,
}

/// How much a line of the plugin's log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a mistake.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is not as it should be.
    Warn,
    /// The rule cannot do its work.
    Error,
}

/// An alert raised or cleared.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// About which asset.
    pub asset: AssetId,
    /// Topic of the manifest.
    pub topic: Topic,
    /// How bad it is.
    pub severity: Severity,
    /// Which limit of the topic.
    pub code: u32,
    /// Raised, or cleared.
    pub raise: bool,
    /// Value that decided.
    pub value: f64,
    /// For people.
    pub text: String,
    /// Row of the batch, readings first, then windows; 0 in a tick.
    pub cause: u32,
}

/// An intent to set a property of an asset.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Which asset.
    pub asset: AssetId,
    /// Command of the manifest.
    pub command: CommandId,
    /// Within the manifest's range.
    pub arg: f64,
    /// Milliseconds since 1970.
    pub expires_ms: u64,
    /// The same key: the same intent.
    pub dedup_key: u64,
    /// Row of the batch, readings first, then windows; 0 in a tick.
    pub cause: u32,
}

/// Everything said in answer to a batch or a tick.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// Of the values derived: asset numbers.
    pub asset: Vec<u32>,
    /// Metric numbers.
    pub metric: Vec<u32>,
    /// Values.
    pub value: Vec<f64>,
    /// Event times, milliseconds since 1970.
    pub ts_ms: Vec<u64>,
    /// Alerts raised and cleared.
    pub alerts: Vec<Alert>,
    /// Intents.
    pub commands: Vec<Command>,
}

/// What a rule may do.
#[derive(Debug)]
pub struct Context<'a> {
    assets: &'a Assets,
    services: &'a mut Services,
    pub(crate) output: Output,
    pub(crate) cause: u32,
}

impl<'a> Context<'a> {
    pub(crate) fn new(assets: &'a Assets, services: &'a mut Services) -> Self {
        Self {
            assets,
            services,
            output: Output::default(),
            cause: 0,
        }
    }

    /// The plugin's assets.
    #[must_use]
    pub fn assets(&self) -> &'a Assets {
        self.assets
    }

    /// A value of a metric of `emits.derived`, finite; a second one for the same asset, metric and
    /// time takes the place of the first.
    pub fn derive(&mut self, asset: AssetId, metric: Metric, value: f64, time_ms: u64) {
        let out = &mut self.output;
        out.asset.push(asset.0);
        out.metric.push(metric.0);
        out.value.push(value);
        out.ts_ms.push(time_ms);
    }

    /// Raises an alert; it takes the place of another one of the same topic and asset. The text is
    /// for people, at most 1024 bytes.
    pub fn raise(
        &mut self,
        asset: AssetId,
        topic: Topic,
        limit: &Limit,
        severity: Severity,
        value: f64,
        text: impl Into<String>,
    ) {
        let alert = self.alert(asset, topic, limit, value, text.into());
        self.output.alerts.push(Alert {
            severity,
            raise: true,
            ..alert
        });
    }

    /// Clears the alert of a topic and asset.
    pub fn clear(
        &mut self,
        asset: AssetId,
        topic: Topic,
        limit: &Limit,
        value: f64,
        text: impl Into<String>,
    ) {
        let alert = self.alert(asset, topic, limit, value, text.into());
        self.output.alerts.push(alert);
    }

    /// Asks for a command. The same `dedup_key` is the same intent, which is sent once.
    pub fn command(
        &mut self,
        asset: AssetId,
        command: CommandId,
        arg: f64,
        expires_ms: u64,
        dedup_key: u64,
    ) {
        self.output.commands.push(Command {
            asset,
            command,
            arg,
            expires_ms,
            dedup_key,
            cause: self.cause,
        });
    }

    /// A line in the plugin's log: at most 16 a batch, 500 characters each; nothing that decides.
    pub fn log(&mut self, level: Level, line: impl AsRef<str>) {
        self.services.log(level, line.as_ref());
    }

    /// A property of another asset: the newest value that the plugin was shown beside a row of it;
    /// `None` where there was none. Rows of the same batch that are still to come count, so it is for
    /// what changes rarely; what changes with the rows is remembered in the state. Each is a call
    /// to the host: of the row's own asset use [`Reading::prop`](crate::Reading::prop).
    pub fn twin(&mut self, asset: AssetId, prop: Prop) -> Option<f64> {
        let value = self.services.twin(asset, prop);
        value.is_finite().then_some(value)
    }

    fn alert(
        &self,
        asset: AssetId,
        topic: Topic,
        limit: &Limit,
        value: f64,
        text: String,
    ) -> Alert {
        Alert {
            asset,
            topic,
            severity: Severity::Info,
            code: limit.code,
            raise: false,
            value,
            text,
            cause: self.cause,
        }
    }
}
