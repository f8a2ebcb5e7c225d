//! How the node is: each part with its state, for `/readyz`, the status topic and the live view.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::engine::WorkerStats;
use crate::event::TimeSource;
use crate::influx::{SinkReport, SinkState, SinkStatus};
use crate::journal::{Journal, JournalStats};
use crate::mqtt::Mqtt;
use crate::state::{Counts, Twin};
use crate::store::Store;

/// Entries the twin may be behind before it counts as late: some seconds at full load.
const LATE: u64 = 100_000;
/// Share of the quota from which on the journal warns.
const NEARLY_FULL: f64 = 0.9;

/// State of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Works.
    Ok,
    /// Works with a fault that somebody should look at.
    Degraded,
    /// Does not work.
    Down,
}

/// A part and its state.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// `journal`, `twin`, `mqtt`, `plugins`, `clock` of a box, `influx`.
    pub name: &'static str,
    /// State.
    pub state: State,
    /// For people: figures, or what is wrong and what to do.
    pub detail: String,
}

/// Reads figures from all parts; cheap enough to be asked every second.
pub struct Status {
    /// Name of the node.
    pub node: String,
    /// Its clock.
    pub clock: Arc<Clock>,
    /// Its journal.
    pub journal: Arc<dyn Journal>,
    /// What it keeps beside its journal.
    pub store: Arc<Store>,
    /// Its twin.
    pub twin: Arc<RwLock<Twin>>,
    /// How far the twin is folded.
    pub folded: watch::Receiver<u64>,
    /// Its way to its clients.
    pub mqtt: Mqtt,
    /// Its InfluxDB sink, where there is one.
    pub influx: Option<Arc<SinkState>>,
    /// Its plugins.
    pub plugins: Box<dyn Fn() -> Vec<WorkerStats> + Send + Sync>,
    /// Parts that run beside the node.
    pub beside: Vec<PartOf>,
    /// When it started.
    pub started: Instant,
}

/// Tells how a part is.
pub type PartOf = Arc<dyn Fn() -> Part + Send + Sync>;

/// What the status topic says.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeStatus {
    /// `online` or `offline`.
    #[schema(pattern = "^(online|offline)$")]
    pub status: &'static str,
    /// Last durable position of the journal.
    pub position: u64,
    /// Entries that each output is behind.
    pub lag: Lag,
    /// Parts that are not well, with what to do: a journal near its quota, a sink that waits.
    pub warnings: Vec<String>,
}

/// Entries behind the journal.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Lag {
    /// The twin and its topics.
    pub twin: u64,
    /// The InfluxDB sink, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influx: Option<u64>,
}

impl Status {
    /// All parts, those that everything needs first.
    pub fn parts(&self) -> Vec<Part> {
        let stats = self.journal.stats();
        let mut parts = vec![
            journal(&stats),
            store(&self.store),
            self.twin_part(&stats),
            self.mqtt(),
            self.plugin_part(),
        ];
        parts.extend(self.clock_part());
        parts.extend(self.influx.as_ref().map(|influx| sink(&influx.report())));
        parts.extend(self.beside.iter().map(|part| part()));
        parts
    }

    /// What the fold counted.
    pub fn counts(&self) -> Counts {
        self.twin.read().counts()
    }

    /// What the status topic says while the node runs.
    pub fn online(&self) -> NodeStatus {
        let position = self.journal.stats().durable;
        let unwell = |part: Part| {
            (part.state != State::Ok).then(|| format!("{}: {}", part.name, part.detail))
        };
        NodeStatus {
            status: "online",
            position,
            warnings: self.parts().into_iter().filter_map(unwell).collect(),
            lag: self.lag(),
        }
    }

    /// How far each output is behind.
    pub fn lag(&self) -> Lag {
        let position = self.journal.stats().durable;
        Lag {
            twin: position.saturating_sub(*self.folded.borrow()),
            influx: self.influx.as_ref().map(|influx| influx.report().lag),
        }
    }

    fn twin_part(&self, stats: &JournalStats) -> Part {
        let behind = stats.durable.saturating_sub(*self.folded.borrow());
        let state = if behind < LATE {
            State::Ok
        } else {
            State::Degraded
        };
        let twin = self.twin.read();
        let (assets, streams) = (twin.assets().len(), twin.streams().len());
        let detail = format!("{assets} assets, {streams} streams, {behind} entries behind");
        Part {
            name: "twin",
            state,
            detail,
        }
    }

    fn mqtt(&self) -> Part {
        let (state, detail) = match &self.mqtt {
            Mqtt::Embedded(broker) => {
                let connections = broker.stats().connections;
                (State::Ok, format!("{connections} connections"))
            }
            Mqtt::External(external) => {
                let (name, waiting) = (external.name(), external.outbox().len());
                match external.trouble() {
                    None => (
                        State::Ok,
                        format!("connected to {name}, {waiting} messages wait"),
                    ),
                    Some(why) => (
                        State::Degraded,
                        format!("no connection to {name}: {why}; {waiting} messages wait"),
                    ),
                }
            }
        };
        Part {
            name: "mqtt",
            state,
            detail,
        }
    }

    /// A server's clock is what it is.
    fn clock_part(&self) -> Option<Part> {
        let clock = self.clock.report();
        let (state, detail) = match clock.known {
            Some(TimeSource::Wall) => return None,
            Some(source) => {
                let detail = format!("the time is known from {}", source.as_str());
                (State::Ok, detail)
            }
            None => {
                let detail = format!(
                    "the time is not known since {} by the box's own guess; readings without a \
                     time are marked until NTP or the city tells it",
                    clock.since
                );
                (State::Degraded, detail)
            }
        };
        Some(Part {
            name: "clock",
            state,
            detail,
        })
    }

    fn plugin_part(&self) -> Part {
        let stats = (self.plugins)();
        let set_aside: Vec<_> = stats
            .iter()
            .filter(|plugin| plugin.quarantined)
            .map(|plugin| {
                let note = plugin.note.as_ref().map(|note| format!(" ({note})"));
                let note = note.unwrap_or_default();
                format!("{} in {}{note}", plugin.plugin, plugin.quarter)
            })
            .collect();
        if set_aside.is_empty() {
            let detail = format!("{} running", stats.len());
            Part {
                name: "plugins",
                state: State::Ok,
                detail,
            }
        } else {
            let detail = format!("in quarantine: {}", set_aside.join(", "));
            Part {
                name: "plugins",
                state: State::Degraded,
                detail,
            }
        }
    }
}

fn store(store: &Store) -> Part {
    let (state, detail) = match (store.is_poisoned(), store.set_aside()) {
        (true, _) => (
            State::Down,
            "a write failed, and it takes none until a restart: see to the disk, then restart"
                .to_owned(),
        ),
        (false, Some(aside)) => (
            State::Degraded,
            format!(
                "it was damaged, and began anew: sessions, what waited for them, dead letters and \
                 older decisions are in {}; see to the disk, and remove that folder",
                aside.display()
            ),
        ),
        (false, None) => (State::Ok, "takes what is written".to_owned()),
    };
    Part {
        name: "store",
        state,
        detail,
    }
}

fn journal(stats: &JournalStats) -> Part {
    let (mb, quota) = (stats.bytes / 1_000_000, stats.quota / 1_000_000);
    let part = |state, detail| Part {
        name: "journal",
        state,
        detail,
    };
    if let Some(failed) = &stats.failed {
        return part(
            State::Down,
            format!("{failed}; check the disk and restart the node"),
        );
    }
    if stats.no_space {
        return part(
            State::Down,
            "the disk is full; devices wait until there is room".to_owned(),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "a share, for a threshold")]
    let share = stats.bytes as f64 / stats.quota.max(1) as f64;
    let mut wrong = Vec::new();
    if share > NEARLY_FULL {
        wrong.push(format!("{mb} of {quota} MB quota used"));
    }
    if stats.dropped > 0 {
        let dropped = stats.dropped;
        wrong.push(format!(
            "{dropped} entries dropped before they were sent, for room"
        ));
    }
    if stats.corrupt > 0 {
        wrong.push(format!(
            "{} damaged segments set aside, {} entries lost; check the disk, then move the \
             .corrupt files out of the journal's folder and restart",
            stats.corrupt, stats.lost
        ));
    }
    if !wrong.is_empty() {
        return part(State::Degraded, wrong.join("; "));
    }
    part(
        State::Ok,
        format!("position {}, {mb} of {quota} MB", stats.durable),
    )
}

fn sink(report: &SinkReport) -> Part {
    let state = if report.status == SinkStatus::Ok {
        State::Ok
    } else {
        State::Degraded
    };
    let mut detail = format!("{} lines sent, {} entries behind", report.lines, report.lag);
    if let Some(error) = &report.last_error {
        detail = format!("{detail}; {error}");
    }
    Part {
        name: "influx",
        state,
        detail,
    }
}
