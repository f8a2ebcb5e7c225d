//! A rule in every language: made by `quartier plugin new`, built by `quartier plugin build`, run by
//! the host over the same hours. All of them say the same, bit for bit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quartier_plugin_host::{
    Asset, Batch, Host, Manifest, Output, Package, Plugin, PublicKey, Runner,
};
use quartier_tests::{Finished, quartier, run, workspace};
use tempfile::TempDir;

const HOUR_MS: u64 = 3_600_000;
/// A cold build of the standard library on a busy machine.
const BUILD: Duration = Duration::from_secs(600);
const METRIC: u32 = 100;

fn plugin(folder: &Path, args: &[&str]) -> Finished {
    let mut command = Command::new(quartier());
    command
        .arg("plugin")
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", workspace().join("plugins/target"));
    run(&mut command, BUILD)
}

/// A new project, made in a folder of its own.
fn new(lang: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("dust-{lang}");
    let made = plugin(
        folder.path(),
        &["new", &name, "--lang", lang, "--quarter", "friedrichstadt"],
    );
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let project = folder.path().join(name);
    (folder, project)
}

/// Builds a project; `None`, said on stderr, where its toolchain is not installed.
fn build(project: &Path) -> Option<serde_json::Value> {
    let built = plugin(project, &["build", ".", "--json"]);
    if built.code == Some(2) {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI installs it: {}",
            built.stderr
        );
        eprintln!("SKIPPED: {}", built.stderr);
        return None;
    }
    assert_eq!(built.code, Some(0), "{}\n{}", built.stdout, built.stderr);
    Some(serde_json::from_str(&built.stdout).unwrap())
}

/// Hour `n` of box 1; `None`: no readings.
fn hour(n: u64, mean: Option<f64>) -> Batch {
    let mut batch = Batch {
        seq: n,
        now_ms: n * HOUR_MS,
        ..Batch::default()
    };
    if n == 1 {
        batch.changed.push(Asset {
            id: 1,
            urn: "box-1".to_owned(),
            kind: "sensor_box".to_owned(),
            ..Asset::default()
        });
    }
    let windows = &mut batch.windows;
    windows.asset.push(1);
    windows.metric.push(METRIC);
    windows.span_s.push(3600);
    windows.end_ms.push(n * HOUR_MS);
    windows.coverage.push(mean.map_or(0.0, |_| 1.0));
    for column in [
        &mut windows.mean,
        &mut windows.minimum,
        &mut windows.maximum,
        &mut windows.last,
    ] {
        column.push(mean.unwrap_or(f64::NAN));
    }
    batch
}

fn runner(host: &Host, plugin: &Plugin) -> Runner {
    let mut id = METRIC;
    let dictionary = plugin.manifest().dictionary(|_| {
        id += 1;
        (id - 1, "ug/m3".to_owned())
    });
    Runner::new(host, plugin, dictionary, Vec::new()).unwrap()
}

/// What a rule says to thirty hours with a gap; in between it is moved to another instance.
fn said(project: &Path) -> Vec<Output> {
    let host = Host::new().unwrap();
    let plugin = host.load(&project.join("dist")).unwrap();
    let mut running = runner(&host, &plugin);
    let mut said = Vec::new();
    for n in 1..=30 {
        let mean = match n {
            7 => None,
            20..=24 => Some(61.3 + n as f64),
            _ => Some(17.1 + n as f64 / 7.0),
        };
        let answer = running.run(&hour(n, mean));
        assert_eq!(
            (answer.failure, answer.dropped),
            (None, Vec::new()),
            "hour {n}"
        );
        said.push(answer.output);
        if n == 21 {
            let state = running.snapshot().unwrap();
            running = runner(&host, &plugin);
            running.restore(&state).unwrap();
        }
    }
    said
}

/// The rule as the manifest describes it.
fn is_right(said: &[Output]) {
    let alerts: Vec<_> = said
        .iter()
        .zip(1..)
        .flat_map(|(output, n)| {
            output
                .alerts
                .iter()
                .map(move |alert| (n, alert.raise, alert.value))
        })
        .collect();
    // Two hours above raise; three well below clear.
    assert_eq!(alerts, [(21, true, 82.3), (27, false, 17.1 + 27.0 / 7.0)]);
    let derived: Vec<_> = said
        .iter()
        .zip(1..)
        .filter(|(output, _)| !output.derived.value.is_empty())
        .collect();
    // The seventh hour does not count: the eighteenth that does is the nineteenth.
    assert_eq!(derived.first().map(|(_, n)| *n), Some(19));
    let mean = (1..=19)
        .filter(|n| *n != 7)
        .map(|n| 17.1 + f64::from(n) / 7.0)
        .sum::<f64>()
        / 18.0;
    assert_eq!(derived[0].0.derived.value, [mean]);
}

/// Makes, builds and runs a project, and holds it against what all say.
fn works(lang: &str, prepare: impl FnOnce(&Path) -> bool) {
    let (_folder, project) = new(lang);
    if !prepare(&project) {
        return;
    }
    let Some(built) = build(&project) else { return };
    let dist = project.join("dist");
    let package = Package::read(&dist).unwrap();
    assert_eq!(built["sha256"], package.component_digest().to_string());
    let manifest = Manifest::parse(&package.manifest).unwrap();
    assert_eq!(
        manifest.component_sha256,
        Some(package.component_digest().to_string())
    );
    is_right(&said(&project));
}

#[test]
fn a_new_rule_in_rust_builds_and_says_what_its_manifest_promises() {
    works("rust", |_| true);
}

#[test]
fn a_new_rule_in_c_builds_and_says_what_its_manifest_promises() {
    works("c", |project| {
        let tested = run(Command::new("make").arg("test").current_dir(project), BUILD);
        assert_eq!(tested.code, Some(0), "{}", tested.stderr);
        true
    });
}

#[test]
fn a_new_rule_in_typescript_builds_and_says_what_its_manifest_promises() {
    works("ts", |project| {
        // Installed once: the lock file is the same in every new project but for its name.
        let kept = workspace().join("plugins/target/typescript");
        fs::create_dir_all(&kept).unwrap();
        let lock = fs::read(project.join("package-lock.json")).unwrap();
        if fs::read(kept.join("package-lock.json")).ok().as_ref() != Some(&lock) {
            let installed = run(Command::new("npm").arg("ci").current_dir(project), BUILD);
            assert_eq!(installed.code, Some(0), "{}", installed.stderr);
            let _ = fs::remove_dir_all(kept.join("node_modules"));
            let moved = run(
                Command::new("mv")
                    .arg(project.join("node_modules"))
                    .arg(&kept),
                BUILD,
            );
            assert_eq!(moved.code, Some(0), "{}", moved.stderr);
            fs::write(kept.join("package-lock.json"), &lock).unwrap();
        }
        std::os::unix::fs::symlink(kept.join("node_modules"), project.join("node_modules"))
            .unwrap();
        true
    });
}

#[test]
fn a_new_rule_in_python_builds_and_says_what_its_manifest_promises() {
    works("python", |project| {
        // Two minutes of two cores, most of them to compile CPython.
        let Some(venv) = std::env::var_os("QUARTIER_COMPONENTIZE_PY_VENV") else {
            eprintln!(
                "SKIPPED: Python takes two minutes; with QUARTIER_COMPONENTIZE_PY_VENV set to a venv \
                 that has componentize-py it is tested"
            );
            return false;
        };
        std::os::unix::fs::symlink(venv, project.join(".venv")).unwrap();
        true
    });
}

#[test]
fn a_missing_toolchain_is_named_with_the_command_that_installs_it() {
    let wanted = [
        (
            "rust",
            "apt-get install rustc-web cargo-web rust-web-src lld-19",
        ),
        ("c", "apt-get install clang-19 lld-19"),
        ("ts", "apt-get install nodejs npm"),
        ("python", "apt-get install python3-venv"),
    ];
    for (lang, command) in wanted {
        let (_folder, project) = new(lang);
        let mut build = Command::new(quartier());
        build
            .args(["plugin", "build"])
            .env("PATH", "")
            .current_dir(&project);
        let built = run(&mut build, BUILD);
        assert_eq!(built.code, Some(2), "{lang}: {}", built.stderr);
        assert!(built.stderr.contains(command), "{lang}: {}", built.stderr);
        assert!(!project.join("dist").exists());
    }
}

#[test]
fn what_was_built_is_signed_and_a_changed_component_is_not() {
    let (folder, project) = new("c");
    if build(&project).is_none() {
        return;
    }
    let made = plugin(folder.path(), &["keygen", "--out", "lab"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let signed = plugin(&project, &["sign", ".", "--key", "../lab.key"]);
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    let key: PublicKey = fs::read_to_string(folder.path().join("lab.pub"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let package = Package::read(&project.join("dist")).unwrap();
    key.verify(&package.manifest, package.signature.as_deref().unwrap())
        .unwrap();

    fs::write(project.join("dist/component.wasm"), b"another").unwrap();
    let signed = plugin(&project, &["sign", ".", "--key", "../lab.key"]);
    assert_eq!(signed.code, Some(2));
    assert!(signed.stderr.contains("build again"), "{}", signed.stderr);
    let again = plugin(folder.path(), &["keygen", "--out", "lab"]);
    assert_eq!(again.code, Some(2), "a key is never replaced");
}
