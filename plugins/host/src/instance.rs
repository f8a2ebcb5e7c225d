//! One instance of a plugin: every call gets its fuel and its deadline, every end of a call that is
//! not an answer becomes a [`Failure`]. After a failure the instance is not to be called again.

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Store, Trap};

use crate::answer::{FailureKind, Level};
use crate::bindings::LabRule;
use crate::bindings::exports::quartier::rule::rule as export;
use crate::bindings::quartier::rule::{log, twin, types};
use crate::engine::TICK;
use crate::limits::{Limits, TooLarge};
use crate::newest::Newest;
use crate::plugin::Plugin;
use crate::types::{Asset, Batch, Dictionary, Entry, Relation};

/// Fuel for `init`, `snapshot` and `restore`.
const LIFECYCLE_FUEL: u64 = 2_000_000_000;
/// Lines that a plugin may log during one call; more are dropped.
const LOG_LINES: u32 = 16;
/// Characters of a logged line.
const LOG_CHARS: usize = 500;
/// Bytes that a plugin may make the host copy during one call by calls of its own, lines that are
/// dropped included. Fuel does not pay for them.
const HOST_BYTES: usize = 16 << 20;
/// What a call of the host counts beside its bytes.
const HOST_CALL: usize = 64;

/// Why a call gave no answer. The text is the same for the same cause: it enters decisions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}: out of fuel")]
    OutOfFuel(&'static str),
    #[error("{0}: no answer within {1} ms")]
    Deadline(&'static str, u64),
    #[error("{0}: {1}")]
    Memory(&'static str, TooLarge),
    #[error("{0}: {1}")]
    HostCalls(&'static str, TooChatty),
    #[error("{0}: trap: {1}")]
    Trap(&'static str, String),
    #[error("{0}: {1}")]
    Refused(&'static str, String),
    #[error("snapshot: state of {0} bytes, quota {1}")]
    State(usize, u64),
    #[error("the host has no room for another instance")]
    NoRoom,
}

impl Failure {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::OutOfFuel(_) => FailureKind::Fuel,
            Self::Deadline(..) => FailureKind::Deadline,
            Self::Memory(..) => FailureKind::Memory,
            Self::HostCalls(..) => FailureKind::HostCalls,
            Self::Trap(..) => FailureKind::Trap,
            Self::Refused(..) => FailureKind::Refused,
            Self::State(..) => FailureKind::State,
            Self::NoRoom => FailureKind::NoRoom,
        }
    }
}

/// Ends the call that makes the host work more than [`HOST_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {HOST_BYTES} bytes of log and twin properties in one call")]
pub(crate) struct TooChatty;

/// What the host keeps beside an instance.
pub(crate) struct Inside {
    limits: Limits,
    plugin: String,
    log: Vec<(Level, String)>,
    log_lines: u32,
    host_bytes: usize,
    newest: Newest,
}

impl Inside {
    fn pay(&mut self, bytes: usize) -> Result<(), TooChatty> {
        let left = self.host_bytes.checked_sub(bytes.saturating_add(HOST_CALL));
        self.host_bytes = left.ok_or(TooChatty)?;
        Ok(())
    }
}

impl types::Host for Inside {}

impl log::Host for Inside {
    fn log(&mut self, level: log::Level, msg: String) -> wasmtime::Result<()> {
        self.pay(msg.len())?;
        let Some(left) = self.log_lines.checked_sub(1) else {
            return Ok(());
        };
        self.log_lines = left;
        let (level, message) = (self::level(level), cut(&msg));
        tracing::debug!(plugin = %self.plugin, ?level, %message, "plugin says");
        self.log.push((level, message));
        Ok(())
    }
}

impl twin::Host for Inside {
    fn get_many(&mut self, assets: Vec<u32>, prop: u32) -> wasmtime::Result<Vec<f64>> {
        self.pay(
            assets
                .len()
                .saturating_mul(size_of::<u32>() + size_of::<f64>()),
        )?;
        let newest = |asset: u32| self.newest.get(asset, prop);
        Ok(assets.into_iter().map(newest).collect())
    }
}

/// Links what the world offers.
pub(crate) fn link(linker: &mut Linker<Inside>) -> wasmtime::Result<()> {
    LabRule::add_to_linker::<_, HasSelf<Inside>>(linker, |inside| inside)
}

/// A call's answer before the checks, and the fuel it used.
pub(crate) type Answered<T> = Result<(T, u64), Failure>;

pub(crate) struct Instance {
    store: Store<Inside>,
    rule: LabRule,
    plugin: Plugin,
    /// Numbers of the columns of properties.
    props: Vec<u32>,
}

impl Instance {
    /// `newest`: what it was shown already, where it may ask for it.
    pub(crate) fn new(plugin: &Plugin, props: &[u32], newest: &Newest) -> Result<Self, Failure> {
        let manifest = plugin.manifest();
        let memory_bytes = usize::try_from(manifest.quotas.memory_bytes).unwrap_or(usize::MAX);
        let inside = Inside {
            limits: Limits {
                memory_bytes,
                used: 0,
            },
            plugin: manifest.id.clone(),
            log: Vec::new(),
            log_lines: LOG_LINES,
            host_bytes: HOST_BYTES,
            newest: newest.clone(),
        };
        let pre = plugin.pre();
        let mut store = Store::new(pre.engine(), inside);
        store.limiter(|inside| &mut inside.limits);
        // What one call may make the host allocate when it reads the answer.
        store.set_hostcall_fuel(memory_bytes);
        arm(&mut store, plugin, LIFECYCLE_FUEL);
        let rule = pre
            .instantiate(&mut store)
            .map_err(|e| failure("start", plugin, &e))?;
        Ok(Self {
            store,
            rule,
            plugin: plugin.clone(),
            props: props.to_vec(),
        })
    }

    /// What it said since it was last asked.
    pub(crate) fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.store.data_mut().log)
    }

    fn call<T>(
        &mut self,
        what: &'static str,
        fuel: u64,
        f: impl FnOnce(&export::Guest, &mut Store<Inside>) -> wasmtime::Result<T>,
    ) -> Answered<T> {
        arm(&mut self.store, &self.plugin, fuel);
        let answer = f(self.rule.quartier_rule_rule(), &mut self.store)
            .map_err(|error| failure(what, &self.plugin, &error))?;
        Ok((answer, fuel - self.store.get_fuel().unwrap_or(0).min(fuel)))
    }

    /// A call that may refuse.
    fn ask<T>(
        &mut self,
        what: &'static str,
        fuel: u64,
        f: impl FnOnce(
            &export::Guest,
            &mut Store<Inside>,
        ) -> wasmtime::Result<Result<T, types::RuleError>>,
    ) -> Answered<T> {
        match self.call(what, fuel, f)? {
            (Ok(answer), fuel) => Ok((answer, fuel)),
            (Err(error), _) => Err(Failure::Refused(what, refusal(error))),
        }
    }

    pub(crate) fn init(
        &mut self,
        dict: &Dictionary,
        config: &[(String, String)],
    ) -> Result<(), Failure> {
        let (metrics, props) = (entries(&dict.metrics), entries(&dict.props));
        let (topics, commands) = (entries(&dict.topics), entries(&dict.commands));
        let dict = types::Dictionary {
            metrics: &metrics,
            props: &props,
            topics: &topics,
            commands: &commands,
        };
        let config: Vec<(&str, &str)> = config.iter().map(|(k, v)| (&**k, &**v)).collect();
        self.ask("init", LIFECYCLE_FUEL, |rule, store| {
            rule.call_init(store, dict, &config)
        })?;
        Ok(())
    }

    pub(crate) fn on_assets(&mut self, changed: &[&Asset]) -> Answered<()> {
        let pairs: Vec<Vec<(&str, &str)>> = changed
            .iter()
            .map(|asset| asset.attributes.iter().map(|(k, v)| (&**k, &**v)).collect())
            .collect();
        let relations: Vec<Vec<types::Relation<'_>>> = changed
            .iter()
            .map(|asset| asset.relations.iter().map(relation).collect())
            .collect();
        let rows: Vec<types::Asset<'_>> = changed
            .iter()
            .zip(pairs.iter().zip(&relations))
            .map(|(asset, (attributes, relations))| types::Asset {
                id: asset.id,
                urn: &asset.urn,
                kind: &asset.kind,
                cell: asset.cell,
                attributes,
                relations,
            })
            .collect();
        let newest = &mut self.store.data_mut().newest;
        newest.forget(changed.iter().copied(), &self.props);
        let fuel = self.fuel(rows.len());
        self.ask("on-assets", fuel, |rule, store| {
            rule.call_on_assets(store, &rows)
        })
    }

    pub(crate) fn on_batch(&mut self, batch: &Batch) -> Answered<types::Output> {
        if self.plugin.asks() {
            self.store.data_mut().newest.show(batch, &self.props);
        }
        let readings = types::Batch {
            seq: batch.seq,
            now_ms: batch.now_ms,
            asset: &batch.asset,
            metric: &batch.metric,
            value: &batch.value,
            ts_ms: &batch.ts_ms,
            quality: &batch.quality,
        };
        let w = &batch.windows;
        let windows = types::Windows {
            asset: &w.asset,
            metric: &w.metric,
            span_s: &w.span_s,
            end_ms: &w.end_ms,
            mean: &w.mean,
            minimum: &w.minimum,
            maximum: &w.maximum,
            last: &w.last,
            coverage: &w.coverage,
        };
        let props = self.props.clone();
        let twin = types::TwinView {
            props: &props,
            values: &batch.props,
        };
        let fuel = self.fuel(batch.rows());
        self.ask("on-batch", fuel, |rule, store| {
            rule.call_on_batch(store, readings, windows, twin)
        })
    }

    pub(crate) fn on_tick(&mut self, now_ms: u64) -> Answered<types::Output> {
        let fuel = self.fuel(0);
        self.ask("on-tick", fuel, |rule, store| {
            rule.call_on_tick(store, now_ms)
        })
    }

    pub(crate) fn snapshot(&mut self) -> Result<Vec<u8>, Failure> {
        let (state, _) = self.call("snapshot", LIFECYCLE_FUEL, |rule, store| {
            rule.call_snapshot(store)
        })?;
        let quota = self.plugin.manifest().quotas.state_bytes;
        match state.len() as u64 <= quota {
            true => Ok(state),
            false => Err(Failure::State(state.len(), quota)),
        }
    }

    pub(crate) fn restore(&mut self, state: &[u8]) -> Result<(), Failure> {
        self.ask("restore", LIFECYCLE_FUEL, |rule, store| {
            rule.call_restore(store, state)
        })?;
        Ok(())
    }

    fn fuel(&self, rows: usize) -> u64 {
        let quotas = &self.plugin.manifest().quotas;
        quotas
            .fuel_per_batch
            .saturating_add(quotas.fuel_per_reading.saturating_mul(rows as u64))
    }
}

fn relation(relation: &Relation) -> types::Relation<'_> {
    types::Relation {
        kind: &relation.kind,
        target: relation.target,
    }
}

fn entries(list: &[Entry]) -> Vec<types::Entry<'_>> {
    list.iter()
        .map(|e| types::Entry {
            id: e.id,
            urn: &e.urn,
            unit: &e.unit,
        })
        .collect()
}

/// Gives the next call its fuel, its deadline and its lines of log.
fn arm(store: &mut Store<Inside>, plugin: &Plugin, fuel: u64) {
    // Fails only where the engine counts no fuel; this one does.
    let _ = store.set_fuel(fuel);
    // One more: the current tick has partly passed.
    let ticks = plugin
        .manifest()
        .quotas
        .deadline_ms
        .div_ceil(TICK.as_millis() as u64)
        + 1;
    store.set_epoch_deadline(ticks);
    let inside = store.data_mut();
    (inside.log_lines, inside.host_bytes) = (LOG_LINES, HOST_BYTES);
}

fn failure(what: &'static str, plugin: &Plugin, error: &wasmtime::Error) -> Failure {
    tracing::debug!(plugin = plugin.manifest().id, call = what, error = %format!("{error:#}"));
    if let Some(too_large) = error.downcast_ref::<TooLarge>() {
        return Failure::Memory(what, *too_large);
    }
    if let Some(too_chatty) = error.downcast_ref::<TooChatty>() {
        return Failure::HostCalls(what, *too_chatty);
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Failure::NoRoom;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::OutOfFuel(what),
        Some(Trap::Interrupt) => Failure::Deadline(what, plugin.manifest().quotas.deadline_ms),
        Some(trap) => Failure::Trap(what, trap.to_string()),
        None => Failure::Trap(what, error.root_cause().to_string()),
    }
}

fn refusal(error: types::RuleError) -> String {
    match error {
        types::RuleError::BadConfig(text) => format!("bad configuration: {}", cut(&text)),
        types::RuleError::BadInput(row) => format!("bad input in row {row}"),
        types::RuleError::Internal(text) => format!("internal: {}", cut(&text)),
    }
}

fn level(raw: log::Level) -> Level {
    match raw {
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LOG_CHARS).collect()
}
