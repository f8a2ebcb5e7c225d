//! What would have been: a recorded stretch of time run twice from the same twin on, as it was and
//! with a change.

use hashbrown::HashMap;
use quartier_plugin_host::Package;

use super::data::{DataFolder, RerunError, twin_at};
use super::fork::{Fork, Work};
use super::lines::Lines;
use super::outputs::Outputs;
use super::script::Injected;
use super::survey::{BatchKey, Survey};
use super::{WATCHED, Watch};
use crate::decode::{Texts, decode};
use crate::event::{Decision, Digest, Entry, Event, Origin, PluginRecord, Stage};
use crate::journal::{ReadError, Reader as _};
use crate::model::Millis;
use crate::plugins::record_of;
use crate::snapshots::PluginState;
use crate::state::{Effects, PluginJob, Twin};
use crate::vocabulary::Vocabulary;

/// What is to be otherwise.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The program in the place of what runs; `None`: what runs.
    pub package: Option<Package>,
    /// Id of the plugin, where there is no package.
    pub plugin: Option<String>,
    /// Keys of its `[config]` on top of those deployed.
    pub set: Vec<(String, String)>,
    /// Messages that come as well, in any order.
    pub inject: Vec<Injected>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct WhatIf {
    /// Id of the quarter; `None`: the one in which the plugin runs.
    pub quarter: Option<String>,
    /// Wall clock of the first entry.
    pub from: Millis,
    /// Wall clock behind the last; `None`: the end of the journal.
    pub to: Option<Millis>,
    /// What is otherwise.
    pub change: Change,
}

/// Two runs.
#[derive(Debug)]
pub struct Comparison {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin that was changed; `None`: messages were injected only.
    pub plugin: Option<String>,
    /// Version in the run as it was; `None`: it did not run.
    pub version_before: Option<String>,
    /// Version in the run with the change.
    pub version_after: Option<String>,
    /// Settings that differ from the manifest's in the run with the change.
    pub config: Vec<(String, String)>,
    /// Entries run: position of the first and number.
    pub first: u64,
    /// See `first`.
    pub entries: u64,
    /// Time of the first entry.
    pub from: Millis,
    /// Time of the last entry.
    pub to: Millis,
    /// As it was.
    pub before: Outputs,
    /// With the change.
    pub after: Outputs,
    /// What they took.
    pub work: (Work, Work),
    /// Entries that are damaged: first and last of each run.
    pub lost: Vec<(u64, u64)>,
}

/// Runs a stretch of the journal as it was and with a change.
///
/// # Errors
/// See [`RerunError`].
pub fn what_if(
    data: &DataFolder,
    wish: &WhatIf,
    watch: Watch<'_>,
) -> Result<Comparison, RerunError> {
    let first = data.position_at(wish.from)?.max(1);
    let upto = wish.to.map_or(Ok(u64::MAX), |to| data.position_at(to))?;
    let last = data.end()?.map_or(0, |(last, _)| last).min(upto - 1);
    if first > last {
        return Err(RerunError::Asked(format!(
            "the journal has no entry from {} on{}",
            wish.from,
            wish.to
                .map_or_else(String::new, |to| format!(" and before {to}")),
        )));
    }
    let package = wish.change.package.as_ref();
    let program = package
        .map(|package| data.artifacts().check(package))
        .transpose()?;
    let named = program
        .as_ref()
        .map(|program| program.manifest().id.clone());
    let plugin = named.or_else(|| wish.change.plugin.clone());
    let quarter = quarter(data, first - 1, wish, plugin.as_deref(), watch)?;
    let base = data.base(first - 1)?;
    let survey = Survey::of(data, base.twin.position() + 1, first - 1, watch)?;
    let start = Start::reach(
        data,
        base.twin,
        &base.states,
        (&quarter, first),
        &survey,
        watch,
    )?;
    let twin = || Twin::from_bytes(&start.twin);
    let mut before = Fork::new(data.artifacts(), twin()?, &start.states, &quarter);
    let mut after = Fork::new(data.artifacts(), twin()?, &start.states, &quarter);
    for fork in [&mut before, &mut after] {
        for decision in start.pending.iter().cloned() {
            fork.decided(start.at, decision);
        }
    }
    let mut comparison = Comparison {
        quarter: quarter.clone(),
        plugin: plugin.clone(),
        version_before: None,
        version_after: None,
        config: Vec::new(),
        first,
        entries: 0,
        from: start.at,
        to: start.at,
        before: Outputs::default(),
        after: Outputs::default(),
        work: (Work::default(), Work::default()),
        lost: Vec::new(),
    };
    if let Some(plugin) = &plugin {
        let running = before
            .twin()
            .deployment(&quarter, plugin)
            .map(|d| d.record.clone());
        let mut record = match (&program, &running) {
            (Some(program), running) => {
                let stage = running
                    .as_ref()
                    .map_or(Stage::Quarter, |record| record.stage);
                let config = running.as_ref().map(|record| record.config.clone());
                record_of(
                    program,
                    &quarter,
                    stage,
                    Origin::Api,
                    config.unwrap_or_default(),
                )
            }
            (None, Some(running)) => running.clone(),
            (None, None) => {
                return Err(RerunError::Asked(format!(
                    "{plugin} does not run in {quarter} at {}; name the folder of a package",
                    wish.from
                )));
            }
        };
        set(&mut record, &wish.change.set);
        comparison.version_before = running.map(|record| record.version);
        comparison.version_after = Some(record.version.clone());
        comparison.config.clone_from(&record.config);
        after
            .deploy(wish.from, record)
            .map_err(|why| RerunError::Asked(format!("the change does not start: {why}")))?;
    }
    run(
        data,
        wish,
        (&mut before, &mut after),
        (first, last),
        &mut comparison,
        watch,
    )?;
    comparison.work = (before.work(), after.work());
    comparison.before = before.into_outputs();
    comparison.after = after.into_outputs();
    Ok(comparison)
}

/// Keys set on top.
fn set(record: &mut PluginRecord, set: &[(String, String)]) {
    for (key, value) in set {
        record.config.retain(|(known, _)| known != key);
        record.config.push((key.clone(), value.clone()));
    }
    record.config.sort();
}

/// The quarter that is meant, as things are behind `position`.
fn quarter(
    data: &DataFolder,
    position: u64,
    wish: &WhatIf,
    plugin: Option<&str>,
    watch: Watch<'_>,
) -> Result<String, RerunError> {
    if let Some(quarter) = &wish.quarter {
        return Ok(quarter.clone());
    }
    let mut found: Vec<String> = match plugin {
        Some(plugin) => {
            let twin = twin_at(data, position, watch)?;
            let running = twin.deployments().map(|deployment| &deployment.record);
            let running = running.filter(|record| record.plugin == plugin);
            running.map(|record| record.quarter.clone()).collect()
        }
        None => {
            let messages = wish.change.inject.iter();
            messages
                .map(|message| message.quarter().to_owned())
                .collect()
        }
    };
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [quarter] => Ok(quarter.clone()),
        [] => Err(RerunError::Asked(format!(
            "the plugin runs in no quarter at {}: choose a later --from, or say --quarter where it \
             is to run",
            wish.from
        ))),
        several => Err(RerunError::Asked(format!(
            "which quarter? say --quarter {}",
            several.join(" or --quarter ")
        ))),
    }
}

/// Both forks, entry by entry.
fn run(
    data: &DataFolder,
    wish: &WhatIf,
    (before, after): (&mut Fork<'_>, &mut Fork<'_>),
    (first, last): (u64, u64),
    comparison: &mut Comparison,
    watch: Watch<'_>,
) -> Result<(), RerunError> {
    let mut inject: Vec<&Injected> = wish.change.inject.iter().collect();
    inject.sort_by_key(|message| message.time);
    let mut inject = inject.into_iter().peekable();
    let mut reader = data.reader(first)?;
    let mut end = false;
    while !end {
        let frame = match reader.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(ReadError::Gap { first, last, .. }) => {
                comparison.lost.push((first, last));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for (position, bytes) in frame.entries() {
            end = position > last;
            if end {
                break;
            }
            if position % WATCHED == 0 {
                watch("running", position - first, Some(last - first));
            }
            let Ok(entry) = postcard::from_bytes::<Entry<'_>>(bytes) else {
                comparison.lost.push((position, position));
                continue;
            };
            while let Some(message) = inject.next_if(|message| message.time <= entry.at) {
                take_message(after, message);
            }
            before.take(&entry);
            after.take(&entry);
            comparison.entries += 1;
            comparison.to = comparison.to.max(entry.at);
        }
    }
    for message in inject.filter(|message| wish.to.is_none_or(|to| message.time < to)) {
        take_message(after, message);
    }
    Ok(())
}

fn take_message(fork: &mut Fork<'_>, message: &Injected) {
    let mut texts = Texts::default();
    let (topic, payload) = (&message.topic, message.payload.as_bytes());
    // It was decoded when its file was read.
    if let Ok(decoded) = decode(
        topic,
        payload,
        message.time,
        Vocabulary::builtin(),
        &mut texts,
    ) {
        let event = Event::Observed(decoded.observed);
        let at = message.time;
        fork.take(&Entry { at, event });
    }
}

/// Where the forks begin.
struct Start {
    twin: Vec<u8>,
    states: Vec<PluginState>,
    /// Decided before, recorded after.
    pending: Vec<Decision>,
    at: Millis,
}

impl Start {
    /// Runs the record up to before entry `first`.
    fn reach(
        data: &DataFolder,
        mut twin: Twin,
        states: &[PluginState],
        (quarter, first): (&str, u64),
        survey: &Survey,
        watch: Watch<'_>,
    ) -> Result<Self, RerunError> {
        let here = |record: &PluginRecord| record.quarter == quarter;
        let mut lines = Lines::resume(data.artifacts(), &twin, states, here);
        let mut pending: HashMap<BatchKey, Decision> = HashMap::new();
        let mut effects = Effects::default();
        let from = twin.position() + 1;
        let mut at = twin.now();
        let mut reader = data.reader(from)?;
        'all: loop {
            let frame = match reader.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(ReadError::Gap { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            for (position, bytes) in frame.entries() {
                if position % WATCHED == 0 {
                    watch("approaching", position - from, Some(first - from));
                }
                let Ok(entry) = postcard::from_bytes::<Entry<'_>>(bytes) else {
                    continue;
                };
                at = at.max(entry.at);
                if position >= first {
                    break 'all;
                }
                if let Event::Decided(decision) = &entry.event {
                    pending.remove(&(decision.run, decision.batch));
                }
                twin.fold(position, &entry, &mut effects);
                for job in std::mem::take(&mut effects.jobs) {
                    work(&mut lines, job, quarter, survey, &twin, &mut pending);
                }
                effects.clear();
            }
        }
        let states = lines
            .states()
            .map_err(|error| RerunError::Asked(format!("a plugin gives no state: {error}")))?;
        let mut pending: Vec<Decision> = pending.into_values().collect();
        pending.sort_by_key(|decision| (decision.run, decision.batch));
        Ok(Self {
            twin: twin.to_bytes()?,
            states,
            pending,
            at,
        })
    }
}

fn work(
    lines: &mut Lines<'_>,
    job: PluginJob,
    quarter: &str,
    survey: &Survey,
    twin: &Twin,
    pending: &mut HashMap<BatchKey, Decision>,
) {
    match job {
        PluginJob::Stop(run) => lines.stop(run),
        PluginJob::Start(start) if start.record.quarter == quarter => {
            lines.start(&start, twin);
        }
        PluginJob::Batch(batch) if batch.quarter == quarter => {
            let key = (batch.run, batch.number);
            if survey.failures.contains_key(&key) {
                lines.failed(&batch, false, twin);
            } else if let Some(decision) = lines.answer(&batch, Digest::default(), twin) {
                pending.insert(key, decision);
            }
        }
        PluginJob::Start(_) | PluginJob::Batch(_) => {}
    }
}
