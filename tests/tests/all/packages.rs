//! The Debian packages in a clean Debian: see `deploy/debian/test`, which says what it does.

use std::process::Command;

use quartier_tests::workspace;

#[test]
fn the_packages_install_start_upgrade_downgrade_and_go_in_a_clean_debian() {
    let root = Command::new("id").arg("-u").output();
    let root = root.is_ok_and(|id| id.stdout == b"0\n");
    if !root || !std::path::Path::new("/usr/sbin/debootstrap").exists() {
        eprintln!("SKIPPED: needs root and debootstrap: deploy/setup test");
        return;
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), std::path::PathBuf::from);
    let script = workspace().join("deploy/debian/test");
    let ran = Command::new(script).arg(target.join("packages")).output();
    let ran = ran.expect("deploy/debian/test starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    println!("{said}");
}
