//! The baseline: mosquitto as Debian ships it, on a port of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use quartier_tests::{Process, eventually};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/mosquitto";

/// A running mosquitto.
#[derive(Debug)]
pub(crate) struct Mosquitto {
    pub(crate) address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Mosquitto {
    /// No log, no persistence, no limit of its queue, so that it drops nothing.
    pub(crate) fn start() -> Result<Self> {
        if !Path::new(PROGRAM).is_file() {
            bail!("{PROGRAM} is missing: apt-get install mosquitto");
        }
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = TempDir::new()?;
        let file = folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n\
             max_queued_messages 0\n",
            address.port()
        );
        std::fs::write(&file, text).context("mosquitto.conf")?;
        let process = Process::start(Command::new(PROGRAM).arg("-c").arg(&file));
        eventually("mosquitto listens", Duration::from_secs(10), || {
            TcpStream::connect(address)
                .map(drop)
                .map_err(|error| error.to_string())
        });
        Ok(Self {
            address,
            process,
            _folder: folder,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}
