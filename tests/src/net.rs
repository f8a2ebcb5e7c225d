//! A city and a box in two network namespaces, with a link between them that is as bad as it is
//! told to be; see `tests/python/link.py`. The namespaces have no names and end with their owner.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::has_program;
use crate::process::run;
use crate::told::{Told, has_device, is_root};

/// Address of the city on the link.
pub const CITY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// An end of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// 10.77.0.1.
    City,
    /// 10.77.0.2 at first.
    Box,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the box to the city.
    Up,
    /// From the city to the box.
    Down,
}

/// How packets fare in one direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions {
    /// Milliseconds that each takes.
    pub delay_ms: u32,
    /// More or less milliseconds at random, this many at most; netem then changes their order too.
    pub jitter_ms: u32,
    /// Share that is lost, 0 to 1.
    pub loss: f64,
    /// Bits a second; 0: any.
    pub rate_bits: u64,
    /// None arrives.
    pub cut: bool,
}

impl Conditions {
    /// None arrives.
    pub fn cut() -> Self {
        Self {
            cut: true,
            ..Self::default()
        }
    }

    fn json(&self) -> Value {
        json!({
            "delay_ms": self.delay_ms,
            "jitter_ms": self.jitter_ms,
            "loss": self.loss,
            "rate_bits": self.rate_bits,
            "cut": self.cut,
        })
    }
}

/// Both namespaces and the link.
#[derive(Debug)]
pub struct Net {
    told: Told,
    city: String,
    boxed: String,
}

impl Net {
    /// A new one with a perfect link; `None`, said on stderr, where that cannot be. `QUARTIER_LINK`
    /// is what it has to be, `netem` or `relay`; else it is what the kernel has.
    pub fn new() -> Option<Self> {
        let can = is_root()
            && has_device("/dev/net/tun")
            && has_program("/usr/sbin/ip", "iproute2")
            && has_program("/usr/bin/nsenter", "util-linux");
        if !can {
            return None;
        }
        let (told, first) = Told::start("link.py", &[]);
        if let Ok(wanted) = std::env::var("QUARTIER_LINK") {
            assert_eq!(first["link"], wanted, "QUARTIER_LINK");
        }
        let namespace = |side: &str| format!("/proc/{}/fd/{}", first["pid"], first[side]);
        Some(Self {
            city: namespace("city"),
            boxed: namespace("box"),
            told,
        })
    }

    /// A command that runs `program` in a namespace.
    pub fn command(&self, side: Side, program: &Path) -> Command {
        let namespace = match side {
            Side::City => &self.city,
            Side::Box => &self.boxed,
        };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={namespace}")).arg("--");
        command.arg(program);
        command
    }

    /// Sets a variable of the kernel for a namespace: `net/ipv4/..` as under `/proc/sys`.
    pub fn sysctl(&self, side: Side, variable: &str, value: &str) {
        let mut sh = self.command(side, Path::new("sh"));
        sh.args(["-c", "echo \"$1\" >\"/proc/sys/$0\"", variable, value]);
        let done = run(&mut sh, Duration::from_secs(10));
        assert_eq!(done.code, Some(0), "{variable}: {done:?}");
    }

    /// The address by which a server in a namespace is reached from outside, past the link.
    pub fn open(&self, side: Side, server: SocketAddr) -> SocketAddr {
        let side = match side {
            Side::City => "city",
            Side::Box => "box",
        };
        let to = json!([server.ip().to_string(), server.port()]);
        let said = self.told.tell(&json!({ "open": side, "to": to }));
        let port = said["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()))
    }

    /// Sets the conditions of one direction; they are in force when this returns.
    pub fn set(&self, way: Way, conditions: Conditions) {
        self.told.tell(&json!({ name(way): conditions.json() }));
    }

    /// Sets those of both.
    pub fn set_both(&self, conditions: Conditions) {
        let conditions = conditions.json();
        self.told
            .tell(&json!({ "up": conditions, "down": conditions }));
    }

    /// The box has another address from now on, and its old one is gone.
    pub fn move_box(&self, address: Ipv4Addr) {
        self.told.tell(&json!({ "box": address.to_string() }));
    }

    /// Packets that arrived and that were lost in one direction so far.
    pub fn packets(&self, way: Way) -> (u64, u64) {
        let said = self.told.tell(&json!({}));
        let figure = |figure: &str| said[name(way)][figure].as_u64().unwrap_or_default();
        (figure("passed"), figure("lost"))
    }
}

fn name(way: Way) -> &'static str {
    match way {
        Way::Up => "up",
        Way::Down => "down",
    }
}
