//! A first look at the journal: which decisions are in it, and which batches failed. A rerun must
//! know of a failure when it comes to the batch, and the record of it comes later.

use hashbrown::HashMap;

use super::data::{DataFolder, RerunError};
use super::{WATCHED, Watch};
use crate::event::{Decision, Entry, Event};
use crate::journal::{ReadError, Reader as _};

/// A batch by its line and its number.
pub(super) type BatchKey = (u64, u64);

/// A decision in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) position: u64,
    /// Where its batch was cut.
    pub(super) cut: u64,
    /// Index in [`Survey::plugins`].
    pub(super) plugin: usize,
}

/// What is in a part of the journal.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) decisions: Vec<Noted>,
    /// Quarter and id of each plugin that decided.
    pub(super) plugins: Vec<(String, String)>,
    /// Batches that failed, and whether that was a matter of wall-clock time.
    pub(super) failures: HashMap<BatchKey, bool>,
    /// Last entry looked at; 0 without any.
    pub(super) last: u64,
}

impl Survey {
    /// Looks at the entries from `from` to `upto`.
    pub(super) fn of(
        data: &DataFolder,
        from: u64,
        upto: u64,
        watch: Watch<'_>,
    ) -> Result<Self, RerunError> {
        let mut survey = Self::default();
        let mut reader = data.reader(from)?;
        loop {
            let frame = match reader.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(survey),
                Err(ReadError::Gap { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            for (position, bytes) in frame.entries() {
                if position > upto {
                    return Ok(survey);
                }
                survey.last = position;
                if position % WATCHED == 0 {
                    watch("reading", position - from, None);
                }
                if let Ok(Entry {
                    event: Event::Decided(decision),
                    ..
                }) = postcard::from_bytes(bytes)
                {
                    survey.note(position, &decision);
                }
            }
        }
    }

    fn note(&mut self, position: u64, decision: &Decision) {
        let known = self.plugins.iter().position(|(quarter, plugin)| {
            (quarter, plugin) == (&decision.quarter, &decision.plugin)
        });
        let plugin = known.unwrap_or_else(|| {
            let named = (decision.quarter.clone(), decision.plugin.clone());
            self.plugins.push(named);
            self.plugins.len() - 1
        });
        if decision.failure.is_some() {
            let batch = (decision.run, decision.batch);
            self.failures.insert(batch, decision.wall_clock);
        }
        self.decisions.push(Noted {
            position,
            cut: decision.to,
            plugin,
        });
    }
}
