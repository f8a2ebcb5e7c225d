//! What the city itself says of boxes, at each tick: one is silent, its journal or disk nearly full,
//! or its state is another than the replica's. These alerts name no plugin.

use super::{Edge, Lost, Standing};
use crate::event::{EdgeEnrolled, Severity};
use crate::state::{Alert, AlertKey, Effects, Twin};

/// A box reports every ten seconds; after so many milliseconds without a word it is silent.
const SILENT_MS: i64 = 60_000;
/// Share of the journal's quota, in percent, from which on somebody should look.
const NEARLY_FULL: u64 = 80;
/// Share of the disk that should be free, in percent.
const LEAST_FREE: u64 = 5;
/// Percent by which a share has to be better again before its alert ends: one that stays at the
/// limit is one alert.
const SLACK: u64 = 3;

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
            let slack = |rule| match self.alerts.contains_key(&key(&edge.record, rule)) {
                true => SLACK,
                false => 0,
            };
            let rules = [
                (SILENT, self.silence(edge)),
                (JOURNAL, journal(edge, slack(JOURNAL))),
                (DISK, disk(edge, slack(DISK))),
                (DIFFERS, differs(edge)),
            ];
            let since = self.now;
            for (rule, trouble) in rules {
                let key = key(&edge.record, rule);
                match trouble.filter(|_| standing) {
                    None => self.end_alert(key, effects),
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

    /// The box of that enrolment is no more.
    pub(super) fn forget_alerts(&mut self, edge: &EdgeEnrolled, effects: &mut Effects) {
        for rule in [SILENT, JOURNAL, DISK, DIFFERS] {
            self.end_alert(key(edge, rule), effects);
        }
    }

    fn end_alert(&mut self, key: AlertKey, effects: &mut Effects) {
        if self.alerts.remove(&key).is_some() {
            effects.alerts.push((key, None));
        }
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

fn key(edge: &EdgeEnrolled, rule: &str) -> AlertKey {
    AlertKey {
        quarter: edge.quarter.clone(),
        rule: rule.to_owned(),
        asset: edge.node.clone(),
    }
}

/// How bad, the value, and what to do.
type Trouble = (Severity, f64, String);

#[expect(clippy::cast_precision_loss, reason = "percent")]
fn journal(edge: &Edge, slack: u64) -> Option<Trouble> {
    let health = edge.health.as_ref()?;
    let share = percent(health.journal_bytes, health.journal_quota_bytes)?;
    (share >= NEARLY_FULL - slack).then(|| {
        let text = format!(
            "{share} % of the quota of the box's journal is used; then it does what `when_full` \
             says: see to its connection"
        );
        (Severity::Major, share as f64, text)
    })
}

#[expect(clippy::cast_precision_loss, reason = "percent")]
fn disk(edge: &Edge, slack: u64) -> Option<Trouble> {
    let health = edge.health.as_ref()?;
    let free = percent(health.disk_free_bytes, health.disk_bytes)?;
    (free < LEAST_FREE + slack).then(|| {
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
