//! What the city itself says of boxes, at each tick: one is silent, its journal or disk nearly full,
//! or its state is another than the replica's. These alerts name no plugin.

use super::{Edge, Lost, Standing};
use crate::event::Severity;
use crate::state::{Alert, AlertKey, Effects, Twin};

/// A box reports every ten seconds; after so many milliseconds without a word it is silent.
const SILENT_MS: i64 = 60_000;
/// Share of the journal's quota, in percent, from which on somebody should look.
const NEARLY_FULL: u64 = 80;
/// Share of the disk that should be free, in percent.
const LEAST_FREE: u64 = 5;

const SILENT: &str = "edge_silent";
const JOURNAL: &str = "edge_journal";
const DISK: &str = "edge_disk";
const DIFFERS: &str = "edge_differs";

impl Twin {
    /// Raises and ends the alerts about boxes.
    pub(in crate::state) fn watch_edges(&mut self, effects: &mut Effects) {
        let edges = std::mem::take(&mut self.edges);
        for edge in edges.iter() {
            let standing = edge.standing != Standing::Retired;
            let (since, rules) = (self.now, self.troubles_of(edge));
            for (rule, trouble) in rules {
                let key = AlertKey {
                    quarter: edge.record.quarter.clone(),
                    rule: rule.to_owned(),
                    asset: edge.record.node.clone(),
                };
                match trouble.filter(|_| standing) {
                    None => {
                        if self.alerts.remove(&key).is_some() {
                            effects.alerts.push((key, None));
                        }
                    }
                    // One that stands is left as it is: its text would change at each tick.
                    Some(_) if self.alerts.contains_key(&key) => {}
                    Some((severity, value, text)) => {
                        let alert = Alert {
                            severity,
                            since,
                            value,
                            limit: None,
                            text,
                            plugin: String::new(),
                            decision: self.position,
                            node: None,
                        };
                        self.alerts.insert(key.clone(), alert.clone());
                        effects.alerts.push((key, Some(alert)));
                    }
                }
            }
        }
        self.edges = edges;
    }

    fn troubles_of(&self, edge: &Edge) -> [(&'static str, Option<Trouble>); 4] {
        [
            (SILENT, self.silence(edge)),
            (JOURNAL, journal(edge)),
            (DISK, disk(edge)),
            (DIFFERS, differs(edge)),
        ]
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds, for people")]
    fn silence(&self, edge: &Edge) -> Option<Trouble> {
        let silent = self.now.since(edge.heard?.taken);
        (silent > SILENT_MS).then(|| {
            let seconds = silent / 1000;
            let text = format!("no word from the box for {seconds} s; its quarter runs by itself");
            (Severity::Major, seconds as f64, text)
        })
    }
}

/// How bad, the value, and what to do.
type Trouble = (Severity, f64, String);

#[expect(clippy::cast_precision_loss, reason = "percent")]
fn journal(edge: &Edge) -> Option<Trouble> {
    let health = edge.health.as_ref()?;
    let share = percent(health.journal_bytes, health.journal_quota_bytes)?;
    (share >= NEARLY_FULL).then(|| {
        let text = format!(
            "{share} % of the quota of the box's journal is used; then it does what `when_full` \
             says: see to its connection"
        );
        (Severity::Major, share as f64, text)
    })
}

#[expect(clippy::cast_precision_loss, reason = "percent")]
fn disk(edge: &Edge) -> Option<Trouble> {
    let health = edge.health.as_ref()?;
    let free = percent(health.disk_free_bytes, health.disk_bytes)?;
    (free < LEAST_FREE).then(|| {
        let text = format!("{free} % of the box's disk is free");
        (Severity::Major, free as f64, text)
    })
}

fn differs(edge: &Edge) -> Option<Trouble> {
    let proof = edge.proof.filter(|proof| !proof.equal)?;
    let position = proof.position;
    let text = match edge.lost.back().filter(|_| edge.unsure) {
        Some(Lost { first, last }) => format!(
            "the box's entries {first} to {last} are lost, and at position {position} its state \
             is another one; the city has asked for it"
        ),
        None => format!(
            "at position {position} the box has another state than its journal gives here; do \
             both run the same version?"
        ),
    };
    Some((Severity::Major, 1.0, text))
}

fn percent(part: u64, whole: u64) -> Option<u64> {
    part.saturating_mul(100).checked_div(whole)
}
