//! Edge boxes, as the city knows them; and what a box has done of the city's orders.
//!
//! A box's quarter has its home in the box's journal. The city folds the same entries in the same
//! order into a twin of its own, the replica; so both are equal byte for byte at the same position
//! of the box's journal. What the replica's fold says is mirrored into the city's twin, which is
//! what everybody sees.

mod alerts;
mod news;
mod orders;
#[cfg(test)]
mod tests;
mod uplinked;
mod whole;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Command, CommandId, Correction, Effects, Twin};
use crate::event::{
    Digest, EdgeEnrolled, EdgeJudged, EdgeJudgement, EdgeOrdered, EdgeSettings, OrderTaken,
    Removed, Stamp,
};
use crate::model::Millis;
use crate::uplink::{Chain, Cursor, Echo, Health, JournalId};

use whole::Arriving;

pub use orders::{MAX_ORDERS, OrdersTaken};

/// Ranges of lost entries, refusals and outcomes that are remembered of a box.
const REMEMBERED: usize = 100;

/// All boxes by the name of their node.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Edges {
    by_node: BTreeMap<String, Edge>,
}

/// How a box stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It works.
    Active,
    /// It sends what it has and takes nothing new.
    Draining,
    /// It is refused.
    Retired,
}

impl Standing {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Retired => "retired",
        }
    }
}

/// Entries of a box that are gone for good, as it declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
}

/// A comparison of the states of box and replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Position of the box's journal.
    pub position: u64,
    /// SHA-256 of the box's state there.
    pub state: Digest,
    /// Whether the replica's is the same.
    pub equal: bool,
    /// When it was compared.
    pub at: Millis,
}

/// A box.
#[derive(Debug, Serialize, Deserialize)]
pub struct Edge {
    /// Who it is.
    pub record: EdgeEnrolled,
    /// How it stands.
    pub standing: Standing,
    /// The last word of a person on it.
    pub judged: Option<EdgeJudged>,
    /// Its journal; `None` before the first batch.
    journal: Option<JournalId>,
    /// How far the replica is.
    chain: Option<Chain>,
    /// Its quarter's state, folded from its own entries.
    #[serde(deserialize_with = "whole::replica")]
    replica: Twin,
    /// Entries are lost, and since then the replica was not found equal.
    unsure: bool,
    /// Of a state that is to replace the replica.
    arriving: Option<Arriving>,
    /// How often one did.
    repaired: u64,
    /// What is gone for good, the newest last.
    lost: VecDeque<Lost>,
    /// The newest message.
    heard: Option<Echo>,
    /// Last position of its journal that it told.
    head: u64,
    /// Position up to which news told alerts and commands.
    told: u64,
    /// Commands that news told and the replica has not come to.
    ahead: BTreeMap<CommandId, Command>,
    /// Corrections of guessed times that news told; the replica has those it has come to.
    corrections: VecDeque<Correction>,
    /// How it is.
    health: Option<Health>,
    /// What it is to do and has not taken, by number.
    orders: BTreeMap<u64, EdgeOrdered>,
    /// What became of orders, the newest last.
    outcomes: VecDeque<OrderTaken>,
    /// The newest comparison of states.
    proof: Option<Proof>,
    /// Comparisons that found a difference.
    differences: u64,
    /// Entries that came again.
    duplicates: u64,
    /// Messages that were refused.
    refused: u64,
    /// Why the newest one was.
    refusal: Option<String>,
    /// Index of the city's stream by that of the replica's. Derived.
    #[serde(skip)]
    mirrored: Vec<Option<u32>>,
}

impl Edge {
    fn new(record: EdgeEnrolled) -> Self {
        Self {
            record,
            standing: Standing::Active,
            judged: None,
            journal: None,
            chain: None,
            replica: Twin::new(),
            unsure: false,
            arriving: None,
            repaired: 0,
            lost: VecDeque::new(),
            heard: None,
            head: 0,
            told: 0,
            ahead: BTreeMap::new(),
            corrections: VecDeque::new(),
            health: None,
            orders: BTreeMap::new(),
            outcomes: VecDeque::new(),
            proof: None,
            differences: 0,
            duplicates: 0,
            refused: 0,
            refusal: None,
            mirrored: Vec::new(),
        }
    }

    /// The box's twin as of [`Edge::received`].
    pub fn replica(&self) -> &Twin {
        &self.replica
    }

    /// Position of the box's journal up to which the city has everything that there is.
    pub fn received(&self) -> u64 {
        self.chain.map_or(0, |chain| chain.position)
    }

    /// Position and value of the chain; `None` before the first batch.
    pub fn chain(&self) -> Option<Chain> {
        self.chain
    }

    /// The city has everything that the box wrote up to this time, but what is declared as
    /// [`Edge::lost`]; `None` before the first batch.
    pub fn complete_through(&self) -> Option<Millis> {
        self.chain.map(|_| self.replica.now())
    }

    /// Last position of the box's journal that it told.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Entries that the box has and the city has not, as far as the box has told.
    pub fn behind(&self) -> u64 {
        self.head.saturating_sub(self.received())
    }

    /// What is gone for good, the newest last; the newest hundred ranges.
    pub fn lost(&self) -> impl Iterator<Item = &Lost> {
        self.lost.iter()
    }

    /// When the box was heard last, by both clocks.
    pub fn heard(&self) -> Option<Echo> {
        self.heard
    }

    /// What is to be added to the times of the `Untimed` readings of an entry of the box, also
    /// where the city knows of it before it has come to the correction.
    pub fn correction(&self, position: u64) -> Option<i64> {
        let told = || {
            let mut told = self.corrections.iter().rev();
            told.find_map(|correction| correction.offset(position))
        };
        self.replica.clock().correction(position).or_else(told)
    }

    /// How it is, as it said.
    pub fn health(&self) -> Option<&Health> {
        self.health.as_ref()
    }

    /// What it is to do and has not taken, by number.
    pub fn orders(&self) -> &BTreeMap<u64, EdgeOrdered> {
        &self.orders
    }

    /// What became of orders, the newest last.
    pub fn outcomes(&self) -> impl DoubleEndedIterator<Item = &OrderTaken> {
        self.outcomes.iter()
    }

    /// The newest comparison of states, and how many found a difference.
    pub fn proof(&self) -> (Option<Proof>, u64) {
        (self.proof, self.differences)
    }

    /// How often the replica was replaced by the box's state, because entries are lost.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Entries that came again; messages refused, and why the newest was.
    pub fn troubles(&self) -> (u64, u64, Option<&str>) {
        (self.duplicates, self.refused, self.refusal.as_deref())
    }

    /// Commands of the quarter, newest known state: what news told goes before the replica.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        let commands = self.replica.commands();
        let known = commands.open().chain(commands.ended());
        let known = known.filter(|command| !self.ahead.contains_key(&command.id));
        known.chain(self.ahead.values())
    }

    /// The stamps of what was wanted of the box, by whomever, that are remembered.
    pub fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let ahead = self.ahead.values().map(|command| &command.stamp);
        let orders = self.orders.values().map(|order| &order.stamp);
        self.replica.commands.stamps().chain(ahead).chain(orders)
    }

    /// What the box is told.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            journal: self.journal,
            chain: self.chain,
            echo: self.heard,
            wants_state: self.wants_state(),
            refused: self.refusal.clone(),
        }
    }

    fn refuse(&mut self, why: String) {
        self.refused += 1;
        self.refusal = Some(why);
    }
}

impl Edges {
    /// By the name of its node.
    pub fn get(&self, node: &str) -> Option<&Edge> {
        self.by_node.get(node)
    }

    /// All, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Edge> {
        self.by_node.values()
    }

    /// The box that is the home of a quarter: of several the one enrolled last and not retired.
    pub fn of_quarter(&self, quarter: &str) -> Option<&Edge> {
        self.iter()
            .find(|edge| edge.record.quarter == quarter && edge.standing != Standing::Retired)
    }
}

impl Twin {
    /// The boxes of this city.
    pub fn edges(&self) -> &Edges {
        &self.edges
    }

    /// The quarter's own twin: a box's replica, or this one.
    pub fn home(&self, quarter: &str) -> &Self {
        self.edges.of_quarter(quarter).map_or(self, Edge::replica)
    }

    /// The twins of all quarters: this one, and the replicas of boxes.
    pub fn homes(&self) -> impl Iterator<Item = &Self> {
        let boxes = self.edges.iter();
        let active = boxes.filter(|edge| edge.standing != Standing::Retired);
        std::iter::once(self).chain(active.map(Edge::replica))
    }

    /// All stamps that are remembered: this node has made or seen them.
    pub fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let of_boxes = self.edges.iter().flat_map(Edge::stamps);
        self.commands.stamps().chain(of_boxes)
    }

    /// What the city has set of this box.
    pub fn settings(&self) -> &EdgeSettings {
        &self.settings
    }

    /// The orders that this box has taken.
    pub fn orders_taken(&self) -> &OrdersTaken {
        &self.orders_taken
    }

    /// A box may connect. One that is not retired and enrols anew for the same quarter has renewed
    /// its certificate: its journal goes on, and what it has released is only here, so the replica
    /// stays. Otherwise it is a new box with a new journal. Another box of the quarter is retired.
    pub(super) fn enrol(&mut self, enrolled: &EdgeEnrolled, effects: &mut Effects) {
        for other in self.edges.by_node.values_mut() {
            if other.record.quarter == enrolled.quarter && other.record.node != enrolled.node {
                other.standing = Standing::Retired;
                effects.edges.push(other.record.node.clone());
            }
        }
        self.leave_to_box(&enrolled.quarter, effects);
        let known = self.edges.by_node.get_mut(&enrolled.node);
        let renews = |edge: &&mut Edge| {
            edge.standing != Standing::Retired && edge.record.quarter == enrolled.quarter
        };
        if let Some(edge) = known.filter(renews) {
            edge.record = enrolled.clone();
        } else {
            let edge = Edge::new(enrolled.clone());
            let before = self.edges.by_node.insert(enrolled.node.clone(), edge);
            if let Some(before) = before {
                self.forget_alerts(&before.record, effects);
            }
        }
        effects.edges.push(enrolled.node.clone());
    }

    /// What runs here for a quarter ends: its home is elsewhere.
    fn leave_to_box(&mut self, quarter: &str, effects: &mut Effects) {
        let running = self.deployments().map(|deployment| &deployment.record);
        let here = running.filter(|record| record.quarter == quarter);
        let plugins: Vec<_> = here.map(|record| record.plugin.clone()).collect();
        for plugin in plugins {
            let removed = Removed {
                quarter: quarter.to_owned(),
                plugin,
                why: "the quarter has its home on a box now".to_owned(),
                ..Removed::default()
            };
            self.undeploy(&removed, effects);
        }
    }

    /// A person says something of a box. Retired is for ever.
    pub(super) fn judge_edge(&mut self, judged: &EdgeJudged, effects: &mut Effects) {
        let Some(edge) = self.edges.by_node.get_mut(&judged.node) else {
            return;
        };
        if edge.standing == Standing::Retired {
            return;
        }
        edge.standing = match judged.judgement {
            EdgeJudgement::Drain => Standing::Draining,
            EdgeJudgement::Resume => Standing::Active,
            EdgeJudgement::Retire => Standing::Retired,
        };
        edge.judged = Some(judged.clone());
        effects.edges.push(judged.node.clone());
    }

    /// After a snapshot was read.
    pub(super) fn rebuild_edges(&mut self) {
        for edge in self.edges.by_node.values_mut() {
            edge.replica.rebuild();
        }
    }
}

/// Puts `item` behind the others and forgets the oldest.
fn remember<T>(items: &mut VecDeque<T>, item: T) {
    if items.len() == REMEMBERED {
        items.pop_front();
    }
    items.push_back(item);
}
