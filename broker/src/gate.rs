//! Who may connect, and what they may do: answered by the host, enforced by the broker.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::codec::{covers, shared};

/// The far end of a connection, as the transport knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Remote address.
    pub address: SocketAddr,
    /// The client certificate that the transport verified.
    pub certificate: Option<Certificate>,
}

/// A verified certificate with one common name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The common name.
    pub name: Arc<str>,
    /// SHA-256 of the certificate, DER.
    pub sha256: [u8; 32],
}

/// What a CONNECT shows of who is there.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// MQTT client identifier, assigned where the client sent none.
    pub client_id: &'a str,
    /// User name, where one was sent.
    pub user: Option<&'a str>,
    /// Password or bearer token, where one was sent.
    pub password: Option<&'a [u8]>,
    /// Transport.
    pub peer: &'a Peer,
}

/// Who is at the other end of a connection, after login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// MQTT client identifier, assigned where the client sent none.
    pub id: Arc<str>,
    /// User, where there was a login.
    pub user: Option<Arc<str>>,
    /// What the login was made with, in the words of the gate: a token's id, say.
    pub credential: Option<Arc<str>>,
    /// Roles of the user, or the one that clients without login get.
    pub roles: Arc<[String]>,
    /// Transport.
    pub peer: Peer,
}

/// A client is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// See [`Client::user`].
    pub user: Option<Arc<str>>,
    /// See [`Client::credential`].
    pub credential: Option<Arc<str>>,
    /// See [`Client::roles`].
    pub roles: Arc<[String]>,
    /// What the client may do.
    pub rights: Rights,
}

/// What a client may do: topic filters, of which one must cover what it asks for. Default: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// To publish to, with wills.
    pub publish: Arc<[Box<str>]>,
    /// To subscribe to. A filter is granted as a whole or not at all, so that every message that
    /// it matches may be delivered.
    pub subscribe: Arc<[Box<str>]>,
}

impl Rights {
    /// Everything, `$SYS` included.
    pub fn all() -> Self {
        Self {
            publish: Arc::from(["#".into()]),
            subscribe: Arc::from(["#".into(), "$SYS/#".into()]),
        }
    }

    /// Whether messages may be published to `topic`.
    pub fn may_publish(&self, topic: &str) -> bool {
        self.publish.iter().any(|rule| covers(rule, topic))
    }

    /// Whether every topic that `filter` matches may be read. Of a shared subscription the filter
    /// within it counts.
    pub fn may_subscribe(&self, filter: &str) -> bool {
        let filter = shared(filter).map_or(filter, |(_, filter)| filter);
        self.subscribe.iter().any(|rule| covers(rule, filter))
    }
}

/// A CONNECT was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 0x86 (5), 4 (3.1.1).
    #[error("bad user name or password")]
    BadUserOrPassword,
    /// 0x87 (5), 5 (3.1.1).
    #[error("not authorized")]
    NotAuthorized,
    /// 0x9F (5), 3 (3.1.1).
    #[error("too many failed logins")]
    TooManyFailures,
}

/// Who may connect, and what they may do.
pub trait Gate: Send + Sync + 'static {
    /// Lets a client in. Called off the async workers, so it may hash passwords.
    ///
    /// # Errors
    /// Why the client may not connect.
    fn login(&self, login: &Login<'_>) -> Result<Granted, Refused>;

    /// The rights that a client has now, which logged in before; `None`: it is to be sent away.
    /// Must be cheap.
    fn rights(&self, client: &Client) -> Option<Rights>;

    /// Changes whenever the answers of [`Gate::rights`] may have changed.
    fn changes(&self) -> watch::Receiver<u64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(rules: &[&str]) -> Rights {
        Rights {
            subscribe: rules.iter().map(|rule| Box::from(*rule)).collect(),
            ..Rights::default()
        }
    }

    #[test]
    fn without_a_rule_nothing_is_allowed() {
        assert!(!Rights::default().may_publish("a"));
        assert!(!Rights::default().may_subscribe("a"));
    }

    #[test]
    fn a_filter_is_granted_only_where_one_rule_covers_all_of_it() {
        let rights = reads(&["twin/v1/q/energy/#", "cmd/v1/+/m1"]);
        for filter in [
            "twin/v1/q/energy/#",
            "twin/v1/q/energy",
            "twin/v1/q/energy/+/power",
            "$share/g/twin/v1/q/energy/a/power",
            "cmd/v1/q/m1",
            "cmd/v1/+/m1",
        ] {
            assert!(rights.may_subscribe(filter), "{filter}");
        }
        for filter in [
            "#",
            "twin/#",
            "twin/v1/+/energy/#",
            "twin/v1/q/+/a/power",
            "twin/v1/q/energyx",
            "$share/g/#",
            "cmd/v1/q/+",
            "cmd/v1/q/m1/#",
            "cmd/v1/#",
        ] {
            assert!(!rights.may_subscribe(filter), "{filter}");
        }
    }

    #[test]
    fn everything_does_not_mean_the_topics_of_the_server() {
        assert!(!reads(&["#"]).may_subscribe("$SYS/#"));
        assert!(!reads(&["+/a"]).may_subscribe("$SYS/a"));
        assert!(Rights::all().may_subscribe("$SYS/broker/uptime"));
    }
}
