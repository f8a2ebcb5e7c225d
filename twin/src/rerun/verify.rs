//! Would the same batches be decided the same? One pass over the journal, from a snapshot on:
//! recorded decisions are folded as they are, the plugins answer beside, and both are compared.
//!
//! A decision is `Verified` only where the rerun gave the same answer to the same input in the same
//! state, byte for byte, and it names the decision before it in its line. What differs in a decision
//! beside that, such as its fuel, breaks the chain at the next one.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use serde::Serialize;

use super::compare::{Difference, differences};
use super::data::{DataFolder, RerunError};
use super::lines::Lines;
use super::survey::{BatchKey, Survey};
use super::{WATCHED, Watch};
use crate::event::{Decision, Digest, Entry, Event};
use crate::journal::{ReadError, Reader as _};
use crate::state::{Effects, PluginJob, Twin};

/// Verified decisions of which a report keeps the rows; beyond, they are counted only.
const MOST_VERIFIED: usize = 1000;

/// Which decisions are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one at a position.
    One(u64),
    /// Every one that is covered.
    All,
    /// So many, chosen by lot; the same seed chooses the same of the same journal.
    Sample {
        /// How many.
        count: usize,
        /// Of the lot.
        seed: u64,
    },
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The rerun decided the same.
    Verified,
    /// It did not.
    Differs {
        /// In what.
        differences: Vec<Difference>,
    },
    /// No rerun can tell: the batch failed for want of time or room, or the program is gone.
    NotReproducible {
        /// Why.
        why: String,
    },
    /// Its batch lies before what can be run again.
    NotCovered {
        /// Why.
        why: String,
    },
}

/// A decision and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Journal position: its id.
    pub decision: u64,
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Version that decided.
    pub version: String,
    /// Number of the batch in its line.
    pub batch: u64,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How many of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// See [`Verdict::Verified`].
    pub verified: u64,
    /// See [`Verdict::Differs`].
    pub differs: u64,
    /// See [`Verdict::NotReproducible`].
    pub not_reproducible: u64,
    /// See [`Verdict::NotCovered`].
    pub not_covered: u64,
}

/// What came of all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// How many of what.
    pub counts: Counts,
    /// In the order of the journal; of verified ones the first 1000.
    pub decisions: Vec<Checked>,
    /// Entries of the journal that are damaged: first and last of each run. Decisions may be
    /// among them.
    pub lost: Vec<(u64, u64)>,
    /// Entries that were run: from behind this position ..
    pub from: u64,
    /// .. up to this one.
    pub upto: u64,
}

impl Report {
    /// Whether everything that could be verified was, and nothing is damaged.
    pub fn is_good(&self) -> bool {
        self.counts.differs == 0 && self.lost.is_empty()
    }

    fn add(&mut self, checked: Checked) {
        let counts = &mut self.counts;
        match checked.verdict {
            Verdict::Verified => counts.verified += 1,
            Verdict::Differs { .. } => counts.differs += 1,
            Verdict::NotReproducible { .. } => counts.not_reproducible += 1,
            Verdict::NotCovered { .. } => counts.not_covered += 1,
        }
        let many = counts.verified > MOST_VERIFIED as u64;
        if checked.verdict != Verdict::Verified || !many {
            self.decisions.push(checked);
        }
    }
}

/// Verifies decisions of a data folder.
///
/// # Errors
/// See [`RerunError`]; a decision that differs is none.
pub fn verify(data: &DataFolder, which: Which, watch: Watch<'_>) -> Result<Report, RerunError> {
    let (survey, base) = match which {
        Which::One(position) => {
            let (_, decision) = data.decision(position)?;
            let base = data.base(decision.to.min(position).saturating_sub(1))?;
            let from = base.twin.position() + 1;
            (Survey::of(data, from, position, watch)?, base)
        }
        Which::All | Which::Sample { .. } => {
            let survey = Survey::of(data, data.first(), u64::MAX, watch)?;
            let earliest = data.earliest()?.unwrap_or(u64::MAX);
            (survey, data.base(earliest)?)
        }
    };
    let from = base.twin.position();
    let chosen = chosen(&survey, which, from);
    let noted = survey.decisions.iter();
    let noted: Vec<_> = noted
        .filter(|noted| chosen.contains(&noted.position))
        .collect();
    let upto = noted
        .iter()
        .map(|noted| noted.position)
        .max()
        .unwrap_or(from);
    let wanted: HashSet<(String, String)> = noted
        .iter()
        .filter_map(|noted| survey.plugins.get(noted.plugin).cloned())
        .collect();
    let lines = Lines::resume(data.artifacts(), &base.twin, &base.states, |record| {
        wanted.contains(&(record.quarter.clone(), record.plugin.clone()))
    });
    let mut verifier = Verifier {
        twin: base.twin,
        lines,
        survey: &survey,
        wanted,
        chosen,
        outcomes: BTreeMap::new(),
        effects: Effects::default(),
        report: Report {
            from,
            upto,
            ..Report::default()
        },
    };
    verifier.run(data, watch)?;
    Ok(verifier.report)
}

/// Positions of the decisions that are looked at. A sample is of those that are covered.
fn chosen(survey: &Survey, which: Which, from: u64) -> HashSet<u64> {
    let all = survey.decisions.iter();
    match which {
        Which::One(position) => [position].into_iter().collect(),
        Which::All => all.map(|noted| noted.position).collect(),
        Which::Sample { count, seed } => {
            let covered = all.filter(|noted| noted.cut > from);
            sample(covered.map(|noted| noted.position), count, seed)
        }
    }
}

/// `count` of them by lot (reservoir sampling).
fn sample(all: impl Iterator<Item = u64>, count: usize, seed: u64) -> HashSet<u64> {
    let mut lot = Lot(seed);
    let mut drawn: Vec<u64> = Vec::new();
    for (seen, position) in (1..).zip(all) {
        if drawn.len() < count {
            drawn.push(position);
        } else if let Some(place) = usize::try_from(lot.below(seen))
            .ok()
            .and_then(|place| drawn.get_mut(place))
        {
            *place = position;
        }
    }
    drawn.into_iter().collect()
}

/// SplitMix64: not random, but even.
struct Lot(u64);

impl Lot {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

/// What the rerun said of a batch, until the record of it comes.
enum Outcome {
    Decided(Box<Decision>),
    /// It failed then, and is not tried again.
    SetAside,
    /// There is no instance.
    Broken(String),
}

struct Verifier<'a> {
    twin: Twin,
    lines: Lines<'a>,
    survey: &'a Survey,
    /// Quarter and id of the plugins that are run; the others' decisions are only folded.
    wanted: HashSet<(String, String)>,
    chosen: HashSet<u64>,
    outcomes: BTreeMap<BatchKey, Outcome>,
    effects: Effects,
    report: Report,
}

impl Verifier<'_> {
    fn run(&mut self, data: &DataFolder, watch: Watch<'_>) -> Result<(), RerunError> {
        let (from, upto) = (self.report.from, self.report.upto);
        let begin = self.chosen.iter().copied().min().unwrap_or(from);
        let mut reader = data.reader(begin.min(from + 1))?;
        loop {
            let frame = match reader.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(ReadError::Gap { first, last, .. }) => {
                    self.report.lost.push((first, last));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for (position, bytes) in frame.entries() {
                if position > upto {
                    return Ok(());
                }
                if position % WATCHED == 0 {
                    watch("running", position.saturating_sub(from), Some(upto - from));
                }
                match postcard::from_bytes::<Entry<'_>>(bytes) {
                    Ok(entry) if position > from => self.take(position, &entry),
                    Ok(entry) => self.before(position, &entry),
                    Err(_) => self.report.lost.push((position, position)),
                }
            }
        }
    }

    /// An entry before what is run.
    fn before(&mut self, position: u64, entry: &Entry<'_>) {
        if let Event::Decided(decision) = &entry.event
            && self.chosen.contains(&position)
        {
            let why = self.too_old();
            self.add(position, decision, Verdict::NotCovered { why });
        }
    }

    fn too_old(&self) -> String {
        format!(
            "its batch was cut before entry {}, where the rerun begins",
            self.report.from + 1
        )
    }

    fn take(&mut self, position: u64, entry: &Entry<'_>) {
        if let Event::Decided(decision) = &entry.event {
            self.recorded(position, decision);
        }
        self.twin.fold(position, entry, &mut self.effects);
        for job in std::mem::take(&mut self.effects.jobs) {
            self.work(job);
        }
        self.effects.clear();
    }

    fn work(&mut self, job: PluginJob) {
        match job {
            PluginJob::Stop(run) => self.lines.stop(run),
            PluginJob::Start(start) => {
                let record = &start.record;
                if self.wants(&record.quarter, &record.plugin) {
                    // What came of it in the node is in the journal.
                    self.lines.start(&start, &self.twin);
                }
            }
            PluginJob::Batch(batch) => {
                if !self.wants(&batch.quarter, &batch.plugin) {
                    return;
                }
                let key = (batch.run, batch.number);
                let outcome = if let Some(why) = self.lines.broken(batch.run) {
                    Some(Outcome::Broken(why.to_owned()))
                } else if let Some(wall_clock) = self.survey.failures.get(&key) {
                    let tried = self.lines.failed(&batch, !wall_clock, &self.twin);
                    match tried {
                        Some(Ok(decision)) => decision.map(|d| Outcome::Decided(Box::new(d))),
                        Some(Err(error)) => Some(Outcome::Broken(error.to_string())),
                        None => Some(Outcome::SetAside),
                    }
                } else {
                    let decision = self.lines.answer(&batch, Digest::default(), &self.twin);
                    decision.map(|decision| Outcome::Decided(Box::new(decision)))
                };
                if let Some(outcome) = outcome {
                    self.outcomes.insert(key, outcome);
                }
            }
        }
    }

    fn wants(&self, quarter: &str, plugin: &str) -> bool {
        let named = (quarter.to_owned(), plugin.to_owned());
        self.wanted.contains(&named)
    }

    /// A decision of the record, before it is folded.
    fn recorded(&mut self, position: u64, decision: &Decision) {
        let (next, chain) = self.twin.recorded(decision.run);
        let key = (decision.run, decision.batch);
        if !self.wants(&decision.quarter, &decision.plugin) {
            return;
        }
        let skipped = self.skipped(key);
        let outcome = self.outcomes.remove(&key);
        if !self.chosen.contains(&position) {
            return;
        }
        if decision.batch < next {
            let why = "the batch was recorded before; this record counts for nothing".to_owned();
            return self.add(position, decision, Verdict::NotCovered { why });
        }
        let mut found = skipped;
        if decision.previous != chain {
            found.push(Difference::new("previous", &decision.previous, &chain));
        }
        let verdict = self.verdict(decision, outcome, found);
        self.add(position, decision, verdict);
    }

    /// Batches of the line before this one that the rerun decided and nobody recorded.
    fn skipped(&mut self, key: BatchKey) -> Vec<Difference> {
        let mut rest = self.outcomes.split_off(&(key.0, 0));
        let mut later = rest.split_off(&key);
        self.outcomes.append(&mut later);
        let decided = |outcome: &Outcome| matches!(outcome, Outcome::Decided(_));
        let rest = rest.into_iter().filter(|(_, outcome)| decided(outcome));
        rest.map(|((_, batch), _)| Difference {
            field: format!("batch {batch}"),
            recorded: "nothing".to_owned(),
            rerun: "a decision".to_owned(),
        })
        .collect()
    }

    fn verdict(
        &self,
        decision: &Decision,
        outcome: Option<Outcome>,
        mut found: Vec<Difference>,
    ) -> Verdict {
        let mut open = None;
        match outcome {
            Some(Outcome::Decided(rerun)) => found.extend(differences(decision, &rerun)),
            Some(Outcome::SetAside) => {
                let failure = decision.failure.as_deref().unwrap_or_default();
                open = Some(Verdict::NotReproducible {
                    why: format!("the batch was set aside: {failure}"),
                });
            }
            Some(Outcome::Broken(why)) => open = Some(Verdict::NotReproducible { why }),
            None if decision.to <= self.report.from => {
                let why = self.too_old();
                open = Some(Verdict::NotCovered { why });
            }
            None => found.push(Difference {
                field: "decision".to_owned(),
                recorded: format!("batch {} of line {}", decision.batch, decision.run),
                rerun: "nothing".to_owned(),
            }),
        }
        match (found.is_empty(), open) {
            (true, None) => Verdict::Verified,
            (true, Some(open)) => open,
            (false, _) => Verdict::Differs { differences: found },
        }
    }

    fn add(&mut self, position: u64, decision: &Decision, verdict: Verdict) {
        self.report.add(Checked {
            decision: position,
            quarter: decision.quarter.clone(),
            plugin: decision.plugin.clone(),
            version: decision.version.clone(),
            batch: decision.batch,
            verdict,
        });
    }
}
