//! When two people want different things of the same property, wherever they are: 1. safety: what
//! an interlock or a limit forbids is not done, whoever wants it; 2. the greater priority goes
//! first; 3. of equal ones the newer by the hybrid logical clock.
//!
//! A wish holds its property until it expires, is withdrawn or loses. The outcome does not depend on
//! the order in which wishes arrive: the greatest of (priority, stamp) holds.

use super::admit::No;
use super::{Command, CommandState, Hold, target};
use crate::event::Stamp;
use crate::state::{Commands, Twin};

impl Twin {
    /// Whether a person's wish goes before the one that holds its property, if there is one.
    pub(super) fn prevails(&self, command: &Command) -> Result<(), No> {
        let holds = self.commands.holds.get(&target(command));
        let Some(hold) = holds.filter(|hold| hold.until > self.now) else {
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
        })
    }
}

impl Commands {
    /// The stamps of persons' wishes that are remembered.
    pub fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let commands = self.open().chain(self.ended());
        let held = self.holds.values().map(|hold| &hold.stamp);
        commands.map(|command| &command.stamp).chain(held)
    }
}

/// Why `loser` ends: the part of the rule that decided, and both sides of it.
pub(super) fn against(hold: &Hold, loser: &Command) -> String {
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
