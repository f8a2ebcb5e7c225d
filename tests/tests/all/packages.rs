//! The Debian packages in a clean Debian: see `deploy/debian/test` and `deploy/debian/boot`, which
//! say what they do.

use std::io::Write as _;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use quartier_tests::workspace;

/// Both scripts build the packages, and keep the clean Debian in the same folder.
static FOLDER: Mutex<()> = Mutex::new(());

/// What a script ends with where this kernel does not allow what it does.
const SKIPPED: i32 = 77;

fn run(script: &str) {
    let root = Command::new("id").arg("-u").output();
    let root = root.is_ok_and(|id| id.stdout == b"0\n");
    if !root || !std::path::Path::new("/usr/sbin/debootstrap").exists() {
        eprintln!("SKIPPED: needs root and debootstrap: deploy/setup test");
        return;
    }
    let _alone = FOLDER.lock().unwrap_or_else(PoisonError::into_inner);
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), std::path::PathBuf::from);
    let path = workspace().join("deploy/debian").join(script);
    let ran = Command::new(path).arg(target.join("packages")).output();
    let ran = ran.expect("the script starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    let wrong = String::from_utf8_lossy(&ran.stderr);
    for line in wrong.lines().filter(|line| line.starts_with("SKIPPED")) {
        // Unlike `eprintln`, this is shown when the test passes.
        let _ = writeln!(std::io::stderr(), "deploy/debian/{script}: {line}");
    }
    let skipped = ran.status.code() == Some(SKIPPED);
    assert!(skipped || ran.status.success(), "{said}\n{wrong}");
    println!("{said}");
}

#[test]
fn the_packages_install_start_upgrade_downgrade_and_go_in_a_clean_debian() {
    run("test");
}

#[test]
fn a_real_systemd_starts_watches_restarts_contains_and_stops_what_the_packages_install() {
    run("boot");
}
