//! docs/utilities.md does what it says: its commands and its program, as printed but for host,
//! port and how long they listen.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Finished, Node, NodeConfig, Process, eventually, has_mosquitto_clients, mosquitto_pub, python,
    quartier, run, workspace,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// The blocks of the page behind "```" and `kind`.
fn blocks(kind: &str) -> Vec<String> {
    let page = fs::read_to_string(workspace().join("docs/utilities.md")).unwrap();
    let fence = format!("```{kind}\n");
    let blocks = page.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Runs a line of the page in `folder`, with this build's `quartier`.
fn shell(folder: &Path, line: &str) -> Command {
    let program = quartier();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let mut command = Command::new("stdbuf");
    command.args(["-oL", "sh", "-c", line]);
    command.current_dir(folder).env("PATH", path);
    command
}

fn done(folder: &Path, line: &str) -> Finished {
    let done = run(&mut shell(folder, line), PATIENCE);
    assert_eq!(done.code, Some(0), "{line}: {done:?}");
    done
}

/// A node with the page's login; the folder has what the page says one gets.
fn prepared() -> (Node, TempDir) {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    done(at, "quartier cert ca --out ca");
    done(
        at,
        "quartier cert server --ca ca --host localhost --out server",
    );
    let path = at.display();
    let node = Node::start(NodeConfig {
        mqtt: format!(
            "tls_listen = \"127.0.0.1:0\"\ncert_file = \"{path}/server/server.crt\"\n\
             key_file = \"{path}/server/server.key\"\nclient_ca_file = \"{path}/ca/ca.crt\"\n"
        ),
        http: "tls_listen = \"127.0.0.1:0\"\n".to_owned(),
        ..NodeConfig::of("johannstadt")
    });
    let (of_node, own) = (
        node.folder().join("quartier.toml"),
        at.join("quartier.toml"),
    );
    fs::copy(&of_node, &own).unwrap();
    for line in blocks("sh operator").iter().flat_map(|block| block.lines()) {
        done(at, line);
    }
    fs::copy(&own, &of_node).unwrap();
    done(at, "cp ca/ca.crt netze/netze.crt netze/netze.key .");
    eventually("the login counts within seconds", PATIENCE, || {
        match node.log().contains("are taken changes=1") {
            true => Ok(()),
            false => Err(node.log()),
        }
    });
    (node, folder)
}

fn publish(node: &Node, value: u32) {
    let payload = format!("{{\"active_power\":{value}}}");
    let done = mosquitto_pub(
        node.mqtt(),
        &["-t", "dt/johannstadt/feeder-1", "-m", &payload],
    );
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// As printed, but for host, port and time.
fn for_node(node: &Node, text: &str) -> String {
    let port = node.mqtts().unwrap().port().to_string();
    text.replace("city.example", "localhost")
        .replace("8883", &port)
        .replace("-W 5 ", "-W 60 ")
}

fn has_line(process: &Process, parts: &[&str]) -> Result<(), String> {
    let lines = process.stdout();
    match lines
        .iter()
        .any(|line| parts.iter().all(|part| line.contains(part)))
    {
        true => Ok(()),
        false => Err(format!("{parts:?} in {lines:?}, {:?}", process.stderr())),
    }
}

#[test]
fn the_commands_of_the_page_work_as_printed() {
    if !has_mosquitto_clients() {
        return;
    }
    let (node, folder) = prepared();
    publish(&node, 41);
    let commands = blocks("sh");
    assert_eq!(commands.len(), 2);
    let topic = "twin/v1/johannstadt/energy/feeder-1/active_power {";
    let mut sub = shell(
        folder.path(),
        &for_node(&node, &commands[0]).replace("-W 60", "-W 3"),
    );
    let newest = run(&mut sub, PATIENCE).stdout;
    assert!(
        newest.contains(topic) && newest.contains("\"value\":41,\"unit\":\"kW\""),
        "the newest value comes at once: {newest}"
    );
    let shared = Process::start(&mut shell(folder.path(), &for_node(&node, &commands[1])));
    let mut value = 100;
    eventually("one of the group gets what is new", PATIENCE, || {
        value += 1;
        publish(&node, value);
        has_line(&shared, &[topic, "kW"])
    });
}

#[test]
fn what_the_page_says_one_may_not_read_is_refused() {
    if !has_mosquitto_clients() {
        return;
    }
    let (node, folder) = prepared();
    let sub = |filter: &str| {
        let line = blocks("sh")[0].replace("'twin/v1/johannstadt/energy/#'", filter);
        let line = for_node(&node, &line).replace("-W 60", "-W 3 -d");
        run(&mut shell(folder.path(), &line), PATIENCE).stdout
    };
    let own = sub("'twin/v1/johannstadt/energy/#'");
    assert!(own.contains("Subscribed (mid: 1): 1\n"), "{own}");
    for filter in [
        "'twin/v1/#'",
        "'personal/v1/#'",
        "'twin/v1/johannstadt/mobility/#'",
        "'#'",
    ] {
        let stdout = sub(filter);
        assert!(
            stdout.contains("Subscribed (mid: 1): 135"),
            "{filter}: {stdout}"
        );
    }
}

#[test]
fn the_program_of_the_page_loses_nothing_while_it_is_away() {
    let Some(python) = python().filter(|_| has_mosquitto_clients()) else {
        return;
    };
    let (node, folder) = prepared();
    let programs = blocks("python");
    assert_eq!(programs.len(), 1);
    fs::write(
        folder.path().join("netze.py"),
        for_node(&node, &programs[0]),
    )
    .unwrap();
    let start = || {
        let mut command = Command::new(&python);
        Process::start(command.arg("netze.py").current_dir(folder.path()))
    };
    publish(&node, 1);
    let mut program = start();
    eventually("the newest value is printed", PATIENCE, || {
        has_line(&program, &["feeder-1 active_power 1 kW"])
    });
    program.kill9();
    for value in 2..=50 {
        publish(&node, value);
    }
    let again = start();
    for value in 2..=50 {
        let text = format!("active_power {value} kW");
        eventually("what came meanwhile", PATIENCE, || {
            has_line(&again, &[&text])
        });
    }
}
