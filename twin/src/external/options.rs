//! Which broker, as whom: read from the configuration before a port opens.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rumqttc::TlsConfiguration;
use rumqttc::Transport;
use rumqttc::tokio_rustls::rustls::ClientConfig;
use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::LastWill;
use serde::Deserialize;

use super::tls::{ClientFiles, client_config};
use crate::config::{Config, Mqtt};
use crate::model::is_name;

/// Telemetry publishes under way to this node: what a connection may cost in memory, and the
/// `Receive Maximum` that the broker is told.
pub(super) const RECEIVE: u16 = 1024;
/// Publishes of this node that wait for their PUBACK; the broker may ask for fewer.
pub(super) const WINDOW: u16 = 512;
/// A broker that is silent for twice as long counts as gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Seconds that the broker keeps what this node has not acknowledged: a long weekend and more.
const SESSION: u32 = 7 * 24 * 3600;
/// Seconds for a connection, TLS and CONNACK included.
const CONNECT: u64 = 10;

/// A file that `[mqtt] external_*` names cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why} ({key})", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Which key names it.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// A broker's address: `mqtt://HOST[:PORT]`, port 1883, or `mqtts://HOST[:PORT]`, port 8883.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl Address {
    /// Name or address of the host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        // Before anything that quotes it: there may be a password in it.
        if url.contains('@') {
            return Err("the login goes to external_user and external_password_file".to_owned());
        }
        let (tls, rest) = match url.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => {
                return Err(format!(
                    "{url:?}: expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"
                ));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let bracketed = rest.ends_with(']');
        let (host, port) = match rest.rsplit_once(':').filter(|_| !bracketed) {
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (
                    host,
                    port.ok_or_else(|| format!("{url:?}: the port is not a number"))?,
                )
            }
            None => (rest, if tls { 8883 } else { 1883 }),
        };
        if host.is_empty() || host.contains(['/', ' ']) {
            return Err(format!("{url:?}: there is no host in it"));
        }
        let host = host.to_owned();
        Ok(Self { host, port, tls })
    }
}

/// Everything a connection is made with.
pub struct Options {
    pub(super) address: Address,
    client_id: String,
    login: Option<(String, String)>,
    tls: Option<Arc<ClientConfig>>,
    max_packet: u32,
    /// Subscriptions to the telemetry of each quarter, shared within the group: telemetry of a
    /// quarter that another node has must not come here, where it would be acknowledged and set
    /// aside.
    pub(super) filters: Vec<String>,
}

impl Options {
    /// What `[mqtt] external*` says; `None` without an external broker.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should.
    pub fn read(config: &Config) -> Result<Option<Self>, FileError> {
        let mqtt = &config.mqtt;
        let Some(address) = mqtt.external.clone() else {
            return Ok(None);
        };
        let password = mqtt
            .external_password_file
            .as_deref()
            .map(first_line)
            .transpose()?;
        let login = mqtt
            .external_user
            .clone()
            .map(|user| (user, password.unwrap_or_default()));
        let identity = mqtt
            .external_cert_file
            .as_deref()
            .zip(mqtt.external_key_file.as_deref());
        let tls = address
            .tls
            .then(|| {
                client_config(ClientFiles {
                    prefix: "mqtt.external_",
                    ca: mqtt.external_ca_file.as_deref(),
                    identity,
                })
            })
            .transpose()?;
        let group = &mqtt.external_group;
        let filter = |id: &String| match group.as_str() {
            "" => format!("dt/{id}/#"),
            group => format!("$share/{group}/dt/{id}/#"),
        };
        Ok(Some(Self {
            address,
            client_id: format!("quartier-{}", config.node.name),
            login,
            tls,
            max_packet: u32::try_from(mqtt.max_packet).unwrap_or(u32::MAX),
            filters: config
                .quarters
                .iter()
                .map(|quarter| filter(&quarter.id))
                .collect(),
        }))
    }

    /// For one connection. `will`: topic and payload that the broker publishes, retained, when the
    /// node goes without a word.
    pub(super) fn mqtt(&self, (topic, payload): &(String, Vec<u8>)) -> MqttOptions {
        let mut options = MqttOptions::new(&self.client_id, &self.address.host, self.address.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(CONNECT)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION))
            .set_receive_maximum(Some(RECEIVE))
            .set_max_packet_size(Some(self.max_packet))
            .set_outgoing_inflight_upper_limit(WINDOW)
            .set_manual_acks(true)
            .set_last_will(LastWill::new(
                topic,
                payload.clone(),
                QoS::AtLeastOnce,
                true,
                None,
            ));
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        if let Some(tls) = &self.tls {
            let tls = TlsConfiguration::Rustls(Arc::clone(tls));
            options.set_transport(Transport::tls_with_config(tls));
        }
        options
    }
}

/// Whether the keys `external_*` go together.
///
/// # Errors
/// The key that does not, and why.
pub fn check(mqtt: &Mqtt) -> Result<(), (&'static str, &'static str)> {
    let (cert, key) = (
        mqtt.external_cert_file.is_some(),
        mqtt.external_key_file.is_some(),
    );
    let of_tls = cert || key || mqtt.external_ca_file.is_some();
    match &mqtt.external {
        None if of_tls || mqtt.external_user.is_some() => Err((
            "external",
            "is missing: which broker are the other keys external_* for?",
        )),
        Some(address) if of_tls && !address.tls => Err((
            "external",
            "is not encrypted: write mqtts:// to use the certificate files",
        )),
        _ if cert != key => Err((
            "external_cert_file",
            "certificate and key go together: external_key_file",
        )),
        _ if mqtt.external_password_file.is_some() && mqtt.external_user.is_none() => {
            Err(("external_user", "is missing: whose is the password?"))
        }
        _ if !mqtt.external_group.is_empty() && !is_name(&mqtt.external_group) => Err((
            "external_group",
            "must be one topic level, or empty for a node alone",
        )),
        _ => Ok(()),
    }
}

fn first_line(path: &Path) -> Result<String, FileError> {
    let text = std::fs::read_to_string(path).map_err(|error| FileError {
        path: path.to_owned(),
        key: "mqtt.external_password_file".to_owned(),
        why: format!("cannot be read: {error}"),
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn parse(url: &str) -> Result<Address, String> {
        Address::try_from(url.to_owned())
    }

    #[test]
    fn a_broker_is_named_by_a_url_whose_port_may_be_left_out() {
        for (url, shown, tls) in [
            ("mqtt://127.0.0.1:1884", "127.0.0.1:1884", false),
            ("mqtt://broker.city", "broker.city:1883", false),
            ("mqtts://broker.city/", "broker.city:8883", true),
            ("mqtts://[::1]", "[::1]:8883", true),
            ("mqtt://[::1]:1", "[::1]:1", false),
        ] {
            let address = parse(url).unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.is_tls()),
                (shown, tls),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write_instead() {
        for url in [
            "broker",
            "tcp://a",
            "ws://a",
            "mqtt://",
            "mqtt://a:b",
            "mqtt://a:0",
            "mqtt://a/b",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
        assert!(parse("mqtt://u:p@a").unwrap_err().contains("external_user"));
    }
}
