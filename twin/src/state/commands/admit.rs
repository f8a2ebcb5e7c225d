//! Who may have a command: intents of plugins, wishes of persons, and what persons say of both.

use super::rule::Winner;
use super::{
    Asker, Command, CommandId, CommandState, Intent, Judged, LONGEST_LIFE_MS, MAX_OPEN, MAX_SEEN,
    MEMORY_MS, Seen, Target, USUAL_LIFE_MS, target,
};
use crate::event::{
    CommandAsked, CommandGrant, CommandIntent, CommandJudged, Decision, Judgement, Priority, Stamp,
};
use crate::model::Millis;
use crate::state::{Effects, Twin};

const HOUR_MS: i64 = 3_600_000;

/// Why a command is not carried out.
pub(super) struct No {
    pub(super) state: CommandState,
    pub(super) reason: String,
    /// What it lost to, where it may be.
    pub(super) winner: Option<Winner>,
}

fn no(reason: String) -> No {
    No {
        state: CommandState::Refused,
        reason,
        winner: None,
    }
}

impl Twin {
    /// The commands that a decision asks for.
    pub(in crate::state) fn intend(&mut self, decision: &Decision, effects: &mut Effects) {
        for (index, intent) in (0..).zip(&decision.commands) {
            self.intend_one(decision, index, intent, effects);
        }
    }

    fn intend_one(
        &mut self,
        decision: &Decision,
        index: u32,
        intent: &CommandIntent,
        effects: &mut Effects,
    ) {
        let key = Intent {
            quarter: decision.quarter.clone(),
            plugin: decision.plugin.clone(),
            asset: intent.asset.clone(),
            command: intent.command.clone(),
            key: intent.key,
        };
        if self.commands.seen.contains_key(&key) {
            self.commands.repeated += 1;
            return;
        }
        let grant = self.grant(decision, &intent.command).cloned();
        let command = self.intended(decision, index, intent, grant.as_ref());
        match self.admit_intent(&command, &key, grant.as_ref()) {
            Err(no) => self.turn_away(command, no, effects),
            Ok(requires_approval) => {
                let until = command.expires.max(self.now).plus(MEMORY_MS);
                let at = self.now;
                self.commands.seen.insert(key, Seen { at, until });
                self.enter(command, requires_approval, effects);
            }
        }
    }

    /// The grant of the version that decided, or of the one that took its place.
    fn grant(&self, decision: &Decision, name: &str) -> Option<&CommandGrant> {
        let running = self
            .run(decision.run)
            .or_else(|| self.deployment(&decision.quarter, &decision.plugin))?;
        let mut grants = running.record.commands.iter();
        grants.find(|grant| grant.name == name)
    }

    fn intended(
        &self,
        decision: &Decision,
        index: u32,
        intent: &CommandIntent,
        grant: Option<&CommandGrant>,
    ) -> Command {
        let by = Asker::Plugin {
            plugin: decision.plugin.clone(),
            version: decision.version.clone(),
            command: intent.command.clone(),
        };
        let expires = match intent.expires {
            Millis(0) => self.now.plus(USUAL_LIFE_MS),
            named => named,
        };
        Command {
            interlocks: grant
                .map(|grant| grant.interlocks.clone())
                .unwrap_or_default(),
            ..self.fresh(
                CommandId {
                    position: self.position,
                    index,
                },
                (
                    decision.quarter.clone(),
                    intent.asset.clone(),
                    grant
                        .map(|grant| grant.property.clone())
                        .unwrap_or_default(),
                ),
                intent.value,
                expires,
                by,
            )
        }
    }

    fn fresh(
        &self,
        id: CommandId,
        (quarter, asset, property): Target,
        value: f64,
        expires: Millis,
        by: Asker,
    ) -> Command {
        Command {
            id,
            quarter,
            asset,
            property,
            value,
            asked: self.now,
            expires,
            priority: Priority::Routine,
            stamp: Stamp::default(),
            by,
            interlocks: Vec::new(),
            state: CommandState::Waiting,
            reason: String::new(),
            since: self.now,
            sent: None,
            attempts: 0,
            next: Millis(0),
            judged: None,
        }
    }

    /// Whether a person must approve it.
    fn admit_intent(
        &self,
        command: &Command,
        key: &Intent,
        grant: Option<&CommandGrant>,
    ) -> Result<bool, No> {
        let Some(grant) = grant else {
            let (plugin, name) = (&key.plugin, &key.command);
            return Err(no(format!(
                "the manifest of {plugin} grants no command {name:?}"
            )));
        };
        self.admit(command)?;
        let kind = self.kind_of(command).unwrap_or_default();
        if kind != grant.kind {
            return Err(no(format!(
                "{} is a {kind}, and {} is for a {}",
                command.asset, grant.name, grant.kind
            )));
        }
        if !(grant.min..=grant.max).contains(&command.value) {
            return Err(no(format!(
                "{} is not within {} and {} of the manifest",
                command.value, grant.min, grant.max
            )));
        }
        if self.commands.seen.len() >= MAX_SEEN {
            return Err(no(format!("{MAX_SEEN} intents are remembered already")));
        }
        if self.taken_within_hour(key) >= u64::from(grant.rate_per_hour) {
            return Err(no(format!(
                "the manifest grants {} an hour and asset",
                grant.rate_per_hour
            )));
        }
        if let Some(hold) = self.held(command) {
            return Err(No {
                state: CommandState::Superseded,
                reason: format!(
                    "command {} of a person counts until {}",
                    hold.id, hold.until
                ),
                winner: Some(self.winner(hold)),
            });
        }
        self.has_room(command, grant.requires_approval)?;
        Ok(grant.requires_approval)
    }

    /// What every command must meet, a person's too.
    fn admit(&self, command: &Command) -> Result<(), No> {
        if self.kind_of(command).is_none() {
            return Err(no(format!(
                "there is no asset {:?} in {}",
                command.asset, command.quarter
            )));
        }
        if !command.value.is_finite() {
            return Err(no("the value is not a number".to_owned()));
        }
        if let Some(reason) = self.beyond_limits(command) {
            return Err(No {
                winner: Some(Winner::Safety),
                ..no(reason)
            });
        }
        if command.expires <= self.now {
            return Err(no(format!(
                "it had expired when it came, at {}",
                command.expires
            )));
        }
        if command.expires > self.now.plus(LONGEST_LIFE_MS) {
            let days = LONGEST_LIFE_MS / (24 * HOUR_MS);
            return Err(no(format!("it expires later than {days} days from now")));
        }
        Ok(())
    }

    /// Those that a command takes the place of make room for it.
    fn has_room(&self, command: &Command, waits: bool) -> Result<(), No> {
        let commands = &self.commands;
        let open = commands.open.len() - self.replaced(command, waits).len();
        let holds = match command.is_persons() && !commands.holds.contains_key(&target(command)) {
            true => commands.holds.len(),
            false => 0,
        };
        match open.max(holds) >= MAX_OPEN {
            true => Err(no(format!("{MAX_OPEN} commands are open already"))),
            false => Ok(()),
        }
    }

    pub(super) fn kind_of(&self, command: &Command) -> Option<&str> {
        let asset = self.assets.get(self.commanded(command)? as usize)?;
        Some(asset.kind())
    }

    /// Intents for the same command of the same asset that were taken within the last hour.
    fn taken_within_hour(&self, key: &Intent) -> u64 {
        let at = |number| Intent {
            key: number,
            ..key.clone()
        };
        let same = self.commands.seen.range(at(0)..=at(u64::MAX));
        let recent = same.filter(|(_, seen)| self.now.since(seen.at) < HOUR_MS);
        recent.count() as u64
    }

    /// A command that was taken: those it replaces end, and it is sent unless it has to wait.
    fn enter(&mut self, command: Command, waits: bool, effects: &mut Effects) {
        let id = command.id;
        self.supersede(&command, waits, effects);
        if let Some(asset) = self.commanded(&command) {
            self.commands.by_asset.entry(asset).or_default().push(id);
        }
        self.commands.open.insert(id, command);
        if !waits {
            self.dispatch(id, effects);
        }
    }

    /// A person wants a command. It needs no approval and no grant.
    pub(in crate::state) fn ask(&mut self, asked: &CommandAsked, effects: &mut Effects) {
        let by = Asker::Person {
            user: asked.by.clone(),
            why: asked.why.clone(),
        };
        let place = (
            asked.quarter.clone(),
            asked.asset.clone(),
            asked.property.clone(),
        );
        let id = CommandId::asked_at(self.position);
        let command = Command {
            priority: asked.priority,
            stamp: self.believed(&asked.stamp),
            ..self.fresh(id, place, asked.value, asked.expires, by)
        };
        let admitted = self
            .admit(&command)
            .and_then(|()| self.prevails(&command))
            .and_then(|()| self.has_room(&command, false));
        match admitted {
            Err(no) => self.turn_away(command, no, effects),
            Ok(()) => {
                self.hold(&command, effects);
                self.enter(command, false, effects);
            }
        }
    }

    /// A person says something of a command. What does not fit its state changes nothing.
    pub(in crate::state) fn judge(&mut self, said: &CommandJudged, effects: &mut Effects) {
        let Ok(id) = said.id.parse::<CommandId>() else {
            return;
        };
        let judged = Judged {
            position: self.position,
            judgement: said.judgement,
            by: said.by.clone(),
            why: said.why.clone(),
            at: self.now,
        };
        if said.judgement == Judgement::Withdraw {
            self.withdraw(id, judged);
            return;
        }
        let waits = |command: &&mut Command| command.state == CommandState::Waiting;
        let Some(command) = self.commands.open.get_mut(&id).filter(waits) else {
            return;
        };
        command.judged = Some(judged);
        let command = command.clone();
        if said.judgement == Judgement::Reject {
            self.finish(id, CommandState::Rejected, said.why.clone());
        } else if command.expires <= self.now {
            self.finish(
                id,
                CommandState::Expired,
                "it was approved too late".to_owned(),
            );
        } else {
            self.supersede(&command, false, effects);
            self.dispatch(id, effects);
        }
    }

    /// Ends a command; one that is done no longer goes before those of plugins.
    fn withdraw(&mut self, id: CommandId, judged: Judged) {
        let why = judged.why.clone();
        if let Some(command) = self.commands.open.get_mut(&id) {
            command.judged = Some(judged);
            self.finish(id, CommandState::Withdrawn, why);
            return;
        }
        let done = self
            .commands
            .finished
            .iter()
            .rev()
            .find(|command| command.id == id);
        let Some(done) = done.cloned() else {
            return;
        };
        if self.commands.release(&done) {
            let mut finished = self.commands.finished.iter_mut().rev();
            if let Some(command) = finished.find(|command| command.id == id) {
                command.judged = Some(judged);
            }
        }
    }
}
