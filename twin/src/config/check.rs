//! Values that do not go together, each named by its key and its line.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use hashbrown::HashSet;
use toml::de::{DeTable, DeValue};

use quartier_plugin_host::PublicKey;

use super::load::line_at;
use super::mqtt::NOBODY;
use super::{Acl, Config, InfluxApi, Interlock, Mqtt, ROLES, Token, User};
use crate::access::check_rule;
use crate::external;
use crate::model::is_name;

/// A quarter of it must hold what waits to be written, and the largest packet.
const LEAST_QUOTA: u64 = 262_144;
/// Bytes of a packet that the broker takes as its limit.
const PACKET: RangeInclusive<usize> = 1024..=256 * 1024 * 1024;
/// Hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;

/// A step on the way to a value.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Of a table.
    Key(&'static str),
    /// Of an array, with the name of what is there.
    Nth(usize, String),
}

use Step::{Key, Nth};

/// A value that is wrong.
#[derive(Debug)]
pub(super) struct Wrong {
    at: Vec<Step>,
    /// What is wrong and what to do.
    pub(super) message: String,
}

type Checked = Result<(), Wrong>;

impl Wrong {
    /// `mqtt.user "meter-1".roles`.
    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        for step in &self.at {
            match step {
                Key(name) if key.is_empty() => key.push_str(name),
                Key(name) => key.extend([".", name]),
                Nth(_, name) => key.push_str(&format!(" {name:?}")),
            }
        }
        key
    }

    /// Line of the value in `text`, or of the last step to it that is there.
    pub(super) fn line(&self, text: &str) -> Option<usize> {
        let table = DeTable::parse(text).ok()?;
        let root = DeValue::Table(table.into_inner());
        let (mut value, mut found) = (&root, None);
        for step in &self.at {
            let next = match step {
                Key(name) => value.get(*name),
                Nth(index, _) => value.get(*index),
            };
            let Some(next) = next else { break };
            found = Some(next.span().start);
            value = next.get_ref();
        }
        found.map(|byte| line_at(text, byte))
    }
}

fn wrong<const N: usize>(at: [Step; N], message: impl Into<String>) -> Checked {
    Err(Wrong {
        at: at.to_vec(),
        message: message.into(),
    })
}

/// `what` is true, or `message` says what is wrong at `at`.
fn must<const N: usize>(what: bool, at: [Step; N], message: impl Into<String>) -> Checked {
    if what { Ok(()) } else { wrong(at, message) }
}

impl Config {
    pub(super) fn check(&self) -> Checked {
        must(
            is_name(&self.node.name),
            [Key("node"), Key("name")],
            "must be one topic level",
        )?;
        self.check_tls()?;
        self.check_limits()?;
        self.check_access()?;
        external::check(&self.mqtt).or_else(|(key, why)| wrong([Key("mqtt"), Key(key)], why))?;
        must(
            self.journal.quota_bytes >= LEAST_QUOTA,
            [Key("journal"), Key("quota_bytes")],
            format!("must be at least {LEAST_QUOTA}: a few segments have to fit"),
        )?;
        let half = self.journal.quota_bytes / 2;
        must(
            self.journal.keep_bytes.is_none_or(|keep| keep <= half),
            [Key("journal"), Key("keep_bytes")],
            format!("must be at most half of quota_bytes, {half}: the rest is for what is needed"),
        )?;
        self.check_quarters()?;
        self.check_influx()
    }

    fn check_quarters(&self) -> Checked {
        for (index, quarter) in self.quarters.iter().enumerate() {
            let nth = Nth(index, quarter.id.clone());
            let at = |key| [Key("quarter"), nth.clone(), Key(key)];
            must(is_name(&quarter.id), at("id"), "must be one topic level")?;
            let before = self.quarters.iter().take(index);
            must(
                !before.map(|other| &other.id).any(|id| *id == quarter.id),
                at("id"),
                "is there twice",
            )?;
            must(
                jiff::tz::TimeZone::get(&quarter.timezone).is_ok(),
                at("timezone"),
                format!("{:?} is not an IANA name", quarter.timezone),
            )?;
        }
        for (index, plugin) in self.plugins.iter().enumerate() {
            let nth = Nth(index, plugin.path.display().to_string());
            self.known_quarter([Key("plugin"), nth, Key("quarter")], &plugin.quarter)?;
        }
        self.check_labs()?;
        let mut interlocks = self.interlocks.iter().enumerate();
        interlocks.try_for_each(|(index, interlock)| check_interlock(index, interlock))
    }

    fn check_labs(&self) -> Checked {
        for (index, lab) in self.labs.iter().enumerate() {
            let nth = Nth(index, lab.id.clone());
            let at = |key| [Key("lab"), nth.clone(), Key(key)];
            must(is_name(&lab.id), at("id"), "must be one topic level")?;
            must(!lab.keys.is_empty(), at("keys"), "a lab needs a key")?;
            for key in &lab.keys {
                if let Err(error) = key.parse::<PublicKey>() {
                    return wrong(at("keys"), format!("{key:?}: {error}"));
                }
            }
            for quarter in lab.quarters.iter().flatten() {
                self.known_quarter(at("quarters"), quarter)?;
            }
        }
        Ok(())
    }

    fn known_quarter<const N: usize>(&self, at: [Step; N], id: &str) -> Checked {
        must(
            self.quarters.iter().any(|quarter| quarter.id == id),
            at,
            format!("quarter {id:?} is not configured"),
        )
    }

    fn check_influx(&self) -> Checked {
        let at = |key| [Key("influx"), Key(key)];
        match &self.influx {
            Some(influx) if influx.api == InfluxApi::V2 && influx.bucket.is_empty() => {
                wrong(at("bucket"), "api v2 needs org and bucket")
            }
            Some(influx) if influx.api == InfluxApi::V1 && influx.database.is_empty() => {
                wrong(at("database"), "api v1 needs a database")
            }
            _ => Ok(()),
        }
    }

    fn check_tls(&self) -> Checked {
        let mqtt = &self.mqtt;
        let at = |key| [Key("mqtt"), Key(key)];
        must(
            mqtt.tls_listen.is_none() || mqtt.external.is_none(),
            at("tls_listen"),
            "is for the broker of this node, and `external` is in its place: remove one of them",
        )?;
        let served = mqtt.tls_listen.is_some() || self.http.tls_listen.is_some();
        for (key, file) in [("cert_file", &mqtt.cert_file), ("key_file", &mqtt.key_file)] {
            must(
                file.is_some() || !served,
                at(key),
                "is missing: tls_listen needs cert_file and key_file (`quartier cert server`)",
            )?;
            must(
                file.is_none() || served,
                at(key),
                "is for mqtt.tls_listen or http.tls_listen, and neither is configured",
            )?;
        }
        must(
            mqtt.client_ca_file.is_none() || served,
            at("client_ca_file"),
            "is for mqtt.tls_listen or http.tls_listen, and neither is configured",
        )?;
        must(
            mqtt.certificate_role == NOBODY || mqtt.client_ca_file.is_some(),
            at("certificate_role"),
            "needs client_ca_file: without it no client certificate is valid",
        )
    }

    fn check_limits(&self) -> Checked {
        let mqtt = &self.mqtt;
        let positive = [
            ("max_connections", mqtt.max_connections > 0),
            ("max_sessions", mqtt.max_sessions > 0),
            ("max_inflight", mqtt.max_inflight > 0),
            ("max_queue_messages", mqtt.max_queue_messages > 0),
            ("max_queue_bytes", mqtt.max_queue_bytes > 0),
            ("max_subscriptions", mqtt.max_subscriptions > 0),
            ("max_topic_levels", mqtt.max_topic_levels > 0),
            ("keep_alive_max_s", mqtt.keep_alive_max_s > 0),
            ("connect_timeout_s", mqtt.connect_timeout_s > 0),
        ];
        for (key, fits) in positive {
            must(fits, [Key("mqtt"), Key(key)], "must be at least 1")?;
        }
        must(
            PACKET.contains(&mqtt.max_packet),
            [Key("mqtt"), Key("max_packet")],
            format!("must be {} to {} bytes", PACKET.start(), PACKET.end()),
        )
    }

    fn check_access(&self) -> Checked {
        let mqtt = &self.mqtt;
        for (key, role) in [
            ("anonymous", &mqtt.anonymous),
            ("certificate_role", &mqtt.certificate_role),
        ] {
            must(
                role == NOBODY || ROLES.contains(&role.as_str()),
                [Key("mqtt"), Key(key)],
                format!("must be none or one of {}", ROLES.join(", ")),
            )?;
        }
        let addresses = [
            Some(mqtt.listen),
            mqtt.tls_listen,
            Some(self.http.listen),
            self.http.tls_listen,
        ];
        let open = |address: &SocketAddr| !address.ip().is_loopback();
        must(
            mqtt.anonymous != "operator" || !addresses.iter().flatten().any(open),
            [Key("mqtt"), Key("anonymous")],
            "operator without login is for loopback only, also where MQTT comes over HTTP: \
             listen on 127.0.0.1 or add users",
        )?;
        let mut names = HashSet::new();
        for (index, user) in mqtt.users.iter().enumerate() {
            let first = names.insert(user.name.as_str());
            self.check_user(index, user, first)?;
        }
        let mut ids = HashSet::new();
        for (index, token) in mqtt.tokens.iter().enumerate() {
            let first = ids.insert(token.id.as_str());
            check_token(mqtt, index, token, first)?;
        }
        for (place, filter) in mqtt.closed_topics.iter().enumerate() {
            check_rule(filter).or_else(|why| {
                let filter = Nth(place, filter.clone());
                wrong([Key("mqtt"), Key("closed_topics"), filter], why.to_string())
            })?;
        }
        let mut acl = mqtt.acl.iter().enumerate();
        acl.try_for_each(|(index, acl)| check_acl(mqtt, index, acl))
    }

    fn check_user(&self, index: usize, user: &User, first: bool) -> Checked {
        let nth = Nth(index, user.name.clone());
        let at = |key| [Key("mqtt"), Key("user"), nth.clone(), Key(key)];
        must(!user.name.is_empty(), at("name"), "must not be empty")?;
        must(first, at("name"), "is there twice")?;
        for role in &user.roles {
            known_role(at("roles"), role)?;
        }
        let hash = user.password_hash.as_deref();
        must(
            hash.is_none_or(|hash| argon2::PasswordHash::new(hash).is_ok()),
            at("password_hash"),
            "is not a PHC string: use `quartier user add`",
        )?;
        for quarter in user.quarters.iter().flatten() {
            self.known_quarter(at("quarters"), quarter)?;
        }
        let mut assets = user.assets.iter().flatten();
        assets.try_for_each(|asset| {
            must(
                is_name(asset),
                at("assets"),
                format!("{asset:?} is not one topic level"),
            )
        })
    }
}

fn check_interlock(index: usize, interlock: &Interlock) -> Checked {
    let Interlock {
        metric,
        above,
        below,
        min,
        max,
        reason,
        ..
    } = interlock;
    let nth = Nth(index, reason.clone());
    let at = |key| [Key("interlock"), nth.clone(), Key(key)];
    must(
        !reason.is_empty(),
        at("reason"),
        "must say why: people read it",
    )?;
    for (key, bound) in [
        ("above", above),
        ("below", below),
        ("min", min),
        ("max", max),
    ] {
        must(
            bound.is_none_or(f64::is_finite),
            at(key),
            "must be a finite number",
        )?;
    }
    let watches = above.is_some() || below.is_some();
    must(
        watches || min.is_some() || max.is_some(),
        at("reason"),
        "an interlock needs one of above, below, min and max",
    )?;
    must(
        metric.is_empty() != watches,
        at("metric"),
        "goes with above or below: the metric of the asset that is looked at",
    )?;
    must(
        above
            .zip(*below)
            .is_none_or(|(above, below)| below <= above),
        at("below"),
        "is more than above: nothing could ever be sent",
    )?;
    must(
        min.zip(*max).is_none_or(|(min, max)| min <= max),
        at("min"),
        "is more than max: nothing could ever be sent",
    )
}

fn known_role<const N: usize>(at: [Step; N], role: &str) -> Checked {
    must(
        ROLES.contains(&role),
        at,
        format!("role {role:?} is not one of {}", ROLES.join(", ")),
    )
}

fn known_user<const N: usize>(mqtt: &Mqtt, at: [Step; N], name: &str) -> Checked {
    must(
        mqtt.users.iter().any(|user| user.name == name),
        at,
        format!("there is no user {name:?}: add it (`quartier user add`) or remove this"),
    )
}

fn check_token(mqtt: &Mqtt, index: usize, token: &Token, first: bool) -> Checked {
    let nth = Nth(index, token.id.clone());
    let at = |key| [Key("mqtt"), Key("token"), nth.clone(), Key(key)];
    let plain = |c: char| c.is_ascii_alphanumeric();
    must(
        !token.id.is_empty() && token.id.chars().all(plain),
        at("id"),
        "must be letters and digits: use `quartier token issue`",
    )?;
    must(first, at("id"), "is there twice")?;
    must(
        token.hash.len() == HASH_DIGITS && token.hash.chars().all(|c| c.is_ascii_hexdigit()),
        at("hash"),
        "is not a SHA-256 in hexadecimal: use `quartier token issue`",
    )?;
    known_user(mqtt, at("user"), &token.user)
}

fn check_acl(mqtt: &Mqtt, index: usize, acl: &Acl) -> Checked {
    let name = acl.role.as_ref().or(acl.user.as_ref());
    let nth = Nth(index, name.cloned().unwrap_or_default());
    let at = |key| [Key("mqtt"), Key("acl"), nth.clone(), Key(key)];
    match (&acl.role, &acl.user) {
        (Some(role), None) => known_role(at("role"), role)?,
        (None, Some(user)) => known_user(mqtt, at("user"), user)?,
        (None, None) => wrong(at("role"), "is missing: say `role` or `user`")?,
        (Some(_), Some(_)) => wrong(at("user"), "say either `role` or `user`")?,
    }
    for (key, filters) in [("publish", &acl.publish), ("subscribe", &acl.subscribe)] {
        for (place, filter) in filters.iter().enumerate() {
            check_rule(filter).or_else(|why| {
                let filter = Nth(place, filter.clone());
                wrong(
                    [Key("mqtt"), Key("acl"), nth.clone(), Key(key), filter],
                    why.to_string(),
                )
            })?;
        }
    }
    Ok(())
}
