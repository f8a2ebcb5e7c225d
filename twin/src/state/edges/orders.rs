//! Orders on both sides: the city keeps what a box has not taken, the box what it took.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Edge, Standing, remember};
use crate::event::{EdgeOrdered, EdgeSettings, Lane, OrderTaken};
use crate::state::{Effects, Twin};

/// Orders that may wait for one box.
pub const MAX_ORDERS: usize = 10_000;

/// What a box has taken of its city's orders.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OrdersTaken {
    /// Numbers of the last ones; orders of a lane are taken in the order of their numbers.
    plugins: u64,
    wishes: u64,
    /// What became of them, the newest last.
    recent: VecDeque<OrderTaken>,
}

impl OrdersTaken {
    /// Number of the last one of a lane; 0: none.
    pub fn last(&self, lane: Lane) -> u64 {
        match lane {
            Lane::Plugins => self.plugins,
            Lane::Wishes => self.wishes,
        }
    }

    /// What became of the newest hundred, the newest last.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = &OrderTaken> {
        self.recent.iter()
    }
}

impl Twin {
    /// City: a box is to do something. Too many are dropped, which whoever appends them checks
    /// before.
    pub(in crate::state) fn order(&mut self, ordered: &EdgeOrdered, effects: &mut Effects) {
        let number = self.position;
        let Some(edge) = self.edges.by_node.get_mut(&ordered.node) else {
            return;
        };
        if edge.standing == Standing::Retired || edge.orders.len() >= MAX_ORDERS {
            return;
        }
        edge.orders.insert(number, ordered.clone());
        effects.orders.push((ordered.node.clone(), number));
    }

    /// Box: an order was taken.
    pub(in crate::state) fn take_order(&mut self, taken: &OrderTaken, effects: &mut Effects) {
        if taken.order <= self.orders_taken.last(taken.lane) {
            return;
        }
        match taken.lane {
            Lane::Plugins => self.orders_taken.plugins = taken.order,
            Lane::Wishes => self.orders_taken.wishes = taken.order,
        }
        remember(&mut self.orders_taken.recent, taken.clone());
        effects.taken.push(taken.clone());
    }

    /// Box: settings from the city; those that it does not name stay.
    pub(in crate::state) fn put_settings(&mut self, settings: &EdgeSettings) {
        let EdgeSettings {
            bits_per_s,
            health_s,
            draining,
        } = settings;
        let known = &mut self.settings;
        known.bits_per_s = bits_per_s.or(known.bits_per_s);
        known.health_s = health_s.or(known.health_s);
        known.draining = draining.or(known.draining);
    }
}

impl Edge {
    /// City: the box says that it took an order; it may say so twice.
    pub(super) fn took(&mut self, taken: &OrderTaken, effects: &mut Effects) {
        if self.orders.remove(&taken.order).is_none() {
            return;
        }
        remember(&mut self.outcomes, taken.clone());
        effects.orders.push((self.record.node.clone(), taken.order));
    }
}
