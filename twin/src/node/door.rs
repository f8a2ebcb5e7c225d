//! Where clients come in: ports and certificates, had before anything is touched.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use quartier_broker::{Broker, Tls, TlsError, TlsFiles, WhenFull};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::StartError;
use crate::config::{Config, Mqtt, WhenQueueFull};
use crate::external;

/// The door of MQTT.
pub(super) enum Door {
    /// Of the embedded broker.
    Embedded(Ports),
    /// A broker elsewhere.
    External(Box<external::Options>),
}

/// Listeners of one protocol.
pub(super) struct Ports {
    pub(super) plain: TcpListener,
    pub(super) tls: Option<(TcpListener, Arc<Tls>)>,
}

/// Lets clients in until the node ends.
pub(super) type Front = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Door {
    pub(super) async fn open(config: &Config, tls: Option<&Arc<Tls>>) -> Result<Self, StartError> {
        if let Some(options) = external::Options::read(config)? {
            return Ok(Self::External(Box::new(options)));
        }
        let mqtt = &config.mqtt;
        let plain = listen("MQTT", mqtt.listen, "mqtt.listen").await?;
        let tls = over_tls("MQTT over TLS", mqtt.tls_listen, "mqtt.tls_listen", tls).await?;
        Ok(Self::Embedded(Ports { plain, tls }))
    }

    /// Addresses without and with TLS, where there are any.
    pub(super) fn addresses(&self) -> std::io::Result<(Option<SocketAddr>, Option<SocketAddr>)> {
        match self {
            Self::Embedded(ports) => Ok((Some(ports.plain.local_addr()?), ports.tls_address()?)),
            Self::External(_) => Ok((None, None)),
        }
    }
}

impl Ports {
    /// Those of HTTP.
    pub(super) async fn of_http(
        config: &Config,
        tls: Option<&Arc<Tls>>,
    ) -> Result<Self, StartError> {
        let http = &config.http;
        let plain = listen("HTTP", http.listen, "http.listen").await?;
        let tls = over_tls("HTTP over TLS", http.tls_listen, "http.tls_listen", tls).await?;
        Ok(Self { plain, tls })
    }

    pub(super) fn tls_address(&self) -> std::io::Result<Option<SocketAddr>> {
        let tls = self.tls.as_ref();
        tls.map(|(listener, _)| listener.local_addr()).transpose()
    }

    /// Lets MQTT clients in until `closed` is true.
    pub(super) async fn serve(self, broker: Arc<Broker>, closed: watch::Receiver<bool>) {
        let plain = broker.serve(self.plain, until(closed.clone()));
        match self.tls {
            None => plain.await,
            Some((listener, tls)) => {
                let over_tls = broker.serve_tls(listener, tls, until(closed));
                tokio::join!(plain, over_tls);
            }
        }
    }
}

/// The certificates of the configuration; `None` where no port is to use TLS.
pub(super) fn load_tls(mqtt: &Mqtt) -> Result<Option<Arc<Tls>>, TlsError> {
    let (Some(cert), Some(key)) = (&mqtt.cert_file, &mqtt.key_file) else {
        return Ok(None);
    };
    let files = TlsFiles {
        cert: cert.clone(),
        key: key.clone(),
        client_ca: mqtt.client_ca_file.clone(),
    };
    Tls::load(files).map(|tls| Some(Arc::new(tls)))
}

pub(super) fn broker_config(mqtt: &Mqtt) -> quartier_broker::Config {
    quartier_broker::Config {
        max_connections: mqtt.max_connections,
        max_sessions: mqtt.max_sessions,
        max_packet: mqtt.max_packet,
        max_inflight: mqtt.max_inflight,
        max_queue_messages: mqtt.max_queue_messages,
        max_queue_bytes: mqtt.max_queue_bytes,
        when_queue_full: match mqtt.when_queue_full {
            WhenQueueFull::Disconnect => WhenFull::Disconnect,
            WhenQueueFull::DropNewest => WhenFull::DropNewest,
            WhenQueueFull::DropOldest => WhenFull::DropOldest,
        },
        max_topic_levels: mqtt.max_topic_levels,
        max_subscriptions: mqtt.max_subscriptions,
        connect_timeout: Duration::from_secs(mqtt.connect_timeout_s.into()),
        keep_alive_max: mqtt.keep_alive_max_s,
        session_expiry_max: mqtt.session_expiry_max_s,
        ..quartier_broker::Config::default()
    }
}

async fn until(mut flag: watch::Receiver<bool>) {
    // An error means that the node is gone, which is the end as well.
    let _ = flag.wait_for(|set| *set).await;
}

async fn over_tls(
    what: &'static str,
    address: Option<SocketAddr>,
    key: &'static str,
    tls: Option<&Arc<Tls>>,
) -> Result<Option<(TcpListener, Arc<Tls>)>, StartError> {
    match (address, tls) {
        (Some(address), Some(tls)) => {
            Ok(Some((listen(what, address, key).await?, Arc::clone(tls))))
        }
        _ => Ok(None),
    }
}

async fn listen(
    what: &'static str,
    address: SocketAddr,
    key: &'static str,
) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            what,
            address,
            source,
            key,
        })
}
