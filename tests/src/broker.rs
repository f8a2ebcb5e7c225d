//! mosquitto, the server, as Debian ships it: a broker elsewhere.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
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

/// An address on this machine that was free a moment ago.
pub fn free_address() -> SocketAddr {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let address = TcpListener::bind(any).and_then(|listener| listener.local_addr());
    address.unwrap_or_else(|error| panic!("no port: {error}"))
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
