//! The life of a command, step by step, and what holds for every order of steps.

mod admission;
mod life;
mod properties;
mod rule;

use super::{Command, CommandId, CommandState};
use crate::event::{
    CommandAsked, CommandGrant, CommandIntent, CommandJudged, Decision, Deployed, DerivedReading,
    Digest, Entry, Event, Interlock, Judgement, PluginRecord, Priority, Stage, Stamp,
};
use crate::model::{AssetRecord, Millis, Observed, Quality, QuarterRecord, Reading};
use crate::state::{Effects, Twin};

const START: i64 = 1_780_272_000_000;
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// Positions of the first entries.
const RUN: u64 = 3;

fn at(seconds: i64) -> Millis {
    Millis(START + seconds * 1000)
}

fn grant(name: &str, requires_approval: bool) -> CommandGrant {
    CommandGrant {
        name: name.to_owned(),
        kind: "wallbox".to_owned(),
        property: "limit_kw".to_owned(),
        min: 0.0,
        max: 11.0,
        rate_per_hour: 4,
        requires_approval,
        interlocks: vec![Interlock {
            kind: "wallbox".to_owned(),
            property: "limit_kw".to_owned(),
            metric: "temperature".to_owned(),
            above: Some(60.0),
            reason: "the box is hot".to_owned(),
            ..Interlock::default()
        }],
    }
}

fn deployed(plugin: &str, version: &str, stage: Stage) -> Event<'static> {
    Event::PluginDeployed(Deployed {
        record: PluginRecord {
            quarter: "a".to_owned(),
            plugin: plugin.to_owned(),
            version: version.to_owned(),
            digest: Digest::of(version.as_bytes()),
            stage,
            metrics: vec!["power".to_owned()],
            commands: vec![grant("limit", false), grant("propose", true)],
            ..PluginRecord::default()
        },
        ..Deployed::default()
    })
}

fn intent(command: &str, key: u64, value: f64, expires: i64) -> CommandIntent {
    CommandIntent {
        asset: "w1".to_owned(),
        command: command.to_owned(),
        value,
        expires: at(expires),
        key,
        cause: None,
    }
}

fn interlock(min: Option<f64>, max: Option<f64>) -> Interlock {
    Interlock {
        property: "limit_kw".to_owned(),
        min,
        max,
        reason: "cable".to_owned(),
        ..Interlock::default()
    }
}

/// A quarter with a wallbox, a meter and a plugin, and what was sent.
struct Rig {
    twin: Twin,
    seconds: i64,
    batch: u64,
    effects: Effects,
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self {
            twin: Twin::new(),
            seconds: 0,
            batch: 0,
            effects: Effects::default(),
        };
        rig.fold(Event::QuarterPut(QuarterRecord {
            id: "a".to_owned(),
            name: "A".to_owned(),
            cells: Vec::new(),
            timezone: "Europe/Berlin".to_owned(),
        }));
        rig.asset("w1", "wallbox");
        rig.fold(deployed("p", "1.0.0", Stage::Quarter));
        rig.asset("m1", "meter");
        rig
    }

    fn asset(&mut self, id: &str, kind: &str) {
        self.fold(Event::AssetPut(AssetRecord {
            quarter: "a".to_owned(),
            id: id.to_owned(),
            kind: kind.to_owned(),
            ..AssetRecord::default()
        }));
    }

    fn fold(&mut self, event: Event<'_>) {
        let bytes = postcard::to_allocvec(&Entry {
            at: at(self.seconds),
            event,
        })
        .unwrap();
        let entry = postcard::from_bytes(&bytes).unwrap();
        self.twin
            .fold(self.twin.position() + 1, &entry, &mut self.effects);
    }

    /// Ticks every second up to `seconds`.
    fn until(&mut self, seconds: i64) {
        while self.seconds < seconds {
            self.seconds += 1;
            self.fold(Event::Ticked);
        }
    }

    fn decide(&mut self, run: u64, stage: Stage, commands: Vec<CommandIntent>) -> CommandId {
        let decision = Decision {
            commands,
            ..decision("p", run, self.batch, stage)
        };
        self.batch += 1;
        self.fold(Event::Decided(decision));
        CommandId {
            position: self.twin.position(),
            index: 0,
        }
    }

    fn intend(&mut self, one: CommandIntent) -> CommandId {
        self.decide(RUN, Stage::Quarter, vec![one])
    }

    fn ask(&mut self, value: f64, expires: i64) -> CommandId {
        self.fold(Event::CommandAsked(CommandAsked {
            quarter: "a".to_owned(),
            asset: "w1".to_owned(),
            property: "limit_kw".to_owned(),
            value,
            expires: at(expires),
            priority: Priority::Normal,
            stamp: self.stamp(),
            by: "ada".to_owned(),
            why: "works on the cable".to_owned(),
        }));
        CommandId::asked_at(self.twin.position())
    }

    /// Later than all before.
    fn stamp(&self) -> Stamp {
        Stamp {
            time: self.twin.now(),
            count: u32::try_from(self.twin.position()).unwrap(),
            node: "test".to_owned(),
        }
    }

    fn say(&mut self, id: CommandId, judgement: Judgement) {
        self.fold(Event::CommandJudged(CommandJudged {
            id: id.to_string(),
            judgement,
            by: "bob".to_owned(),
            why: "as agreed".to_owned(),
        }));
    }

    /// The device of `w1` says something, measured at `measured`.
    fn report(&mut self, metric: &str, value: f64, measured: i64) {
        self.report_as(metric, value, measured, Quality::Good);
    }

    fn report_as(&mut self, metric: &str, value: f64, measured: i64, quality: Quality) {
        let reading = Reading {
            metric,
            value,
            time: at(measured),
            quality,
            unit: None,
        };
        self.fold(Event::Observed(Observed {
            quarter: "a",
            asset: "w1",
            place: None,
            readings: vec![reading],
        }));
    }

    fn interlocks(&mut self, interlocks: Vec<Interlock>) {
        self.fold(Event::InterlocksPut(interlocks));
    }

    fn get(&self, id: CommandId) -> &Command {
        let found = self.twin.commands().get(id);
        found.unwrap_or_else(|| panic!("no command {id}: {:?}", self.twin.commands()))
    }

    fn state(&self, id: CommandId) -> CommandState {
        self.get(id).state
    }

    /// What was sent since the last call.
    fn sent(&mut self) -> Vec<CommandId> {
        std::mem::take(&mut self.effects.commands)
    }

    fn count(&self, state: CommandState) -> u64 {
        let counts = self.twin.commands().counts();
        counts
            .into_iter()
            .find(|(s, _)| *s == state)
            .map_or(0, |(_, count)| count)
    }

    /// What a restart makes of it.
    fn restart(&mut self) {
        let bytes = self.twin.to_bytes().unwrap();
        self.twin = Twin::from_bytes(&bytes).unwrap();
    }
}

fn decision(plugin: &str, run: u64, batch: u64, stage: Stage) -> Decision {
    let none = Digest::default();
    Decision {
        quarter: "a".to_owned(),
        plugin: plugin.to_owned(),
        version: "1.0.0".to_owned(),
        stage,
        digest: none,
        manifest: none,
        config: none,
        run,
        batch,
        from: 1,
        to: 2,
        input_hash: none,
        output_hash: none,
        state_before: none,
        state_after: none,
        previous: none,
        fuel: 0,
        failure: None,
        wall_clock: false,
        dropped: Vec::new(),
        causes: Vec::new(),
        derived: Vec::new(),
        alerts: Vec::new(),
        commands: Vec::new(),
    }
}
