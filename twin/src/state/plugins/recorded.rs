//! Decisions that come back through the journal: each counts once, and only as far as the version
//! that made it may act.

use crate::event::{Decision, Digest};
use crate::state::Twin;

/// How far a decision counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Standing {
    /// Wholly.
    Acts,
    /// A shadow's: it changes nothing but what is known of the shadow.
    Shadow,
    /// A shadow's that was promoted while it answered: the version before acted on the same
    /// readings, and its alerts are the shadow's from here on.
    Promoted,
    /// Of a run that ended: values count, alerts are those of who took over.
    Late {
        /// Whether its commands count as well.
        commands: bool,
    },
}

impl Twin {
    /// Marks the decision's batch as recorded; `None` where it is known already.
    pub(in crate::state) fn record_decision(&mut self, decision: &Decision) -> Option<Standing> {
        let quarter = usize::from(self.quarter_index(&decision.quarter)?);
        let hash = decision.hash();
        let slots = &mut self.quarters.get_mut(quarter)?.deployments;
        let running = slots.iter_mut().flatten().find(|d| d.run == decision.run);
        if let Some(deployment) = running {
            if decision.batch < deployment.decided {
                return None;
            }
            let batches = decision.batch + 1 - deployment.decided;
            deployment.decided = decision.batch + 1;
            deployment.chain = hash;
            let standing = match (decision.stage.acts(), deployment.record.stage.acts()) {
                (true, _) => Standing::Acts,
                (false, false) => Standing::Shadow,
                (false, true) => Standing::Promoted,
            };
            let past = self.past_mut(quarter, &decision.plugin);
            past.count(&decision.version, batches, decision.failure.is_some());
            return Some(standing);
        }
        let retired = &mut self.past_mut(quarter, &decision.plugin).retired;
        let ended = retired.iter_mut().find(|ended| ended.run == decision.run)?;
        if decision.batch < ended.decided {
            return None;
        }
        ended.decided = decision.batch + 1;
        ended.chain = hash;
        decision.stage.acts().then_some(Standing::Late {
            commands: ended.succeeded,
        })
    }
}

impl Twin {
    /// Of a run: the number below which all its batches are recorded, and the hash of its last
    /// decision.
    pub fn recorded(&self, run: u64) -> (u64, Digest) {
        if let Some(deployment) = self.run(run) {
            return (deployment.decided, deployment.chain);
        }
        let pasts = self
            .quarters
            .iter()
            .flat_map(|quarter| quarter.past.values());
        let mut ended = pasts.flat_map(|past| &past.retired);
        let ended = ended.find(|ended| ended.run == run);
        ended.map_or((0, Digest::default()), |ended| (ended.decided, ended.chain))
    }
}

impl Decision {
    /// SHA-256 of its bytes in the journal: what the next decision of its run names as `previous`.
    pub fn hash(&self) -> Digest {
        Digest::of_value(self)
    }
}
