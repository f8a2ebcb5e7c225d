//! Orders on both sides: the city keeps what a box has not taken, the box what it took.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Edge, Standing, remember};
use crate::event::{EdgeOrdered, EdgeSettings, OrderTaken};
use crate::state::{Effects, Twin};

/// Orders that may wait for one box.
pub const MAX_ORDERS: usize = 10_000;

/// What a box has taken of its city's orders.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OrdersTaken {
    /// Number of the last one; orders are taken in the order of their numbers.
    pub last: u64,
    /// What became of them, the newest last.
    recent: VecDeque<OrderTaken>,
}

impl OrdersTaken {
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
        if taken.order <= self.orders_taken.last {
            return;
        }
        self.orders_taken.last = taken.order;
        remember(&mut self.orders_taken.recent, taken.clone());
        effects.taken += 1;
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
