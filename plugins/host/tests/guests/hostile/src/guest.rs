//! The misbehaviours, by name.

wit_bindgen::generate!({ path: "../../../../wit", world: "lab-rule" });

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hint::black_box;

use exports::quartier::rule::rule::Guest;
use quartier::rule::log::{Level, log};
use quartier::rule::twin::get_many;
use quartier::rule::types::{
    Alert, Asset, Batch, Command, Derived, Dictionary, Output, RuleError, Severity, TwinView,
    Windows,
};

#[derive(Default)]
struct State {
    mode: String,
    seen: u64,
    metric: u32,
    input: u32,
    assets: BTreeSet<u32>,
    snapshots: u64,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

struct Hostile;

const POISON: f64 = -1.0;

fn recurse(depth: u64) -> u64 {
    let here = black_box([depth; 16]);
    if depth == u64::MAX {
        0
    } else {
        recurse(depth + 1) + here[(depth % 16) as usize]
    }
}

fn empty() -> Output {
    let derived = Derived {
        asset: vec![],
        metric: vec![],
        value: vec![],
        ts_ms: vec![],
    };
    Output {
        derived,
        alerts: vec![],
        commands: vec![],
    }
}

fn push(d: &mut Derived, asset: u32, metric: u32, value: f64, ts_ms: u64) {
    d.asset.push(asset);
    d.metric.push(metric);
    d.value.push(value);
    d.ts_ms.push(ts_ms);
}

fn alert(asset: u32, cause: u32) -> Alert {
    let severity = Severity::Info;
    Alert {
        asset,
        topic: 0,
        severity,
        code: 1,
        raise: true,
        value: 4.0,
        text: None,
        cause,
    }
}

/// `arg` 7 is within the manifest's range.
fn command(asset: u32, command: u32, arg: f64) -> Command {
    Command {
        asset,
        command,
        arg,
        expires_ms: 0,
        dedup_key: 0,
        cause: 0,
    }
}

fn misbehave(state: &State, out: &mut Output, asset: u32, ts: u64) -> Result<(), RuleError> {
    let d = &mut out.derived;
    match state.mode.as_str() {
        "loop" => loop {
            black_box(0);
        },
        "memory" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
                black_box(&hoard);
            }
        }
        "recursion" => {
            black_box(recurse(0));
        }
        "trap" => std::process::abort(),
        "refuse" => return Err(RuleError::BadInput(0)),
        "flood" => (0..1000).for_each(|i| push(d, asset, state.metric, f64::from(i), ts)),
        "flood-host" => {
            let text = "x".repeat(1 << 20);
            let with_text = || Alert {
                text: Some(text.clone()),
                ..alert(asset, 0)
            };
            out.alerts = (0..12).map(|_| with_text()).collect();
        }
        "undeclared-metric" => push(d, asset, state.input, 1.0, ts),
        "nan" => push(d, asset, state.metric, f64::NAN, ts),
        "unknown-asset" => push(d, 4_000_000, state.metric, 1.0, ts),
        "bad-time" => push(d, asset, state.metric, 1.0, u64::MAX),
        "columns" => d.value.push(1.0),
        "bad-alerts" => {
            let bad_value = Alert {
                value: f64::INFINITY,
                ..alert(asset, 0)
            };
            let bad_text = Alert {
                text: Some("x".repeat(2000)),
                ..alert(asset, 0)
            };
            let (bad_topic, bad_code) = (
                Alert {
                    topic: 9,
                    ..alert(asset, 0)
                },
                Alert {
                    code: 9,
                    ..alert(asset, 0)
                },
            );
            out.alerts = vec![
                bad_value,
                bad_text,
                bad_topic,
                bad_code,
                alert(asset, 99),
                alert(asset, 0),
            ];
        }
        "bad-commands" => {
            out.commands = vec![
                command(asset, 0, 7.0),
                command(asset, 0, 11.5),
                command(asset, 9, 7.0),
                command(asset, 0, f64::NAN),
            ];
        }
        "log-flood" => {
            let text = "x".repeat(1 << 19);
            loop {
                log(Level::Debug, &text);
            }
        }
        "tiny-log-flood" => loop {
            log(Level::Debug, "");
        },
        "ask" => {
            let [value, unknown] = get_many(&[asset, 77], 0)[..] else {
                return Err(RuleError::Internal("not two values".to_owned()));
            };
            assert!(unknown.is_nan());
            push(d, asset, state.metric, value, ts);
        }
        "ask-flood" => {
            let assets = vec![asset; 10_000];
            loop {
                black_box(get_many(&assets, 0));
            }
        }
        "chatter" => (0..1000).for_each(|i| log(Level::Error, &format!("line {i}"))),
        _ => {}
    }
    Ok(())
}

impl Guest for Hostile {
    fn init(dict: Dictionary, config: Vec<(String, String)>) -> Result<(), RuleError> {
        let id = |name: &str| dict.metrics.iter().find(|e| e.urn == name).map(|e| e.id);
        // A node takes readings under the second name.
        let input = id("power").or(id("active_power"));
        let (Some(input), Some(metric)) = (input, id("seen")) else {
            return Err(RuleError::BadConfig("dictionary".to_owned()));
        };
        let mode = config
            .into_iter()
            .find(|(k, _)| k == "mode")
            .map(|(_, v)| v);
        let mode = mode.ok_or_else(|| RuleError::BadConfig("mode".to_owned()))?;
        if mode == "init" {
            return Err(RuleError::BadConfig("as asked".to_owned()));
        }
        STATE.set(State {
            mode,
            metric,
            input,
            ..State::default()
        });
        Ok(())
    }

    fn on_batch(b: Batch, _: Windows, t: TwinView) -> Result<Output, RuleError> {
        STATE.with_borrow_mut(|state| {
            let mut out = empty();
            for i in 0..b.asset.len() {
                if !state.assets.contains(&b.asset[i]) {
                    return Err(RuleError::BadInput(i as u32));
                }
                state.seen += 1;
                let value = match state.mode.as_str() {
                    "view" => t.values[i * t.props.len()],
                    _ => state.seen as f64,
                };
                push(
                    &mut out.derived,
                    b.asset[i],
                    state.metric,
                    value,
                    b.ts_ms[i],
                );
                if b.value[i] == POISON {
                    misbehave(state, &mut out, b.asset[i], b.ts_ms[i])?;
                }
            }
            Ok(out)
        })
    }

    fn on_assets(changed: Vec<Asset>) -> Result<(), RuleError> {
        if changed.iter().any(|asset| asset.kind == "poison") {
            std::process::abort();
        }
        STATE.with_borrow_mut(|state| state.assets.extend(changed.iter().map(|asset| asset.id)));
        Ok(())
    }

    fn on_tick(_: u64) -> Result<Output, RuleError> {
        let (seen, endless) = STATE.with_borrow(|state| (state.seen, state.mode == "tick-loop"));
        while endless {
            black_box(0);
        }
        let mut out = empty();
        if seen > 0 {
            out.alerts.push(Alert {
                value: seen as f64,
                ..alert(1, 0)
            });
        }
        Ok(out)
    }

    fn snapshot() -> Vec<u8> {
        STATE.with_borrow_mut(|state| {
            state.snapshots += 1;
            match state.mode.as_str() {
                "large-state" => vec![0; 5000],
                "huge-state" => vec![0; 8 << 20],
                "snapshot" => std::process::abort(),
                // Not a function of the readings: what a rule must not do.
                "drift" => (state.seen + (state.snapshots << 32))
                    .to_le_bytes()
                    .to_vec(),
                _ => state.seen.to_le_bytes().to_vec(),
            }
        })
    }

    fn restore(bytes: Vec<u8>) -> Result<(), RuleError> {
        STATE.with_borrow_mut(|state| match (state.mode.as_str(), bytes.try_into()) {
            ("restore", _) => std::process::abort(),
            ("refuse-state", _) | (_, Err(_)) => {
                Err(RuleError::Internal("state of another version".to_owned()))
            }
            (_, Ok(bytes)) => {
                state.seen = u64::from_le_bytes(bytes);
                Ok(())
            }
        })
    }
}

export!(Hostile);
