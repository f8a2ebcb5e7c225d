//! mosquitto, the server, as Debian ships it: a broker elsewhere.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;
use crate::wait::eventually;

const PROGRAM: &str = "/usr/sbin/mosquitto";

/// A running mosquitto on a port of its own, which stays the same over restarts.
#[derive(Debug)]
pub struct Mosquitto {
    address: SocketAddr,
    folder: TempDir,
    process: Process,
}

impl Mosquitto {
    /// Starts one that keeps everything for sessions that are away, on disk too; `None`, said on
    /// stderr, where it is not installed. `more`: lines at the end of its configuration.
    pub fn start(more: &str) -> Option<Self> {
        if !crate::has_program(PROGRAM, "mosquitto") {
            return None;
        }
        let address = free_address();
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        // As root it would become a user who may not write into the folder.
        let text = format!(
            "listener {} 127.0.0.1\nuser root\nallow_anonymous true\nmax_queued_messages 0\n\
             persistence true\npersistence_location {}/\nautosave_interval 1\n\
             autosave_on_changes true\nlog_type all\n{more}\n",
            address.port(),
            folder.path().display(),
        );
        let written = std::fs::write(folder.path().join("mosquitto.conf"), text);
        assert!(written.is_ok(), "mosquitto.conf: {written:?}");
        let process = run(folder.path(), address);
        Some(Self {
            address,
            folder,
            process,
        })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; it writes its state first.
    pub fn stop(&mut self) {
        self.process.terminate();
        self.process.wait(Duration::from_secs(20));
    }

    /// Starts it again after [`Mosquitto::stop`], on the same port and state.
    pub fn restart(&mut self) {
        self.process = run(self.folder.path(), self.address);
    }

    /// Its log so far; it tells of every packet.
    pub fn log(&self) -> String {
        self.process.stderr().join("\n")
    }
}

/// Below the ports that the kernel gives to whoever connects: one of those may be taken between the
/// look and the use.
const PORTS: Range<u16> = 22_000..32_000;

/// An address on this machine that is free, and given to nobody else in this process.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests of several processes begin at different ones.
    let begin = std::process::id().wrapping_mul(97);
    for _ in PORTS {
        let number = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + (number % PORTS.len() as u32) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of {PORTS:?} is free")
}

fn run(folder: &Path, address: SocketAddr) -> Process {
    let process = Process::start(
        Command::new(PROGRAM)
            .arg("-c")
            .arg(folder.join("mosquitto.conf")),
    );
    eventually("mosquitto listens", Duration::from_secs(20), || {
        TcpStream::connect(address)
            .map(drop)
            .map_err(|error| format!("{error}: {:?}", process.stderr()))
    });
    process
}
