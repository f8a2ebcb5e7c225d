//! Commands that lost, as the fold tells it: here, and at a box whose entries the city folds.

use std::io;
use std::time::Instant;

use super::{Audit, FILES, GRANTED, Rate, Record, line};
use crate::state::{Asker, Settlement, Winner};

const CONFLICT: &str = "conflict";
/// Persons do not come near; a plugin that always wants what may not be does.
const SETTLED: Rate = GRANTED;

impl Audit {
    /// Commands that lost. Those of one call are one write, so that a killed process leaves all or
    /// none of them.
    pub(in crate::access) fn settled<'a>(
        &self,
        settlements: impl IntoIterator<Item = &'a Settlement>,
    ) {
        let mut log = self.log.lock();
        let mut lines = Vec::new();
        for settlement in settlements {
            if let Some(left_out) = log.settled.admit(SETTLED, Instant::now()) {
                lines.push(conflict(settlement, left_out));
            }
        }
        let lines: io::Result<Vec<_>> = lines.into_iter().collect();
        self.keep(&mut log, lines.map(|lines| lines.concat()));
    }

    /// The same of entries that were folded again after a start: what is here already is left out.
    pub fn settled_before(&self, settlements: &[Settlement]) {
        if settlements.is_empty() {
            return;
        }
        let last = self.last_settled();
        self.settled(settlements.iter().filter(|s| s.position > last));
    }

    /// Journal position of the newest conflict in the files; 0 without one.
    fn last_settled(&self) -> u64 {
        let entry = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["what"] == CONFLICT).then(|| line["entry"].as_u64())?
        };
        let newest = (0..FILES).find_map(|age| {
            let file = std::fs::read(self.path(age)).ok()?;
            String::from_utf8_lossy(&file).lines().rev().find_map(entry)
        });
        newest.unwrap_or(0)
    }
}

fn conflict(settlement: &Settlement, left_out: u64) -> io::Result<Vec<u8>> {
    let (user, detail) = (who(&settlement.loser.by), detail(settlement));
    let record = Record {
        what: CONFLICT,
        result: settlement.loser.state.as_str(),
        user: Some(&user),
        detail: Some(&detail),
        entry: Some(settlement.position),
        ..Record::default()
    };
    line(record, left_out)
}

/// Which command lost, when, to whom and by which rule; in the order of what must not be cut off.
fn detail(settlement: &Settlement) -> String {
    let Settlement {
        node,
        loser,
        winner,
        ..
    } = settlement;
    let place = match node.as_str() {
        "" => String::new(),
        node => format!("{node}:"),
    };
    let winner = match winner {
        Winner::Safety => "safety".to_owned(),
        Winner::Command(Some(by)) => who(by),
        Winner::Command(None) => "somebody".to_owned(),
    };
    let (id, since, reason) = (loser.id, loser.since, &loser.reason);
    format!("{place}{id} at {since} to {winner}: {reason}")
}

fn who(by: &Asker) -> String {
    match by {
        Asker::Person { user, .. } => user.clone(),
        Asker::Plugin {
            plugin, version, ..
        } => format!("{plugin} {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CommandAsked, Entry, Event, Interlock, Priority, Stamp};
    use crate::model::{AssetRecord, Millis, QuarterRecord};
    use crate::state::{Effects, Twin};

    /// As many wishes as `wishes` that a limit forbids, from entry 4 on.
    fn settled(wishes: usize) -> Vec<Settlement> {
        let quarter = || "a".to_owned();
        let events = [
            Event::QuarterPut(QuarterRecord {
                id: quarter(),
                name: "A".to_owned(),
                cells: Vec::new(),
                timezone: "Europe/Berlin".to_owned(),
            }),
            Event::AssetPut(AssetRecord {
                quarter: quarter(),
                id: "w1".to_owned(),
                ..AssetRecord::default()
            }),
            Event::InterlocksPut(vec![Interlock {
                max: Some(8.0),
                reason: "cable".to_owned(),
                ..Interlock::default()
            }]),
        ];
        let asked = Event::CommandAsked(CommandAsked {
            quarter: quarter(),
            asset: "w1".to_owned(),
            property: "limit_kw".to_owned(),
            value: 9.0,
            expires: Millis(60_000),
            priority: Priority::Emergency,
            stamp: Stamp::default(),
            by: "ada".to_owned(),
            why: "a test".to_owned(),
        });
        let (mut twin, mut effects) = (Twin::new(), Effects::default());
        let events = events.into_iter().chain(vec![asked; wishes]);
        for (position, event) in (1..).zip(events) {
            let at = Millis(1000);
            twin.fold(position, &Entry { at, event }, &mut effects);
        }
        effects.settled
    }

    #[test]
    fn what_is_folded_again_after_a_start_is_written_where_it_is_missing_only() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        audit.settled(&settled(2));
        audit.done(Record {
            what: "reload",
            ..Record::default()
        });
        let again = Audit::open(folder.path()).unwrap();
        again.settled_before(&settled(3));
        let text = std::fs::read_to_string(audit.path(0)).unwrap();
        let details: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|line| line["what"] == CONFLICT)
            .map(|line| (line["entry"].as_u64().unwrap(), line["detail"].to_string()))
            .collect();
        let entries: Vec<_> = details.iter().map(|(entry, _)| *entry).collect();
        assert_eq!(entries, [4, 5, 6], "{details:?}");
        let wanted = "\"6-0 at 1970-01-01T00:00:01Z to safety: 9 is not within any and 8 of the operator: cable\"";
        assert_eq!(details[2].1, wanted);
    }
}
