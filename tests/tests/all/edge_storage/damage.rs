//! A card loses what it once had. Whatever file that hits, the quarter is served.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quartier_tests::{
    Client, ConnectOptions, Lab, Load, LoadOptions, Pair, Sent, eventually, quartier_edge, run,
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

/// A box that has done everything once, and is without its city: with what was sent to it.
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
    utility
        .publish_all(&[("dt/dresden-ost/w1/power", "no number")])
        .unwrap();
    let options = LoadOptions {
        most: 200,
        ..LoadOptions::new(Pair::QUARTER, 2)
    };
    let sent = Load::start(pair.edge.mqtt(), &options).finish(WAIT);
    pair.edge.settle();
    pair.cut();
    Some((pair, sent))
}

#[test]
fn whatever_file_of_its_data_is_damaged_the_quarter_is_served() {
    let lab = Lab::new("tests");
    let Some((mut pair, sent)) = busy(&lab) else {
        return;
    };
    pair.edge.terminate();
    let (data, whole) = (pair.edge.data(), pair.edge.folder().join("whole"));
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
                let mut serve = Command::new(quartier_edge());
                let config = pair.edge.folder().join("quartier.toml");
                let said = run(serve.args(["serve", "--config"]).arg(config), WAIT);
                assert_eq!(said.code, Some(2), "{said:?}");
                let told = said.stderr.contains("does not name the format");
                assert!(told, "{said:?}");
                continue;
            }
            pair.edge.restart();
            assert_exactly(&pair.edge, &sent);
            assert!(is_ready(&pair.edge));
            let plugin = || match part(&pair.edge, "plugins") {
                (_, detail) if detail == "1 running" => Ok(()),
                (_, detail) if detail.contains("deploy it again") => Ok(()),
                other => Err(format!("{other:?}")),
            };
            eventually("the plugin runs, or what to do is said", WAIT, plugin);
            assert!(!pair.edge.log().contains("panicked"));
            pair.edge.kill9();
        }
    }
    eprintln!("{} files", files.len());
}
