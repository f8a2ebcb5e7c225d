//! Commands to devices: what is wanted, whether it may be sent, and what became of it.
//!
//! ```text
//!            +-> waiting --approve--> held <-> sent --report--> done
//! intent ----+                                    \-----------> expired, withdrawn, superseded
//!            +-> refused, superseded (turned away: nothing was sent)
//! ```
//!
//! Invariants:
//! - An intent of a plugin, which is (quarter, plugin, asset, command, key), becomes one command at
//!   most: it is remembered from the moment it is taken until a day after its expiry. What was
//!   turned away is not remembered, because nothing was sent: it may be tried again.
//! - Of an asset and property one command at most is held or sent; the newest wins. A person's
//!   command goes before those of plugins until it expires or is withdrawn, done or not.
//! - Everything is bounded: [`MAX_OPEN`], [`MAX_SEEN`], [`FINISHED`], [`TURNED_AWAY`]. A command
//!   beyond the first two is refused.

mod admit;
mod rule;
mod send;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

pub use rule::{Settlement, Winner};
pub use types::{Asker, BadCommandId, Command, CommandId, CommandState, Judged};

use super::Twin;
use crate::event::{Interlock, Priority, Stamp};
use crate::model::Millis;

/// Life of a command whose plugin names no expiry (0), milliseconds.
pub const USUAL_LIFE_MS: i64 = 15 * 60_000;
/// Longest life of a command; one that is wanted for longer is asked for again.
pub const LONGEST_LIFE_MS: i64 = 7 * 24 * 3_600_000;
/// How long an intent is remembered beyond its expiry.
const MEMORY_MS: i64 = 24 * 3_600_000;
/// Commands that are open at once, and persons' commands that go before plugins'.
pub const MAX_OPEN: usize = 16_384;
/// Intents remembered.
pub const MAX_SEEN: usize = 131_072;
/// Commands that were taken and have ended, the newest.
pub const FINISHED: usize = 2048;
/// Commands that were turned away, the newest; apart, so that a flood of them hides nothing else.
pub const TURNED_AWAY: usize = 256;

/// Which intent of a plugin; ordered, so that those for one command of one asset stand together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Intent {
    quarter: String,
    plugin: String,
    asset: String,
    command: String,
    key: u64,
}

/// When an intent was taken and until when it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Seen {
    at: Millis,
    until: Millis,
}

/// What is commanded: quarter, asset, property.
type Target = (String, String, String);

/// A person's command that goes before those of plugins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Hold {
    id: CommandId,
    until: Millis,
    priority: Priority,
    stamp: Stamp,
}

/// All commands of a twin.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Commands {
    interlocks: Vec<Interlock>,
    open: BTreeMap<CommandId, Command>,
    /// In order of their end.
    finished: VecDeque<Command>,
    turned_away: VecDeque<Command>,
    seen: BTreeMap<Intent, Seen>,
    holds: BTreeMap<Target, Hold>,
    /// Of those that ended, since the journal began.
    ended: BTreeMap<CommandState, u64>,
    /// Intents that came again.
    repeated: u64,
    /// When what is too old was last forgotten.
    pruned: Millis,
    /// Open commands by index of the asset. Rebuilt from the state.
    #[serde(skip)]
    by_asset: HashMap<u32, Vec<CommandId>>,
}

impl Commands {
    /// The operator's safety limits.
    pub fn interlocks(&self) -> &[Interlock] {
        &self.interlocks
    }

    /// A command that is open or that is still told of.
    pub fn get(&self, id: CommandId) -> Option<&Command> {
        let ended = || self.finished.iter().chain(&self.turned_away);
        let ended = || ended().find(|command| command.id == id);
        self.open.get(&id).or_else(ended)
    }

    /// Open commands, in order of asking.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = &Command> {
        self.open.values()
    }

    /// Commands that ended, in order of their end, those that were turned away last.
    pub fn ended(&self) -> impl DoubleEndedIterator<Item = &Command> {
        self.finished.iter().chain(&self.turned_away)
    }

    /// Commands that devices are to know now.
    pub fn sent(&self) -> impl Iterator<Item = &Command> {
        self.open
            .values()
            .filter(|command| command.state == CommandState::Sent)
    }

    /// Whether time alone may change something.
    pub fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }

    /// Intents of plugins that came again and were ignored.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// How many there are of each state; of those that ended, since the journal began.
    pub fn counts(&self) -> [(CommandState, u64); 9] {
        CommandState::ALL.map(|state| {
            let count = if state.is_open() {
                self.open
                    .values()
                    .filter(|command| command.state == state)
                    .count() as u64
            } else {
                self.ended.get(&state).copied().unwrap_or(0)
            };
            (state, count)
        })
    }

    /// What is wanted of an asset, by property: what is held or sent, and what is done while it
    /// has not expired. `now`: [`Twin::now`].
    pub fn desired(&self, quarter: &str, asset: &str, now: Millis) -> BTreeMap<&str, &Command> {
        let wanted = |command: &&Command| match command.state {
            CommandState::Held | CommandState::Sent => true,
            CommandState::Done => command.expires > now,
            _ => false,
        };
        let mut found: BTreeMap<&str, &Command> = BTreeMap::new();
        let of_asset = |c: &&Command| c.asset == asset && c.quarter == quarter;
        for command in self
            .finished
            .iter()
            .chain(self.open())
            .filter(of_asset)
            .filter(wanted)
        {
            let newest = found.entry(&command.property).or_insert(command);
            if newest.id < command.id {
                *newest = command;
            }
        }
        found
    }

    /// The clock was set: what was done is as long ago as before. When a command expires is what
    /// somebody said, and stays.
    pub(super) fn shift(&mut self, ms: i64) {
        if ms == 0 {
            return;
        }
        for command in self.open.values_mut() {
            for time in [&mut command.asked, &mut command.since, &mut command.next] {
                *time = time.plus(ms);
            }
            command.sent = command.sent.map(|sent| sent.plus(ms));
        }
        for seen in self.seen.values_mut() {
            seen.at = seen.at.plus(ms);
        }
        self.pruned = self.pruned.plus(ms);
    }

    /// A person's command no longer goes before those of plugins; whether it did.
    fn release(&mut self, command: &Command) -> bool {
        let target = target(command);
        let held = self
            .holds
            .get(&target)
            .is_some_and(|hold| hold.id == command.id);
        if held {
            self.holds.remove(&target);
        }
        held
    }

    fn count(&mut self, state: CommandState) {
        *self.ended.entry(state).or_default() += 1;
    }
}

fn target(command: &Command) -> Target {
    let Command {
        quarter,
        asset,
        property,
        ..
    } = command;
    (quarter.clone(), asset.clone(), property.clone())
}

/// Appends, and drops the oldest beyond `most`.
fn keep(ring: &mut VecDeque<Command>, command: Command, most: usize) {
    ring.push_back(command);
    if ring.len() > most {
        ring.pop_front();
    }
}

impl Twin {
    /// Commands to devices.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// Ends an open command.
    fn finish(&mut self, id: CommandId, state: CommandState, reason: String) {
        let Some(mut command) = self.commands.open.remove(&id) else {
            return;
        };
        if let Some(asset) = self.commanded(&command)
            && let Some(open) = self.commands.by_asset.get_mut(&asset)
        {
            open.retain(|other| *other != id);
            if open.is_empty() {
                self.commands.by_asset.remove(&asset);
            }
        }
        if state != CommandState::Done {
            self.commands.release(&command);
        }
        command.state = state;
        command.reason = reason;
        command.since = self.now;
        self.commands.count(state);
        keep(&mut self.commands.finished, command, FINISHED);
    }

    /// Index of the asset of a command.
    fn commanded(&self, command: &Command) -> Option<u32> {
        self.asset_index(self.quarter_index(&command.quarter)?, &command.asset)
    }

    /// Finds the open commands of every asset again, after a snapshot was read.
    pub(super) fn rebuild_commands(&mut self) {
        let open = self.commands.open.values();
        let open: Vec<_> = open
            .map(|command| (self.commanded(command), command.id))
            .collect();
        for (asset, id) in open {
            if let Some(asset) = asset {
                self.commands.by_asset.entry(asset).or_default().push(id);
            }
        }
    }
}
