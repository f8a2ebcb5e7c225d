//! From the accepted stream to the CONNACK.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed},
};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::io::read_out;
use super::rights::{Granted as Rights, levels};
use super::{Connection, LAST_WORDS, Stream, Terms};
use crate::codec::{
    ConnAck, ConnAckProperties, Connect, Malformed, ReasonCode, Refusal, Version, decode_connect,
    frame,
};
use crate::config::Config;
use crate::hub::Hub;
use crate::sessions::{NotOpened, Opening};
use crate::will::Will;
use crate::{Client, Granted, Login, Peer, Refused};

/// First byte of a CONNECT.
const CONNECT: u8 = 0x10;

/// A CONNECT with everything that outlives the read buffer.
struct Request {
    version: Version,
    id: Arc<str>,
    assigned: bool,
    user: Option<String>,
    password: Option<Vec<u8>>,
    clean: bool,
    terms: Terms,
    asked_keep_alive: u16,
    asked_expiry: u32,
    will: Option<Will>,
    /// Of a will that nobody may leave.
    will_refused: Option<ReasonCode>,
}

/// The connection of a client that was let in; `None` for one that was not, after it was told.
pub(super) async fn shake_hands<S: Stream>(
    hub: &Arc<Hub>,
    stream: &mut S,
    peer: Peer,
    deadline: Instant,
) -> Option<Connection> {
    let mut closing = hub.closing.subscribe();
    let mut buffer = BytesMut::new();
    let answer = tokio::select! {
        answer = timeout_at(deadline, read_connect(hub, stream, &mut buffer)) => {
            answer.ok()??
        }
        _ = closing.wait_for(Option::is_some) => return None,
    };
    let (version, reason) = match answer {
        Ok(request) => {
            let version = request.version;
            match admit(hub, request, peer).await {
                Ok(mut connection) => {
                    connection.read = buffer;
                    return Some(connection);
                }
                Err(reason) => (version, reason),
            }
        }
        Err(refusal) => refusal,
    };
    // Whether the client hears it or not, it is not let in.
    let _ = timeout(hub.config.connect_timeout, refuse(stream, version, reason)).await;
    None
}

type Answer = Result<Request, (Version, ReasonCode)>;

/// Reads the first packet. `None`: close without an answer.
async fn read_connect<S: Stream>(
    hub: &Hub,
    stream: &mut S,
    buffer: &mut BytesMut,
) -> Option<Answer> {
    loop {
        if buffer.first().is_some_and(|first| *first != CONNECT) {
            return None;
        }
        match frame(buffer, hub.config.max_packet) {
            Ok(Some(frame)) => {
                let request = match decode_connect(&frame) {
                    // Enhanced authentication is not offered.
                    Ok(connect) if connect.authentication_method.is_some() => {
                        Err((connect.version, ReasonCode::BadAuthenticationMethod))
                    }
                    Ok(connect) => Ok(Request::new(&hub.config, &connect)),
                    Err(Refusal { version, error }) => {
                        debug!(%error, "CONNECT refused");
                        let version = version?;
                        // 3.1.1 has no code for it and wants no answer [MQTT-3.1.4-1].
                        if version == Version::V3 && error.reason.v3_connack().is_none() {
                            return None;
                        }
                        Err((version, error.reason))
                    }
                };
                let len = frame.len;
                let _ = buffer.split_to(len);
                return Some(request);
            }
            Ok(None) => {}
            Err(Malformed { what, .. }) => {
                debug!(what, "no CONNECT");
                return None;
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn refuse<S: Stream>(
    stream: &mut S,
    version: Version,
    reason: ReasonCode,
) -> std::io::Result<()> {
    // Without a fitting code the connection is just closed [MQTT-3.2.2-6].
    if version == Version::V3 && reason.v3_connack().is_none() {
        return stream.shutdown().await;
    }
    let mut out = BytesMut::new();
    let properties = ConnAckProperties::default();
    ConnAck {
        session_present: false,
        reason,
        properties,
    }
    .encode(version, &mut out);
    stream.write_all(&out).await?;
    stream.shutdown().await?;
    let _ = timeout(LAST_WORDS, read_out(stream)).await;
    Ok(())
}

impl Request {
    fn new(config: &Config, connect: &Connect<'_>) -> Self {
        let assigned = connect.client_id.is_empty();
        let id = if assigned {
            assigned_id()
        } else {
            connect.client_id.into()
        };
        let keep_alive = match connect.version {
            Version::V3 => connect.keep_alive,
            Version::V5 => connect.keep_alive.min(config.keep_alive_max),
        };
        Self {
            version: connect.version,
            id,
            assigned,
            user: connect.user.map(str::to_owned),
            password: connect.password.map(<[u8]>::to_vec),
            clean: connect.clean_start,
            terms: Terms {
                version: connect.version,
                keep_alive,
                expiry: connect.session_expiry.min(config.session_expiry_max),
                may_extend: connect.session_expiry > 0,
                inflight: usize::from(connect.receive_maximum.min(config.max_inflight.max(1))),
                max_packet: connect.maximum_packet_size as usize,
                max_alias: connect.topic_alias_maximum.min(config.max_topic_alias),
            },
            asked_keep_alive: connect.keep_alive,
            asked_expiry: connect.session_expiry,
            will: connect.will.as_ref().and_then(Will::new),
            will_refused: connect
                .will
                .and_then(|will| will_refusal(config, will.topic)),
        }
    }

    /// The CONNACK that lets the client in: what this server does otherwise than the default of
    /// MQTT 5 or than the client asked.
    fn connack(&self, hub: &Hub, session_present: bool) -> ConnAck<'_> {
        let Self { terms, .. } = self;
        let config = &hub.config;
        ConnAck {
            session_present,
            reason: ReasonCode::Success,
            properties: ConnAckProperties {
                session_expiry: (terms.expiry != self.asked_expiry).then_some(terms.expiry),
                receive_maximum: Some(config.max_pending.max(1)),
                maximum_packet_size: u32::try_from(config.max_packet).ok(),
                assigned_client_id: self.assigned.then_some(&*self.id),
                topic_alias_maximum: Some(config.max_topic_alias),
                shared_available: Some(true),
                server_keep_alive: (terms.keep_alive != self.asked_keep_alive)
                    .then_some(terms.keep_alive),
                ..ConnAckProperties::default()
            },
        }
    }
}

/// Checks the login and opens the session; the connection with its CONNACK still to be sent.
async fn admit(hub: &Arc<Hub>, mut request: Request, peer: Peer) -> Result<Connection, ReasonCode> {
    let asked = hub.rights_changed.load(Acquire);
    let granted = login(hub, &request, &peer).await?;
    let may_leave = |will: &Will| granted.rights.may_publish(&will.topic);
    if !request.will.as_ref().is_none_or(may_leave) {
        return Err(ReasonCode::NotAuthorized);
    }
    request.will_refused.map_or(Ok(()), Err)?;
    // Who cannot take the CONNACK cannot be let in [MQTT-3.1.2-24].
    let mut connack = BytesMut::new();
    request
        .connack(hub, false)
        .encode(request.version, &mut connack);
    if connack.len() > request.terms.max_packet {
        return Err(ReasonCode::PacketTooLarge);
    }
    let mut opened = hub
        .sessions
        .open(Opening {
            id: request.id.clone(),
            user: granted.user.clone(),
            clean: request.clean,
            expiry: request.terms.expiry,
            inflight: request.terms.inflight,
            will: request.will.take(),
        })
        .map_err(|error| match error {
            NotOpened::Full => ReasonCode::QuotaExceeded,
            NotOpened::Foreign => ReasonCode::NotAuthorized,
        })?;
    // Of the same user, who may have lost the right to it.
    let may_not_leave = |will: &mut Box<Will>| !granted.rights.may_publish(&will.topic);
    let mut not_left = opened.will.take_if(may_not_leave);
    if let Some(replaced) = &opened.replaced {
        not_left = not_left.or(replaced.lock().will.take_if(may_not_leave));
    }
    let not_left = u64::from(not_left.is_some());
    hub.counters.dropped_not_authorized.add(not_left);
    if let Some(replaced) = &opened.replaced {
        hub.bury(replaced);
    }
    if let Some(will) = opened.will.take() {
        will.publish(hub, opened.session.number);
    }
    hub.counters.taken_over.add(u64::from(opened.taken_over));
    hub.counters.accepted.add(1);
    connack.clear();
    request
        .connack(hub, opened.present)
        .encode(request.version, &mut connack);
    let client = Client {
        id: request.id,
        user: granted.user,
        credential: granted.credential,
        roles: granted.roles,
        peer,
    };
    debug!(id = %client.id, address = %client.peer.address, "connected");
    Ok(Connection::new(
        hub.clone(),
        client,
        Rights {
            rights: granted.rights,
            asked,
            suspect: false,
        },
        opened,
        request.terms,
        connack,
    ))
}

/// What is granted to the client. Only credentials are worth a thread: without them there is
/// nothing to hash.
async fn login(hub: &Arc<Hub>, request: &Request, peer: &Peer) -> Result<Granted, ReasonCode> {
    let checked = if request.user.is_none() && request.password.is_none() {
        hub.hooks.gate.login(&Login {
            client_id: &request.id,
            user: None,
            password: None,
            peer,
        })
    } else {
        let _permit = hub
            .logins
            .acquire()
            .await
            .map_err(|_| ReasonCode::ServerBusy)?;
        let gate = hub.hooks.gate.clone();
        let (id, user) = (request.id.clone(), request.user.clone());
        let (password, peer) = (request.password.clone(), peer.clone());
        tokio::task::spawn_blocking(move || {
            gate.login(&Login {
                client_id: &id,
                user: user.as_deref(),
                password: password.as_deref(),
                peer: &peer,
            })
        })
        .await
        .map_err(|_| ReasonCode::ServerUnavailable)?
    };
    checked.map_err(|refused| {
        debug!(id = %request.id, %refused, "login refused");
        match refused {
            Refused::BadUserOrPassword => ReasonCode::BadUserNameOrPassword,
            Refused::NotAuthorized => ReasonCode::NotAuthorized,
            Refused::TooManyFailures => ReasonCode::ConnectionRateExceeded,
        }
    })
}

/// Why nobody may leave a will to `topic`.
fn will_refusal(config: &Config, topic: &str) -> Option<ReasonCode> {
    if topic.starts_with('$') {
        return Some(ReasonCode::NotAuthorized);
    }
    (levels(topic) > config.max_topic_levels).then_some(ReasonCode::TopicNameInvalid)
}

/// An identifier for a client that sent none: unique in this process, and no other client's guess.
fn assigned_id() -> Arc<str> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| t.as_nanos());
    format!("auto-{nanos:x}-{}", COUNT.fetch_add(1, Relaxed)).into()
}
