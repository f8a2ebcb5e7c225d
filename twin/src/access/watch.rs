//! Takes changes of the configuration while the node runs: users, tokens, rules and certificates.
//!
//! The files are looked at every [`EVERY`], and at once when asked (SIGHUP). What cannot be used
//! changes nothing and is logged; a change of anything else is logged as needing a restart.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use quartier_broker::Tls;
use tokio::sync::{Notify, watch};
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};

use super::audit::{Audit, Record};
use super::gate::Access;
use crate::config::{Config, Mqtt};

const EVERY: Duration = Duration::from_secs(2);

/// A file, as it was when it was last looked at.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    stamp: Option<(SystemTime, u64, u64)>,
}

impl Watched {
    /// As it is now.
    pub fn new(path: &Path) -> Self {
        let mut file = Self {
            path: path.to_owned(),
            stamp: None,
        };
        file.changed();
        file
    }

    /// Whether it is another than the last time: time, size or inode.
    pub fn changed(&mut self) -> bool {
        let metadata = fs::metadata(&self.path).ok();
        let now = metadata.and_then(|m| Some((m.modified().ok()?, m.len(), m.ino())));
        std::mem::replace(&mut self.stamp, now) != now
    }
}

/// What is exchanged, and from where.
pub struct AccessWatch {
    running: Config,
    access: Arc<Access>,
    tls: Option<Arc<Tls>>,
    audit: Arc<Audit>,
    file: Watched,
    certificates: Vec<Watched>,
    looked: Timestamp,
}

impl AccessWatch {
    /// For a node that runs with `config`.
    pub fn new(
        config: &Config,
        access: Arc<Access>,
        tls: Option<Arc<Tls>>,
        audit: Arc<Audit>,
    ) -> Self {
        let mqtt = &config.mqtt;
        let certificates = [&mqtt.cert_file, &mqtt.key_file, &mqtt.client_ca_file];
        let certificates = certificates.into_iter().flatten();
        Self {
            file: Watched::new(&config.file),
            certificates: certificates.map(|file| Watched::new(file)).collect(),
            running: config.clone(),
            access,
            tls,
            audit,
            looked: Timestamp::now(),
        }
    }

    /// Runs until `closed` is true; looks at once when `asked`.
    pub async fn run(mut self, asked: Arc<Notify>, mut closed: watch::Receiver<bool>) {
        let mut timer = interval(EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = timer.tick() => false,
                () = asked.notified() => true,
                _ = closed.wait_for(|closed| *closed) => return,
            };
            block_in_place(|| self.look(asked));
        }
    }

    /// Takes what has changed, or everything where that was asked for.
    pub fn look(&mut self, asked: bool) {
        if self.file.changed() || asked {
            self.take_configuration();
        }
        // All of them are looked at: a pair of files is often written one after the other.
        let changed = self.certificates.iter_mut().map(Watched::changed);
        if changed.fold(false, |any, changed| any | changed) || asked {
            self.take_certificates();
        }
        let now = Timestamp::now();
        self.access.expire(self.looked, now);
        self.looked = now;
    }

    fn take_configuration(&mut self) {
        let config = match Config::load(&self.running.file) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "the configuration cannot be used; everything stays as it is");
                return self.tell("refused", &error.to_string());
            }
        };
        let changes = self.access.replace(&config.mqtt);
        let waiting = needs_restart(&self.running, &config);
        if !waiting.is_empty() {
            let sections = waiting.join(", ");
            tracing::warn!(%sections, "restart the node for what changed in these sections");
        }
        tracing::info!(changes = changes.len(), "users, tokens and rules are taken");
        self.tell("taken", &format!("{} changes", changes.len()));
    }

    fn take_certificates(&self) {
        match self.tls.as_ref().map(|tls| tls.reload()) {
            None => {}
            Some(Ok(())) => {
                tracing::info!("certificates are taken for handshakes from now on");
                self.tell("taken", "certificates");
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the certificates cannot be used; the old ones stay");
                self.tell("refused", &error.to_string());
            }
        }
    }

    fn tell(&self, result: &'static str, detail: &str) {
        metrics::counter!("quartier_config_reloads_total", "result" => result).increment(1);
        self.audit.done(Record {
            what: "reload",
            result,
            detail: Some(detail),
            ..Record::default()
        });
    }
}

/// Sections in which something else than users, tokens and rules differs.
fn needs_restart(running: &Config, now: &Config) -> Vec<&'static str> {
    let rest = |mqtt: &Mqtt| Mqtt {
        users: Vec::new(),
        tokens: Vec::new(),
        acl: Vec::new(),
        anonymous: String::new(),
        certificate_role: String::new(),
        ..mqtt.clone()
    };
    let sections = [
        ("node", running.node != now.node),
        ("mqtt", rest(&running.mqtt) != rest(&now.mqtt)),
        ("http", running.http != now.http),
        ("influx", running.influx != now.influx),
        ("journal", running.journal != now.journal),
        ("quarter", running.quarters != now.quarters),
        ("plugin", running.plugins != now.plugins),
    ];
    let changed = sections.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(name, _)| name).collect()
}
