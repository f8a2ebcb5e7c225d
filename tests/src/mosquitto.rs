//! The command-line clients that everybody has: `mosquitto_sub` and `mosquitto_pub`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::has_program;
use crate::process::{Finished, Process, command, run};

const PUB: &str = "/usr/bin/mosquitto_pub";
const SUB: &str = "/usr/bin/mosquitto_sub";

/// Whether both are installed; says on stderr what to do where they are not.
pub fn has_mosquitto_clients() -> bool {
    has_program(PUB, "mosquitto-clients") && has_program(SUB, "mosquitto-clients")
}

/// `mosquitto_pub -q 1 ARGS`, to its end.
pub fn mosquitto_pub(server: SocketAddr, args: &[&str]) -> Finished {
    run(
        to(server, command(PUB, &["-q", "1"])).args(args),
        Duration::from_secs(20),
    )
}

fn to(server: SocketAddr, mut command: Command) -> Command {
    command.args([
        "-h",
        &server.ip().to_string(),
        "-p",
        &server.port().to_string(),
    ]);
    command
}

/// A running `mosquitto_sub`.
#[derive(Debug)]
pub struct Subscriber {
    process: Process,
}

/// One message, as `mosquitto_sub -F 'MESSAGE %r %t %p'` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Retain flag.
    pub retain: bool,
    /// Topic.
    pub topic: String,
    /// Payload as text.
    pub payload: String,
}

impl Subscriber {
    /// Subscribes; returns when the server has acknowledged it.
    pub fn start(server: SocketAddr, version: &str, filters: &[&str], args: &[&str]) -> Self {
        let mut command = to(
            server,
            command("stdbuf", &["-oL", SUB, "-d", "-q", "1", "-V", version]),
        );
        command.args(["-F", "MESSAGE %r %t %p"]).args(args);
        for filter in filters {
            command.args(["-t", filter]);
        }
        let process = Process::start(&mut command);
        let subscribed = process.stdout_has(Duration::from_secs(20), |lines| {
            lines
                .iter()
                .any(|line| line.starts_with("Subscribed"))
                .then_some(())
        });
        assert!(
            subscribed.is_some(),
            "mosquitto_sub {filters:?} -V {version}: no SUBACK: {:?} {:?}",
            process.stdout(),
            process.stderr()
        );
        Self { process }
    }

    /// What has come.
    pub fn messages(&self) -> Vec<Line> {
        self.process
            .stdout()
            .iter()
            .filter_map(|line| parse(line))
            .collect()
    }

    /// The first message that `wanted` accepts; panics at the deadline with all that came.
    pub fn expect(&self, what: &str, wanted: impl Fn(&Line) -> bool) -> Line {
        let found = self.process.stdout_has(Duration::from_secs(20), |lines| {
            lines
                .iter()
                .filter_map(|line| parse(line))
                .find(|line| wanted(line))
        });
        found.unwrap_or_else(|| panic!("no message {what}; came: {:#?}", self.messages()))
    }
}

fn parse(line: &str) -> Option<Line> {
    let mut parts = line.strip_prefix("MESSAGE ")?.splitn(3, ' ');
    Some(Line {
        retain: parts.next()? == "1",
        topic: parts.next()?.to_owned(),
        payload: parts.next().unwrap_or_default().to_owned(),
    })
}
