//! When two people want different things of the same property, wherever they are: 1. safety: what
//! an interlock or a limit forbids is not done, whoever wants it; 2. the greater priority goes
//! first; 3. of equal ones the newer by the hybrid logical clock.
//!
//! A wish holds its property until it expires, is withdrawn or loses. The outcome does not depend on
//! the order in which wishes arrive: the greatest of (priority, stamp) holds. Whatever loses by this
//! rule is told as a [`Settlement`], once, by the fold of the entry that settled it.

use super::admit::No;
use super::{Asker, Command, CommandId, CommandState, Commands, Hold, TURNED_AWAY, keep, target};
use crate::event::{Interlock, Stamp};
use crate::hlc::MAX_AHEAD_MS;
use crate::model::Millis;
use crate::state::{Effects, Twin};

/// A command that lost by the rule, for the audit.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// Position in this node's journal of the entry that settled it.
    pub position: u64,
    /// The box that settled it; empty: this node.
    pub node: String,
    /// What lost: its state, reason and `since` are how, why and when.
    pub loser: Command,
    /// What it lost to.
    pub winner: Winner,
}

/// What a command lost to.
#[derive(Debug, Clone, PartialEq)]
pub enum Winner {
    /// An interlock or a limit.
    Safety,
    /// Somebody else's command; `None`: one that was done so long ago that it is forgotten.
    Command(Option<Asker>),
}

impl Twin {
    /// The wish that holds a command's property.
    pub(super) fn held(&self, command: &Command) -> Option<&Hold> {
        let hold = self.commands.holds.get(&target(command));
        hold.filter(|hold| hold.until > self.now)
    }

    pub(super) fn winner(&self, hold: &Hold) -> Winner {
        Winner::Command(self.commands.get(hold.id).map(|held| held.by.clone()))
    }

    /// Whether a person's wish goes before the one that holds its property, if there is one.
    pub(super) fn prevails(&self, command: &Command) -> Result<(), No> {
        let Some(hold) = self.held(command) else {
            return Ok(());
        };
        let (held, wanted) = (
            (hold.priority, &hold.stamp),
            (command.priority, &command.stamp),
        );
        // Equal only where the same wish came twice, which changes nothing.
        if wanted > held {
            return Ok(());
        }
        Err(No {
            state: CommandState::Superseded,
            reason: against(hold, command),
            winner: Some(self.winner(hold)),
        })
    }

    /// A wish holds its property from now on. One that was done before it stays done; those that
    /// are open end when this one enters.
    pub(super) fn hold(&mut self, command: &Command, effects: &mut Effects) {
        let hold = Hold {
            id: command.id,
            until: command.expires,
            priority: command.priority,
            stamp: command.stamp.clone(),
        };
        let done = self.held(command).and_then(|before| {
            let done = self.commands.get(before.id)?;
            (done.state == CommandState::Done).then(|| Command {
                state: CommandState::Superseded,
                reason: against(&hold, done),
                since: self.now,
                ..done.clone()
            })
        });
        self.commands.holds.insert(target(command), hold);
        if let Some(done) = done {
            self.settle(done, Winner::Command(Some(command.by.clone())), effects);
        }
    }

    /// Ends the other open commands of the same property.
    pub(super) fn supersede(&mut self, command: &Command, waits: bool, effects: &mut Effects) {
        for other in self.replaced(command, waits) {
            let reason = self.why_superseded(command, other);
            self.finish(other, CommandState::Superseded, reason);
            if let Some(lost) = self.commands.finished.back().cloned() {
                self.settle(lost, Winner::Command(Some(command.by.clone())), effects);
            }
        }
    }

    /// The open commands that a command takes the place of. One that waits ends only those that wait
    /// as well: what is sent counts until somebody approves something else.
    pub(super) fn replaced(&self, command: &Command, waits: bool) -> Vec<CommandId> {
        let asset = self.commanded(command);
        let open = asset.and_then(|asset| self.commands.by_asset.get(&asset));
        let open = open.into_iter().flatten();
        let open = open.filter_map(|other| self.commands.open.get(other));
        open.filter(|other| other.id != command.id && other.property == command.property)
            .filter(|other| !waits || other.state == CommandState::Waiting)
            .map(|other| other.id)
            .collect()
    }

    fn why_superseded(&self, winner: &Command, loser: CommandId) -> String {
        let hold = self.commands.holds.get(&target(winner));
        let hold = hold.filter(|hold| hold.id == winner.id);
        let loser = self.commands.open.get(&loser).filter(|l| l.is_persons());
        match hold.zip(loser) {
            Some((hold, loser)) => against(hold, loser),
            None => format!("command {} is newer", winner.id),
        }
    }

    /// Keeps a command that is not carried out, with the reason.
    pub(super) fn turn_away(&mut self, mut command: Command, no: No, effects: &mut Effects) {
        command.state = no.state;
        command.reason = no.reason;
        command.since = command.asked;
        if let Some(winner) = no.winner {
            self.settle(command.clone(), winner, effects);
        }
        self.commands.count(command.state);
        keep(&mut self.commands.turned_away, command, TURNED_AWAY);
    }

    /// The operator's limits; open commands beyond them end.
    pub(in crate::state) fn put_interlocks(
        &mut self,
        interlocks: &[Interlock],
        effects: &mut Effects,
    ) {
        self.commands.interlocks = interlocks.to_vec();
        let open = self.commands.open.values();
        let beyond: Vec<_> = open
            .filter_map(|command| Some((command.id, self.beyond_limits(command)?)))
            .collect();
        for (id, reason) in beyond {
            self.finish(id, CommandState::Refused, reason);
            if let Some(lost) = self.commands.finished.back().cloned() {
                self.settle(lost, Winner::Safety, effects);
            }
        }
    }

    /// Why the operator's limits forbid the value.
    pub(super) fn beyond_limits(&self, command: &Command) -> Option<String> {
        let kind = self.kind_of(command)?;
        let mut limits = self.commands.interlocks.iter();
        let limit = limits.find(|limit| {
            limit.is_for(kind, &command.property)
                && (limit.min.is_some_and(|min| command.value < min)
                    || limit.max.is_some_and(|max| command.value > max))
        })?;
        let bound = |bound: Option<f64>| bound.map_or_else(|| "any".to_owned(), |b| b.to_string());
        Some(format!(
            "{} is not within {} and {} of the operator: {}",
            command.value,
            bound(limit.min),
            bound(limit.max),
            limit.reason
        ))
    }

    /// Tells that a command lost. That a plugin replaces its own is no conflict.
    pub(super) fn settle(&self, loser: Command, winner: Winner, effects: &mut Effects) {
        let persons = match &winner {
            Winner::Command(Some(Asker::Plugin { .. })) => loser.is_persons(),
            _ => true,
        };
        if persons {
            effects.settled.push(Settlement {
                position: self.position,
                node: String::new(),
                loser,
                winner,
            });
        }
    }

    /// Of a stamp no more is believed than that it was made when it came. What came while the time
    /// was guessed is looked at when it is known.
    pub(super) fn believed(&self, stamp: &Stamp) -> Stamp {
        let mut stamp = stamp.clone();
        if self.clock.guessed_since().is_none() {
            bound(&mut stamp, self.now);
        }
        stamp
    }
}

impl Commands {
    /// The stamps of persons' wishes that are remembered.
    pub fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let commands = self.open().chain(self.ended());
        let held = self.holds.values().map(|hold| &hold.stamp);
        commands.map(|command| &command.stamp).chain(held)
    }

    /// The clock was set: stamps of a clock that was ahead are from now at the latest.
    pub(in crate::state) fn bound_stamps(&mut self, now: Millis) {
        let ended = self.finished.iter_mut().chain(&mut self.turned_away);
        let commands = self.open.values_mut().chain(ended);
        let held = self.holds.values_mut().map(|hold| &mut hold.stamp);
        for stamp in commands.map(|command| &mut command.stamp).chain(held) {
            bound(stamp, now);
        }
    }
}

fn bound(stamp: &mut Stamp, now: Millis) {
    if stamp.time.since(now) > MAX_AHEAD_MS {
        stamp.time = now;
    }
}

/// Why `loser` ends: the part of the rule that decided, and both sides of it.
fn against(hold: &Hold, loser: &Command) -> String {
    let id = hold.id;
    if hold.priority != loser.priority {
        let (theirs, own) = (hold.priority.as_str(), loser.priority.as_str());
        return format!("by priority: command {id} is {theirs}, this one {own}");
    }
    let (theirs, own) = (show(&hold.stamp), show(&loser.stamp));
    format!("by time: command {id} is newer, {theirs} after {own}")
}

fn show(stamp: &Stamp) -> String {
    format!("{}+{}@{}", stamp.time, stamp.count, stamp.node)
}
