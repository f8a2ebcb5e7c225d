//! Decisions are verified and tried otherwise on the data of a node that is running, was killed in
//! between, and goes on meanwhile.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Finished, Node, NodeConfig, Process, eventually, health_plugin, quartier, run,
};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(300);
const ASSETS: u32 = 30;
const MAPPING: &str = "quarter = \"q\"\nasset = \"{asset}\"\n[time]\ncolumns = [\"time\"]\n\
    [[metric]]\ncolumn = \"pm10\"\nmetric = \"pm10\"\nunit = \"ug/m3\"\n";

fn assets() -> String {
    let feature = |n: u32| {
        format!(
            "{{\"type\":\"Feature\",\"id\":\"s{n}\",\"geometry\":{{\"type\":\"Point\",\
             \"coordinates\":[13.7{n:02},51.06]}},\"properties\":{{\"kind\":\"air_quality_station\",\
             \"interval_s\":\"3600\"}}}}"
        )
    };
    let features: Vec<_> = (0..ASSETS).map(feature).collect();
    format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[{}]}}",
        features.join(",")
    )
}

/// Hourly means of every station; poor air from 18 to 22 o'clock.
fn hours(folder: &Path, from: u32, upto: u32) -> PathBuf {
    let mut text = "time,asset,pm10\n".to_owned();
    for hour in from..upto {
        for asset in 0..ASSETS {
            let value = if (18..22).contains(&(hour % 24)) {
                150
            } else {
                5 + (hour * 7 + asset) % 60
            };
            let (day, hour) = (1 + hour / 24, hour % 24);
            let _ = writeln!(text, "2026-06-{day:02}T{hour:02}:00:00Z,s{asset},{value}");
        }
    }
    let path = folder.join(format!("{from}.csv"));
    fs::write(&path, text).unwrap();
    path
}

fn replay(node: &Node, file: &Path, mapping: &Path) -> Command {
    let mut command = Command::new(quartier());
    command.args(["replay", "--mqtt", &format!("mqtt://{}", node.mqtt())]);
    command.arg(file).arg("--mapping").arg(mapping);
    command
}

fn quartier_on(folder: &Path, args: &[&str]) -> Finished {
    let mut command = Command::new(quartier());
    command.args(args).current_dir(folder);
    run(&mut command, LONG)
}

/// Stdout as JSON; the command must have ended as `good` says.
fn json(folder: &Path, args: &[&str], good: bool) -> Value {
    let finished = quartier_on(folder, args);
    let text = &finished.stdout;
    assert_eq!(
        finished.code == Some(0),
        good,
        "{args:?}: {text}\n{}",
        finished.stderr
    );
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
}

/// The health plugin with a batch, and so a decision, for every window.
fn one_by_one(plugin: &Path, folder: &Path) -> PathBuf {
    let path = folder.join("health");
    fs::create_dir_all(&path).unwrap();
    let manifest = fs::read_to_string(plugin.join("manifest.toml")).unwrap();
    let manifest = manifest.replace("[reads]\n", "[reads]\nbatch = 1\n");
    fs::write(path.join("manifest.toml"), manifest).unwrap();
    fs::copy(plugin.join("component.wasm"), path.join("component.wasm")).unwrap();
    path
}

fn decisions(node: &Node) -> f64 {
    node.figure("quartier_twin_decisions")
}

#[test]
fn decisions_of_a_node_that_runs_and_was_killed_verify_and_can_be_tried_otherwise() {
    let Some(plugin) = health_plugin() else {
        return;
    };
    let files = tempfile::tempdir().unwrap();
    let mapping = files.path().join("map.toml");
    fs::write(&mapping, MAPPING).unwrap();
    let package = one_by_one(&plugin, files.path());
    let mut config = NodeConfig::of("q");
    config.quarters[0].1 = Some(assets());
    config.journal = "segment_bytes = 100000\nsnapshot_entries = 1500\n".to_owned();
    config.plugins.push(("q".to_owned(), package.clone()));
    let mut node = Node::start(config);
    let first = run(
        &mut replay(&node, &hours(files.path(), 1, 60), &mapping),
        LONG,
    );
    assert!(first.code == Some(0), "{}", first.stderr);
    node.kill9();
    node.restart();
    // It goes on while its data are read.
    let mut going = Process::start(&mut replay(&node, &hours(files.path(), 60, 200), &mapping));
    let enough = || match decisions(&node) {
        few if few < 1500.0 => Err(format!("{few} decisions")),
        _ => Ok(()),
    };
    eventually("enough decisions", LONG, enough);

    let folder = node.folder().to_owned();
    let all = json(&folder, &["decision", "verify", "--all", "--json"], true);
    let verified = all["counts"]["verified"].as_u64().unwrap();
    assert!(verified >= 1400, "{}", all["counts"]);
    assert_eq!(
        (&all["counts"]["differs"], &all["ok"]),
        (&0.into(), &true.into())
    );
    let sample = [
        "decision", "verify", "--sample", "500", "--data", "data", "--json",
    ];
    let sampled = json(&folder, &sample, true);
    assert_eq!(sampled["counts"]["verified"], 500, "{}", sampled["counts"]);

    let id = all["decisions"][700]["decision"].to_string();
    let shown = quartier_on(&folder, &["decision", "show", &id, "--data", "data"]);
    let text = &shown.stdout;
    for part in [
        "deployed by the configuration",
        "mean of pm10 of s",
        "ug/m3",
        "European Air Quality Index",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(going.wait(LONG).success());
    node.settle();

    let svg = files.path().join("plot.svg");
    // From the first decision on: before, the plugin did not run.
    let early = all["decisions"][0]["decision"].to_string();
    let early = json(
        &folder,
        &["decision", "show", &early, "--data", "data", "--json"],
        true,
    );
    let what_if = [
        "whatif",
        "--data",
        "data",
        "--from",
        early["explanation"]["recorded"].as_str().unwrap(),
        "--plugin",
        "health",
        "--set",
        "raise_after.eaqi_poor=1",
        "--json",
        "--svg",
        svg.to_str().unwrap(),
    ];
    let error = quartier_on(
        &folder,
        &[
            "whatif",
            "--from",
            "2020-01-01T00:00:00Z",
            "--plugin",
            "none",
        ],
    );
    assert_eq!(error.code, Some(2), "{:?}", error.stderr);
    let changed = json(&folder, &what_if, true);
    let alerts = changed["tallies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["kind"] == "alert")
        .unwrap();
    // Every evening's alert of every station an hour earlier, at the same value.
    assert!(
        alerts["new"].as_u64() >= Some(u64::from(ASSETS)),
        "{alerts}"
    );
    assert_eq!(alerts["new"], alerts["gone"], "{alerts}");
    assert!(fs::read_to_string(&svg).unwrap().contains("<path"));

    let test = [
        "plugin",
        "test",
        package.to_str().unwrap(),
        "--data",
        "data",
        "--quarter",
        "q",
        "--from",
        "-1h",
        "--json",
    ];
    let tested = json(&folder, &test, true);
    assert!(
        tested["decisions"].as_u64() > Some(1000),
        "{}",
        tested["decisions"]
    );
    node.json("/readyz");
    node.terminate();
    let stopped = json(&folder, &["decision", "verify", "--all", "--json"], true);
    // On a fast machine all was decided before the first look.
    assert!(
        stopped["counts"]["verified"].as_u64() >= Some(verified),
        "{}",
        stopped["counts"]
    );
    damaged(&folder.join("data/journal"));
    let damaged = json(&folder, &["decision", "verify", "--all", "--json"], false);
    assert!(
        !damaged["lost"].as_array().unwrap().is_empty(),
        "{}",
        damaged["lost"]
    );
}

/// Flips a bit in the middle of the second segment.
fn damaged(journal: &Path) {
    let segments = fs::read_dir(journal)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = segments
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    segments.sort();
    let mut bytes = fs::read(&segments[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segments[1], bytes).unwrap();
}
