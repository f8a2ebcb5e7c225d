//! Commands that may be sent: now or when an interlock lets them, again until the device reports.

use super::rule::Winner;
use super::{Command, CommandId, CommandState};
use crate::event::Interlock;
use crate::model::{Quality, Reading};
use crate::state::{Effects, Twin};

/// Pause behind the first sending, milliseconds; it doubles with every one.
const FIRST_PAUSE_MS: i64 = 5_000;
/// Longest pause between two sendings.
const LONGEST_PAUSE_MS: i64 = 60_000;
/// How far a reported value may be from the wanted one: devices round.
const SHARE: f64 = 0.005;
/// The same around 0.
const LEAST: f64 = 1e-6;
/// How often what is too old is forgotten.
const PRUNE_MS: i64 = 600_000;

impl Twin {
    /// Sends a command now, or holds it.
    pub(super) fn dispatch(&mut self, id: CommandId, effects: &mut Effects) {
        let now = self.now;
        let held = self
            .commands
            .open
            .get(&id)
            .and_then(|command| self.interlocked(command));
        let Some(command) = self.commands.open.get_mut(&id) else {
            return;
        };
        let state = if held.is_some() {
            CommandState::Held
        } else {
            CommandState::Sent
        };
        let changes = command.state != state;
        if changes {
            command.state = state;
            command.since = now;
        }
        if let Some(reason) = held {
            command.reason = reason;
            let lost = changes.then(|| command.clone());
            if let Some(lost) = lost {
                self.settle(lost, Winner::Safety, effects);
            }
            return;
        }
        command.reason.clear();
        command.sent.get_or_insert(now);
        command.next = now.plus(pause(command.attempts));
        command.attempts += 1;
        effects.commands.push(id);
    }

    /// Why the command may not be sent now. A metric without a value forbids nothing.
    fn interlocked(&self, command: &Command) -> Option<String> {
        let index = self.commanded(command)?;
        let kind = self.assets.get(index as usize)?.kind();
        let operators = self.commands.interlocks.iter();
        let mut all = command.interlocks.iter().chain(operators);
        all.find_map(|interlock| {
            if !interlock.is_for(kind, &command.property) {
                return None;
            }
            let value = self.newest(index, &interlock.metric)?;
            let (side, limit) = match (interlock.above, interlock.below) {
                (Some(limit), _) if value > limit => ("above", limit),
                (_, Some(limit)) if value < limit => ("below", limit),
                _ => return None,
            };
            let Interlock { metric, reason, .. } = interlock;
            // Without the value: a reason is public, and the metric may not be.
            Some(format!("{metric} is {side} {limit}: {reason}"))
        })
    }

    fn newest(&self, asset: u32, metric: &str) -> Option<f64> {
        let metric = self.metric_index(metric)?;
        let stream = self.assets.get(asset as usize)?.stream(metric)?;
        let stream = self.streams.get(stream as usize)?;
        (stream.rev > 0).then_some(stream.value)
    }

    /// Time passed: what has expired ends, what is due is sent or held.
    pub(in crate::state) fn tick_commands(&mut self, effects: &mut Effects) {
        let now = self.now;
        let due = |command: &&Command| match command.state {
            CommandState::Held => true,
            CommandState::Sent => command.next <= now,
            _ => false,
        };
        let open = || self.commands.open.values();
        let expired: Vec<_> = open().filter(|c| c.expires <= now).map(|c| c.id).collect();
        let due: Vec<_> = open()
            .filter(|c| c.expires > now)
            .filter(due)
            .map(|c| c.id)
            .collect();
        for id in expired {
            let reason = self.commands.open.get(&id).map(why_expired);
            self.finish(id, CommandState::Expired, reason.unwrap_or_default());
        }
        for id in due {
            self.dispatch(id, effects);
        }
        if now.since(self.commands.pruned) >= PRUNE_MS {
            self.commands.pruned = now;
            self.commands.seen.retain(|_, seen| seen.until > now);
            self.commands.holds.retain(|_, hold| hold.until > now);
        }
    }

    /// A device reported. Its time counts: what it measured before it was told is no answer.
    pub(in crate::state) fn reported(&mut self, asset: u32, readings: &[Reading<'_>]) {
        let Some(open) = self.commands.by_asset.get(&asset) else {
            return;
        };
        // What a device with a clock of its own says is not held against a guess.
        let (now, guessed) = (self.now, self.clock.guessed_since().is_some());
        let is_answered = |command: &Command| {
            command.expires > now
                && command.sent.is_some_and(|sent| {
                    readings.iter().any(|reading| {
                        reading.metric == command.property
                            && reading.quality != Quality::Bad
                            && (reading.time >= sent || guessed)
                            && is_equal(reading.value, command.value)
                    })
                })
        };
        let open = open.iter().filter_map(|id| self.commands.open.get(id));
        let answered: Vec<_> = open.filter(|c| is_answered(c)).map(|c| c.id).collect();
        for id in answered {
            self.finish(id, CommandState::Done, String::new());
        }
    }
}

impl Interlock {
    /// Whether it speaks of this property of assets of this kind.
    pub(super) fn is_for(&self, kind: &str, property: &str) -> bool {
        (self.kind.is_empty() || self.kind == kind)
            && (self.property.is_empty() || self.property == property)
    }
}

fn why_expired(command: &Command) -> String {
    match (command.state, command.attempts) {
        (CommandState::Waiting, _) => "nobody approved it".to_owned(),
        (CommandState::Held, 0) => format!("it was held to the end: {}", command.reason),
        (_, attempts) => format!("the device did not report the value; sent {attempts} times"),
    }
}

/// Pause behind a sending that so many went before.
fn pause(before: u32) -> i64 {
    let doubled = FIRST_PAUSE_MS
        .checked_shl(before.min(16))
        .unwrap_or(LONGEST_PAUSE_MS);
    doubled.min(LONGEST_PAUSE_MS)
}

fn is_equal(reported: f64, wanted: f64) -> bool {
    (reported - wanted).abs() <= (SHARE * wanted.abs()).max(LEAST)
}
