//! For every journal and every restart in it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A journal: entries, and of each decision's intents their identity.
#[derive(Debug, Clone)]
struct Journal {
    entries: Vec<Vec<u8>>,
    intents: BTreeMap<CommandId, (String, String, u64)>,
}

fn encoded(seconds: i64, event: Event<'_>) -> Vec<u8> {
    postcard::to_allocvec(&Entry {
        at: at(seconds),
        event,
    })
    .unwrap()
}

type Step = (i64, u8, u8, u64, i64, u64);

fn journal(steps: Vec<Step>) -> Journal {
    let mut rig = Journal {
        entries: Vec::new(),
        intents: BTreeMap::new(),
    };
    let asset = |id: &str| AssetRecord {
        quarter: "a".to_owned(),
        id: id.to_owned(),
        kind: "wallbox".to_owned(),
        ..AssetRecord::default()
    };
    rig.entries.push(encoded(
        0,
        Event::QuarterPut(QuarterRecord {
            id: "a".to_owned(),
            name: "A".to_owned(),
            cells: Vec::new(),
            timezone: "Europe/Berlin".to_owned(),
        }),
    ));
    rig.entries.push(encoded(0, Event::AssetPut(asset("w0"))));
    rig.entries
        .push(encoded(0, deployed("p", "1.0.0", Stage::Quarter)));
    rig.entries.push(encoded(0, Event::AssetPut(asset("w1"))));
    let mut seconds = 0;
    for (batch, (pause, kind, asset, key, life, back)) in (0..).zip(steps) {
        seconds += pause;
        let position = rig.entries.len() as u64 + 1;
        let asset = format!("w{}", asset % 2);
        let value = (key % 12) as f64;
        let id = CommandId::asked_at(position.saturating_sub(back)).to_string();
        let judged = |judgement| {
            let (by, why) = ("bob".to_owned(), String::new());
            Event::CommandJudged(CommandJudged {
                id: id.clone(),
                judgement,
                by,
                why,
            })
        };
        let entry = match kind {
            0..=3 => {
                let command = if kind == 0 { "propose" } else { "limit" };
                let one = intent(command, key, value, seconds + life);
                let one = CommandIntent {
                    asset: asset.clone(),
                    ..one
                };
                let commands = vec![one.clone(), one];
                for index in 0..2 {
                    let id = CommandId { position, index };
                    rig.intents
                        .insert(id, (asset.clone(), command.to_owned(), key));
                }
                let decision = decision("p", RUN, batch, Stage::Quarter);
                encoded(
                    seconds,
                    Event::Decided(Decision {
                        commands,
                        ..decision
                    }),
                )
            }
            4 => encoded(
                seconds,
                Event::CommandAsked(CommandAsked {
                    quarter: "a".to_owned(),
                    asset,
                    property: "limit_kw".to_owned(),
                    value,
                    expires: at(seconds + life),
                    priority: Priority::Normal,
                    stamp: Stamp {
                        time: at(seconds),
                        ..Stamp::default()
                    },
                    by: "ada".to_owned(),
                    why: String::new(),
                }),
            ),
            5 => encoded(seconds, judged(Judgement::Approve)),
            6 => encoded(seconds, judged(Judgement::Reject)),
            7 => encoded(seconds, judged(Judgement::Withdraw)),
            8 | 9 => {
                let metric = if kind == 8 { "limit_kw" } else { "temperature" };
                let value = if kind == 8 { value } else { 55.0 + value };
                let time = at(seconds);
                let quality = Quality::Good;
                let reading = Reading {
                    metric,
                    value,
                    time,
                    quality,
                    unit: None,
                };
                let (place, readings) = (None, vec![reading]);
                encoded(
                    seconds,
                    Event::Observed(Observed {
                        quarter: "a",
                        asset: &asset,
                        place,
                        readings,
                    }),
                )
            }
            10 => encoded(
                seconds,
                Event::InterlocksPut(vec![interlock(Some(value - 6.0), None)]),
            ),
            _ => encoded(seconds, Event::Ticked),
        };
        rig.entries.push(entry);
    }
    rig
}

fn journals() -> impl Strategy<Value = Journal> {
    let step = (
        0..90i64,
        0..16u8,
        any::<u8>(),
        0..24u64,
        -5..900i64,
        0..12u64,
    );
    prop::collection::vec(step, 1..150).prop_map(journal)
}

fn fold(twin: &mut Twin, first: u64, entries: &[Vec<u8>]) -> Vec<CommandId> {
    let mut effects = Effects::default();
    for (position, bytes) in (first..).zip(entries) {
        let entry = postcard::from_bytes(bytes).unwrap();
        twin.fold(position, &entry, &mut effects);
    }
    effects.commands
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_restart_anywhere_sends_the_same_and_leaves_the_same(journal in journals(), cut in 0.0..1.0f64) {
        let entries = &journal.entries;
        let cut = (entries.len() as f64 * cut) as usize;
        let mut whole = Twin::new();
        let all = fold(&mut whole, 1, entries);
        let mut first = Twin::new();
        let mut sent = fold(&mut first, 1, &entries[..cut]);
        let mut second = Twin::from_bytes(&first.to_bytes().unwrap()).unwrap();
        sent.extend(fold(&mut second, cut as u64 + 1, &entries[cut..]));
        prop_assert_eq!(sent, all);
        prop_assert_eq!(second.to_bytes().unwrap(), whole.to_bytes().unwrap());
    }

    /// Everything here happens within the memory of intents, so one id each is all there may be.
    #[test]
    fn no_intent_is_sent_under_two_ids(journal in journals()) {
        let mut twin = Twin::new();
        let sent: BTreeSet<_> = fold(&mut twin, 1, &journal.entries).into_iter().collect();
        let mut taken = BTreeSet::new();
        for id in sent {
            if let Some(intent) = journal.intents.get(&id) {
                prop_assert!(taken.insert(intent), "{:?} was sent twice, the second time as {}", intent, id);
            }
        }
    }

    #[test]
    fn of_a_property_one_command_at_most_is_under_way_and_all_are_counted(journal in journals()) {
        let mut twin = Twin::new();
        let mut effects = Effects::default();
        for (position, bytes) in (1..).zip(&journal.entries) {
            let entry: Entry<'_> = postcard::from_bytes(bytes).unwrap();
            twin.fold(position, &entry, &mut effects);
            let mut under_way = BTreeSet::new();
            for command in twin.commands().open() {
                let of = (&command.asset, &command.property);
                let fine = command.state == CommandState::Waiting || under_way.insert(of);
                prop_assert!(fine, "{:?}", twin.commands());
            }
            for id in effects.commands.drain(..) {
                let command = twin.commands().get(id).unwrap();
                prop_assert_eq!(command.state, CommandState::Sent);
                prop_assert!(command.expires > twin.now(), "sent after its expiry: {:?}", command);
            }
        }
        let asked = journal.entries.iter().filter(|bytes| {
            let entry: Entry<'_> = postcard::from_bytes(bytes).unwrap();
            matches!(entry.event, Event::CommandAsked(_))
        });
        let all: u64 = twin.commands().counts().iter().map(|(_, count)| count).sum();
        let came = journal.intents.len() + asked.count();
        prop_assert_eq!(all + twin.commands().repeated(), came as u64);
    }
}
