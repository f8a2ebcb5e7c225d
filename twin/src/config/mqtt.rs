//! `[mqtt]`: the front door, who may log in, and what they may do.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::external::Address;

/// The MQTT front door. Users, tokens, rules, `anonymous`, `certificate_role` and the content of
/// the certificate files are taken while the node runs; a change of anything else needs a restart.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// Address of MQTT 3.1.1 and 5.
    pub listen: SocketAddr,
    /// The same over TLS.
    pub tls_listen: Option<SocketAddr>,
    /// Certificate of the server and what leads to its root, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Who signs the certificates of clients, PEM. A client may still do without one.
    pub client_ca_file: Option<PathBuf>,
    /// `none`, or the role that a client without any credential gets.
    pub anonymous: String,
    /// `none`, or the role of holders of a valid client certificate whose common name is no
    /// configured user.
    pub certificate_role: String,
    /// Connections at once.
    pub max_connections: usize,
    /// Sessions, connected or not.
    pub max_sessions: usize,
    /// Largest packet, bytes.
    pub max_packet: usize,
    /// QoS 1 and 2 messages on their way to one client.
    pub max_inflight: u16,
    /// Messages waiting for one client.
    pub max_queue_messages: usize,
    /// Bytes waiting for one client.
    pub max_queue_bytes: usize,
    /// What happens when either is reached.
    pub when_queue_full: WhenQueueFull,
    /// Messages a second that one client may publish; beyond, its socket is not read. 0: any.
    pub max_publish_rate: u32,
    /// Subscriptions of one client.
    pub max_subscriptions: usize,
    /// Levels of a topic or filter.
    pub max_topic_levels: usize,
    /// Filters of topics that no client may publish or subscribe to, whatever its rights.
    pub closed_topics: Vec<String>,
    /// Seconds that a session outlives its connection.
    pub session_expiry_max_s: u32,
    /// Seconds; a client that asks for a longer keep-alive is told this one.
    pub keep_alive_max_s: u16,
    /// Seconds from accept to a complete CONNECT, the TLS handshake included.
    pub connect_timeout_s: u32,
    /// An MQTT 5 broker in place of the embedded one.
    pub external: Option<Address>,
    /// Login there: user.
    pub external_user: Option<String>,
    /// Login there: file with the password in its first line.
    pub external_password_file: Option<PathBuf>,
    /// Authorities to trust there (PEM); absent: those of the system.
    pub external_ca_file: Option<PathBuf>,
    /// Certificate chain to show there (PEM).
    pub external_cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub external_key_file: Option<PathBuf>,
    /// Nodes of one group share the telemetry of the quarters that they have in common. Empty: the
    /// node is alone and its subscription is not shared. mosquitto 2.0.11 needs that where nothing
    /// may be lost: it forgets shared subscriptions when it restarts.
    pub external_group: String,
    /// Who may log in.
    #[serde(rename = "user")]
    pub users: Vec<User>,
    /// Bearer tokens, sent as password.
    #[serde(rename = "token")]
    pub tokens: Vec<Token>,
    /// Rules of roles and users.
    pub acl: Vec<Acl>,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            tls_listen: None,
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            anonymous: NOBODY.to_owned(),
            certificate_role: NOBODY.to_owned(),
            max_connections: 20_000,
            max_sessions: 100_000,
            max_packet: 1024 * 1024,
            max_inflight: 1_000,
            max_queue_messages: 100_000,
            max_queue_bytes: 32 * 1024 * 1024,
            when_queue_full: WhenQueueFull::Disconnect,
            max_publish_rate: 0,
            max_subscriptions: 1_000,
            max_topic_levels: 32,
            closed_topics: Vec::new(),
            session_expiry_max_s: 7 * 24 * 3600,
            keep_alive_max_s: u16::MAX,
            connect_timeout_s: 10,
            external: None,
            external_user: None,
            external_password_file: None,
            external_ca_file: None,
            external_cert_file: None,
            external_key_file: None,
            external_group: "quartier".to_owned(),
            users: Vec::new(),
            tokens: Vec::new(),
            acl: Vec::new(),
        }
    }
}

/// In the place of a role: nobody gets in this way.
pub(super) const NOBODY: &str = "none";

impl Mqtt {
    /// Role of clients without any credential; `None`: they are not let in.
    pub fn anonymous_role(&self) -> Option<&str> {
        Some(self.anonymous.as_str()).filter(|role| *role != NOBODY)
    }

    /// Role of holders of a valid certificate that names no user; `None`: they are not let in.
    pub fn role_by_certificate(&self) -> Option<&str> {
        Some(self.certificate_role.as_str()).filter(|role| *role != NOBODY)
    }
}

/// What happens when too much waits for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenQueueFull {
    /// The connection ends with 0x97; of a client that is away, the newest is dropped.
    #[default]
    Disconnect,
    /// What does not fit is dropped and counted.
    DropNewest,
    /// The oldest is dropped and counted.
    DropOldest,
}

/// Someone who may log in.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User name; with a client certificate, its common name.
    pub name: String,
    /// Argon2id in PHC form, from `quartier user add`; without it only a certificate or a token
    /// lets the user in.
    pub password_hash: Option<String>,
    /// See [`super::ROLES`].
    pub roles: Vec<String>,
    /// Quarters that `{quarter}` of a rule stands for; absent: every one.
    pub quarters: Option<Vec<String>>,
    /// Assets that `{asset}` of a rule stands for; absent: the one with the name of the user.
    pub assets: Option<Vec<String>>,
}

impl std::fmt::Debug for User {
    /// Without the hash: it is nobody's business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .field("quarters", &self.quarters)
            .field("assets", &self.assets)
            .finish_non_exhaustive()
    }
}

/// A bearer token, of which only the hash is known.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The public part of the token.
    pub id: String,
    /// SHA-256 of the secret part, hexadecimal.
    pub hash: String,
    /// Whose it is.
    pub user: String,
    /// RFC 3339; absent: until it is revoked.
    #[serde(default, deserialize_with = "rfc3339")]
    pub expires: Option<Timestamp>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

fn rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| {
        D::Error::custom(format!(
            "expires = {text:?} is not a time like \"2027-01-31T00:00:00Z\""
        ))
    })
}

/// Rules of a role or a user: topic filters with the placeholders `{client}`, `{user}`,
/// `{quarter}` and `{asset}`. Rules of a role take the place of its built-in ones; those of a user
/// come on top of those of its roles.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acl {
    /// Whose rules: a role..
    pub role: Option<String>,
    /// .. or a user.
    pub user: Option<String>,
    /// Filters to publish to.
    pub publish: Vec<String>,
    /// Filters to subscribe to.
    pub subscribe: Vec<String>,
}
