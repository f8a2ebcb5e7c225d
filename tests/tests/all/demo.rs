//! `quartier demo` in a pipe: plain lines, and three commands that work as printed.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use quartier_tests::{Finished, Process, eventually_some, has_mosquitto_clients, quartier, run};

/// Three neighbouring ports that nobody listened at a moment ago.
fn port_base() -> u16 {
    eventually_some("three free ports", Duration::from_secs(10), || {
        let bind = |port: u16| TcpListener::bind(("127.0.0.1", port)).ok();
        let first = bind(0)?;
        let base = first.local_addr().ok()?.port();
        let _others = (bind(base.checked_add(1)?)?, bind(base.checked_add(2)?)?);
        Some(base)
    })
}

/// As a newcomer would: into a shell. `mosquitto_sub` goes on until it is ended.
fn shell(command: &str) -> Finished {
    run(
        Command::new("timeout").args(["4", "bash", "-c", command]),
        Duration::from_secs(30),
    )
}

#[test]
fn the_demo_prints_plain_lines_and_three_commands_that_work_as_printed() {
    if !has_mosquitto_clients() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let base = port_base().to_string();
    let mut command = Command::new(quartier());
    command.args(["demo", "--duration", "20", "--port-base", &base]);
    command
        .arg("--data")
        .arg(folder.path().join("demo"))
        .current_dir(folder.path());
    let mut demo = Process::start(&mut command);
    let printed = ["mosquitto_sub ", "mosquitto_pub ", "curl "].map(|program| {
        let line = demo.stdout_has(Duration::from_secs(30), |lines| {
            lines
                .iter()
                .find_map(|line| line.find(program).map(|at| line[at..].to_owned()))
        });
        line.unwrap_or_else(|| panic!("no {program}: {:?} {:?}", demo.stdout(), demo.stderr()))
    });
    let [subscribe, publish, ask] = &printed;
    let published = shell(publish);
    assert_eq!(published.code, Some(0), "{publish}: {published:?}");
    let heard = shell(subscribe);
    assert!(
        heard
            .stdout
            .lines()
            .filter(|line| line.starts_with("twin/v1/"))
            .count()
            > 10,
        "{subscribe}: {heard:?}"
    );
    assert!(
        heard.stdout.contains("/my-sensor/temperature"),
        "the own sensor is there: {heard:?}"
    );
    let answer = shell(ask);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let assets = json["assets"].as_array().cloned().unwrap_or_default();
    assert!(
        assets.iter().any(|asset| asset["id"] == "my-sensor"),
        "{ask}: {answer:?}"
    );
    let status = demo.wait(Duration::from_secs(60));
    demo.drain();
    assert_eq!(status.code(), Some(0), "{:?}", demo.stderr());
    let lines = demo.stdout();
    let plain = |line: &String| !line.chars().any(|c| c.is_control() && c != '\t');
    assert!(
        lines.iter().all(plain),
        "no control characters in a pipe: {lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("readings")),
        "how it goes: {lines:#?}"
    );
}

#[test]
fn the_demo_ends_by_itself_and_leaves_a_configuration_that_can_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("demo");
    let base = port_base().to_string();
    let mut command = Command::new(quartier());
    command
        .args(["demo", "--duration", "5", "--port-base", &base])
        .arg("--data")
        .arg(&data);
    let done = run(command.current_dir(folder.path()), Duration::from_secs(60));
    assert_eq!(done.code, Some(0), "{done:?}");
    let file = data.join("quartier.toml");
    let mut check = Command::new(quartier());
    let checked = run(
        check.args(["config", "check"]).arg(&file),
        Duration::from_secs(20),
    );
    assert_eq!(checked.code, Some(0), "{checked:?}");
}
