//! A card loses what it once had. Whatever file that hits, the quarter is served.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quartier_tests::{
    Client, ConnectOptions, Lab, Load, LoadOptions, Node, Pair, Sent, eventually, run,
};

use super::{WAIT, assert_exactly, is_ready, part};

/// What became of a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Other bytes in the middle of what was written.
    Flipped,
    /// The second half is not there.
    Cut,
    /// Only the name is left.
    Emptied,
}

impl Damage {
    fn done_to(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        // A file may be longer than what was written.
        let written = bytes.iter().rposition(|byte| *byte != 0);
        let middle = written.map_or(0, |last| last + 1) / 2;
        match self {
            Self::Flipped => bytes
                .iter_mut()
                .skip(middle)
                .take(16)
                .for_each(|b| *b ^= 0x55),
            Self::Cut => bytes.truncate(middle),
            Self::Emptied => bytes.clear(),
        }
        fs::write(path, bytes).unwrap();
    }
}

/// Files below `folder` that hold something, by their paths in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.metadata().unwrap().len() > 0 {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    let done = run(Command::new("cp").arg("-aT").args([from, to]), WAIT);
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// A box and its city that have done everything once, and have no link any more; with what was sent.
fn busy(lab: &Lab) -> Option<(Pair, Vec<Sent>)> {
    let package = lab.package("rows", &[("[reads]", "[reads]\nbatch = 1")])?;
    let trust = lab.config(&[Pair::QUARTER]);
    let pair = Pair::start(&trust, &trust);
    let number = pair.deploys(&package);
    pair.outcome(number);
    let options = ConnectOptions {
        clean: false,
        ..ConnectOptions::new("utility")
    };
    let (mut utility, _) = Client::connect(pair.edge.mqtt(), &options).unwrap();
    utility.subscribe("alert/v1/#", 1).unwrap();
    let unreadable = format!("dt/{}/w1/power", Pair::QUARTER);
    utility.publish_all(&[(&unreadable, "no number")]).unwrap();
    let options = LoadOptions {
        most: 200,
        ..LoadOptions::new(Pair::QUARTER, 2)
    };
    let sent = Load::start(pair.edge.mqtt(), &options).finish(WAIT);
    pair.edge.settle();
    let position = pair.edge.figure("quartier_journal_position") as u64;
    eventually("the city has it", WAIT, || {
        let edge = pair.city.edge(Pair::BOX);
        match edge["position"].as_u64() >= Some(position) {
            true => Ok(()),
            false => Err(edge.to_string()),
        }
    });
    pair.cut();
    Some((pair, sent))
}

/// Starts the node for each damage to each file of its data.
fn works_whatever_is_damaged(node: &mut Node, works: impl Fn(&Node)) {
    node.terminate();
    let (data, whole) = (node.data(), node.folder().join("whole"));
    copy(&data, &whole);
    let files = files(&whole);
    for file in &files {
        for damage in [Damage::Flipped, Damage::Cut, Damage::Emptied] {
            eprintln!("{} {damage:?}", file.display());
            fs::remove_dir_all(&data).unwrap();
            copy(&whole, &data);
            damage.done_to(&data.join(file));
            // Half of it is the same number.
            if file == Path::new("format") && !matches!(damage, Damage::Cut) {
                let said = node.refuses();
                assert!(said.contains("does not name the format"), "{said}");
                continue;
            }
            node.restart();
            works(node);
            assert!(is_ready(node));
            assert!(!node.log().contains("panicked"));
            node.kill9();
        }
    }
    eprintln!("{} files", files.len());
}

#[test]
fn whatever_file_of_its_data_is_damaged_the_quarter_is_served() {
    let lab = Lab::new("tests");
    let Some((mut pair, sent)) = busy(&lab) else {
        return;
    };
    works_whatever_is_damaged(&mut pair.edge, |edge| {
        assert_exactly(edge, &sent);
        let plugin = || match part(edge, "plugins") {
            (_, detail) if detail == "1 running" => Ok(()),
            (_, detail) if detail.contains("deploy it again") => Ok(()),
            other => Err(format!("{other:?}")),
        };
        eventually("the plugin runs, or what to do is said", WAIT, plugin);
    });
    works_whatever_is_damaged(&mut pair.city.node, |city| {
        for one in &sent {
            let newest = city.value(&one.asset, "uptime").map(|(value, _)| value);
            assert_eq!(newest, Some((one.acknowledged - 1) as f64), "{}", one.asset);
        }
    });
}
