//! One running node. [`Node::start`] is the whole wiring, in the order of the data:
//!
//! ```text
//! ports -- data folder -- journal -- recovered twin -- broker -- plugins -- engine -- sink -- HTTP
//! ```
//!
//! Ports are bound first and served last, so that a port in use is known before anything is
//! touched and nobody is let in before the twin is up to date. It ends in the order of the data
//! too: no new input, what was taken is folded and answered, outputs, snapshot, journal.

mod door;
mod error;
mod options;
mod tick;
mod told;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusHandle;
use quartier_broker::{Broker, Disk, Gate, Hooks, Intake, Message};
use quartier_plugin_host::Host;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::access::{Access, AccessWatch, Audit};
use crate::clock::Clock;
use crate::config::Config;
use crate::declared::Declared;
use crate::edges::Invitations;
use crate::edges::packages::Packages;
use crate::engine::{self, Engine, Observer, Parts, Workers};
use crate::event::Decision;
use crate::external::External;
use crate::feed::{self, JournalFeed, StoreLedger};
use crate::hlc::Hlc;
use crate::http;
use crate::influx::{self, SinkState};
use crate::intake::TelemetryIntake;
use crate::mqtt::Mqtt;
use crate::plugins::{Artifacts, Deployer, Logs, guard};
use crate::recorder::Recorder;
use crate::snapshots::Snapshots;
use crate::state::Twin;
use crate::status::{Lag, NodeStatus, PartOf, Status};
use crate::store::{DataDir, Store};
use crate::topics::TwinTopics;

pub use error::StartError;

use door::{Door, Front, Ports, broker_config, load_tls};
use options::{labs, open_journal, sink_config};

/// Time the broker has to send what was acknowledged when the node ends.
const DRAIN: Duration = Duration::from_secs(3);

/// What a node is beside its configuration.
#[derive(Clone)]
pub struct Outfit {
    /// What it shows over HTTP.
    pub routes: http::Routes,
    /// Who hears what the fold changes.
    pub observers: Vec<Arc<dyn Observer>>,
    /// Parts that run beside it, for its status.
    pub beside: Vec<PartOf>,
}

impl Outfit {
    /// Of `quartier`.
    pub fn city() -> Self {
        Self {
            routes: http::city_routes,
            observers: Vec::new(),
            beside: Vec::new(),
        }
    }
}

/// What runs beside the node works with these.
#[derive(Clone)]
pub struct Handles {
    /// The node, its journal and its twin.
    pub status: Arc<Status>,
    /// Cursors.
    pub store: Arc<Store>,
    /// Records events.
    pub recorder: Recorder,
    /// Changes what plugins run.
    pub deployer: Arc<Deployer>,
    /// True from the moment on in which no new input is taken.
    pub closing: watch::Receiver<bool>,
    /// True once all input is folded: outputs may end.
    pub ended: watch::Receiver<bool>,
}

/// A running node.
pub struct Node {
    status: Arc<Status>,
    store: Arc<Store>,
    handles: Handles,
    engine: Engine,
    mqtt: Option<SocketAddr>,
    mqtts: Option<SocketAddr>,
    http: SocketAddr,
    https: Option<SocketAddr>,
    /// True from the moment on in which no new input is taken.
    closing: watch::Sender<bool>,
    /// True once all input is folded: outputs may end.
    ending: watch::Sender<bool>,
    ticker: JoinHandle<()>,
    outputs: Vec<JoinHandle<()>>,
    reload: Arc<Notify>,
    status_topic: String,
    _data: DataDir,
}

impl Node {
    /// Starts a node; it serves when this returns.
    ///
    /// # Errors
    /// See [`StartError`]; nothing that was acknowledged is lost by any of them.
    pub async fn start(
        config: &Config,
        figures: PrometheusHandle,
        outfit: Outfit,
    ) -> Result<Self, StartError> {
        let started = Instant::now();
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let tls = load_tls(&config.mqtt)?;
        let door = Door::open(config, tls.as_ref()).await?;
        let http = Ports::of_http(config, tls.as_ref()).await?;
        let (mqtt_address, mqtts_address) = door.addresses()?;
        let (http_address, https_address) = (http.plain.local_addr()?, http.tls_address()?);

        let data = DataDir::open(&config.node.data)?;
        let host = Host::with_cache(Artifacts::cache(data.path()))?;
        let artifacts = Arc::new(Artifacts::new(host, data.path()));
        let declared = Declared::read(config, &artifacts)?;
        let store = Arc::new(Store::open(data.store())?);
        let snapshots = Snapshots::open(data.path().join("snapshots"))?;
        let cursors = store.cursors()?.into_iter().map(|(_, position)| position);
        let floor = cursors
            .max()
            .max(Some(snapshots.last_position()?))
            .unwrap_or(0);
        let journal = open_journal(config, &data, floor)?;
        let clock = Arc::new(Clock::new(config.time_file(), Arc::clone(&journal)));
        // With the store the sessions went that would be told again.
        let told = match store.began_anew() {
            true => u64::MAX,
            false => store.cursor(engine::TOPICS_CURSOR)?,
        };
        let audit = |position, decision: &Decision| {
            if let Err(error) = store.put_decision("", position, decision) {
                tracing::error!(position, %error, "a decision is missing in the audit");
            }
        };
        let events = |twin: &Twin| declared.events(twin);
        let recovered = engine::recover(&snapshots, &journal, &clock, told, events, audit)?;
        let twin = Arc::clone(&recovered.twin);
        tracing::info!(
            snapshot = recovered.snapshot,
            replayed = recovered.replayed,
            assets = twin.read().assets().len(),
            "the twin is up to date"
        );

        let quarters = config.quarters.iter().map(|quarter| quarter.id.clone());
        let intake = TelemetryIntake::new(
            Arc::clone(&journal),
            Arc::clone(&clock),
            Arc::clone(&store),
            quarters,
        );
        let audit = Arc::new(Audit::open(data.path())?);
        audit.settled_before(&recovered.untold.settled);
        let access = Arc::new(Access::new(&config.mqtt, Arc::clone(&audit)));
        let intake = Arc::new(intake);
        access.follow(&twin.read());
        intake.follow(&twin.read());
        let hooks = Hooks {
            gate: Arc::clone(&access) as Arc<dyn Gate>,
            intake: Arc::clone(&intake) as Arc<dyn Intake>,
            retained: Arc::new(TwinTopics::new(
                Arc::clone(&twin),
                Packages::new(Arc::clone(&artifacts)),
            )),
            disk: Arc::clone(&store) as Arc<dyn Disk>,
        };
        let (closing, closed) = watch::channel(false);
        let (ending, ended) = watch::channel(false);
        let status_topic = format!("node/v1/{}/status", config.node.name);
        let (mqtt, front): (Mqtt, Front) = match door {
            Door::Embedded(ports) => {
                let limits = broker_config(&config.mqtt);
                let broker = Arc::new(Broker::start(limits, hooks)?);
                let front = ports.serve(Arc::clone(&broker), closed.clone());
                (Mqtt::Embedded(broker), Box::pin(front))
            }
            Door::External(options) => {
                let will = (status_topic.clone(), last_will(journal.stats().durable));
                let external = External::new(*options, will, hooks.intake, hooks.retained);
                let external = Arc::new(external);
                let front = Arc::clone(&external).run(closed.clone(), ended.clone());
                (Mqtt::External(external), Box::pin(front))
            }
        };

        let logs = Arc::new(Logs::default());
        let workers = Workers::start(
            &recovered,
            (Arc::clone(&journal), Arc::clone(&clock)),
            Arc::clone(&store),
            Arc::clone(&artifacts),
            Arc::clone(&logs),
        )?;
        let plugins = Box::new(workers.stats());
        let mut observers = outfit.observers;
        observers.push(Arc::clone(&access) as Arc<dyn Observer>);
        observers.push(intake);
        let engine = Engine::start(Parts {
            recovered,
            journal: Arc::clone(&journal),
            store: Arc::clone(&store),
            snapshots,
            snapshot_entries: config.journal.snapshot_entries,
            mqtt: mqtt.clone(),
            workers,
            observers,
        })?;

        let mut outputs = Vec::new();
        let influx = match &config.influx {
            Some(configured) => {
                let sink = sink_config(configured);
                sink.check()?;
                let state = Arc::new(SinkState::new(engine.folded()));
                let cursor = store.cursor(feed::CURSOR)?;
                let feed = JournalFeed::new(&journal, cursor, engine.folded(), Arc::clone(&twin))?;
                let ledger = Arc::new(StoreLedger::new(Arc::clone(&store), Arc::clone(&clock)));
                let run = influx::run(
                    sink,
                    Box::new(feed),
                    ledger,
                    Arc::clone(&state),
                    ended.clone(),
                );
                outputs.push(tokio::spawn(async move {
                    if let Err(error) = run.await {
                        tracing::error!(%error, "the InfluxDB sink ended");
                    }
                }));
                Some(state)
            }
            None => None,
        };
        let hlc = Hlc::new(config.node.name.clone(), twin.read().stamps(), clock.now());
        let recorder = Recorder::new(
            Arc::clone(&journal),
            engine.folded(),
            Arc::new(hlc),
            Arc::clone(&clock),
        );
        let deployer = Arc::new(Deployer::new(
            artifacts,
            recorder.clone(),
            Arc::clone(&twin),
            labs(config),
        ));
        let status = Arc::new(Status {
            node: config.node.name.clone(),
            clock,
            journal,
            store: Arc::clone(&store),
            twin,
            folded: engine.folded(),
            mqtt,
            influx,
            plugins,
            beside: outfit.beside,
            started,
        });
        let handles = Handles {
            status: Arc::clone(&status),
            store: Arc::clone(&store),
            recorder: recorder.clone(),
            deployer: Arc::clone(&deployer),
            closing: closed.clone(),
            ended: ended.clone(),
        };
        let api = http::Api {
            routes: outfit.routes,
            status: Arc::clone(&status),
            store: Arc::clone(&store),
            deployer,
            logs,
            recorder,
            access: Arc::clone(&access),
            declared: Arc::new(declared),
            invitations: Arc::new(Invitations::open(data.path())?),
            authority: config.edge.ca_dir.clone(),
            figures,
            entrances: match (&config.mqtt.external, mqtt_address) {
                (Some(address), _) => http::Entrances::External(address.clone()),
                (None, mqtt) => http::Entrances::Embedded {
                    mqtt: mqtt.unwrap_or(config.mqtt.listen),
                    mqtts: mqtts_address,
                    ws: http_address,
                    wss: https_address,
                },
            },
            websockets: http::WebSockets {
                max_packet: config.mqtt.max_packet,
                allow_origins: config.http.allow_origins.clone().into(),
            },
            ended: ended.clone(),
        };
        if let Some((listener, tls)) = http.tls {
            let listener = http::TlsListener::new(listener, tls);
            outputs.push(tokio::spawn(http::serve_tls(
                listener,
                api.clone(),
                ended.clone(),
            )));
        }
        outputs.push(tokio::spawn(http::serve(http.plain, api, ended)));
        let ticker = tick::Ticker {
            status: Arc::clone(&status),
            store: Arc::clone(&store),
            topic: status_topic.clone(),
            uplink: config.uplink.is_some(),
        };
        let ticker = tokio::spawn(ticker.run(closed.clone()));
        let reload = Arc::new(Notify::new());
        let watch = AccessWatch::new(config, access, tls, audit);
        outputs.push(tokio::spawn(watch.run(Arc::clone(&reload), closed.clone())));
        let guard = guard(
            Arc::clone(&status),
            Arc::clone(&handles.deployer),
            closed.clone(),
        );
        outputs.push(tokio::spawn(guard));
        let following = told::follow(Arc::clone(&status), Arc::clone(&store), closed);
        outputs.push(tokio::spawn(following));
        outputs.push(tokio::spawn(front));
        Ok(Self {
            status,
            store,
            handles,
            engine,
            mqtt: mqtt_address,
            mqtts: mqtts_address,
            http: http_address,
            https: https_address,
            closing,
            ending,
            ticker,
            outputs,
            reload,
            status_topic,
            _data: data,
        })
    }

    /// Address of the embedded broker, where there is one; the port is the one that was had where
    /// 0 was configured.
    pub fn mqtt_address(&self) -> Option<SocketAddr> {
        self.mqtt
    }

    /// `host:port` of the broker, embedded or not.
    pub fn mqtt_name(&self) -> String {
        match (&self.status.mqtt, self.mqtt) {
            (Mqtt::External(external), _) => external.name(),
            (Mqtt::Embedded(_), address) => address.map_or_else(String::new, |a| a.to_string()),
        }
    }

    /// Address of the embedded broker over TLS, where it is configured.
    pub fn mqtts_address(&self) -> Option<SocketAddr> {
        self.mqtts
    }

    /// Address of HTTP.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Address of HTTP over TLS, where it is configured.
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https
    }

    /// Takes users, tokens, rules and certificates from their files at once; without this call it
    /// is done within seconds of a change.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// How the node is.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// For what runs beside the node.
    pub fn handles(&self) -> Handles {
        self.handles.clone()
    }

    /// Ends in data order: intake, journal, twin, plugins, outputs, snapshot.
    pub async fn stop(self) {
        let Self {
            status,
            store,
            mut engine,
            closing,
            ending,
            ticker,
            outputs,
            ..
        } = self;
        let offline = NodeStatus {
            status: "offline",
            ..status.online()
        };
        publish_status(&status.mqtt, &self.status_topic, &offline);
        closing.send_replace(true);
        status.mqtt.let_go(DRAIN).await;
        if ticker.await.is_err() {
            tracing::error!("the ticks did not end well");
        }
        let engine = spawn_blocking(move || engine.stop()).await;
        if engine.is_err() {
            tracing::error!("the twin did not end well");
        }
        let folded = *status.folded.borrow();
        told::tell(&status, &store, folded, DRAIN).await;
        status.mqtt.shutdown(DRAIN).await;
        ending.send_replace(true);
        for task in outputs {
            let _ = task.await;
        }
        let journal = Arc::clone(&status.journal);
        let closed = spawn_blocking(move || {
            if let Err(error) = store.flush() {
                tracing::error!(%error, "the store may be behind after a power cut");
            }
            journal.close();
        });
        let _ = closed.await;
    }
}

/// Publishes the node's status, retained.
fn publish_status(mqtt: &Mqtt, topic: &str, status: &NodeStatus) {
    if let Ok(payload) = serde_json::to_vec(status) {
        let message = Message {
            topic: topic.to_owned(),
            payload: payload.into(),
            retain: true,
        };
        mqtt.publish(vec![message]);
    }
}

/// What the broker elsewhere says of a node that went without a word.
fn last_will(position: u64) -> Vec<u8> {
    let status = NodeStatus {
        status: "offline",
        position,
        lag: Lag::default(),
        warnings: vec!["the connection was lost".to_owned()],
    };
    serde_json::to_vec(&status).unwrap_or_default()
}
