//! Packets as text, the same for our reading and for rumqttc's.

use std::fmt::Debug;

use super::super::*;
use bytes::{Bytes, BytesMut};
use rumqttc::{
    mqttbytes::v4::{self, Packet as P4},
    v5::mqttbytes::v5::{self, Packet as P5},
};

type Text = Option<String>;

/// A message: flags, packet identifier, topic, payload and properties.
fn message(flags: (bool, u8, bool), pkid: u16, topic: &[u8], payload: &[u8], more: &str) -> String {
    format!("PUBLISH {flags:?} {pkid} {topic:02x?} {payload:02x?} {more}")
}

fn acked(name: &str, pkid: u16, reason: &str) -> String {
    format!("{name} {pkid} {reason}")
}

fn debug(value: impl Debug) -> String {
    format!("{value:?}")
}

/// The properties that a PUBLISH and a will have in common.
type Common = (
    Option<u8>,
    Option<u32>,
    Text,
    Text,
    Option<Bytes>,
    Vec<(String, String)>,
);

fn of_publish(properties: Option<v5::PublishProperties>) -> Common {
    let p = properties.unwrap_or_default();
    (
        p.payload_format_indicator,
        p.message_expiry_interval,
        p.content_type,
        p.response_topic,
        p.correlation_data,
        p.user_properties,
    )
}

/// Our properties by way of what a subscriber gets of them, read by rumqttc.
fn forwarded(properties: &PublishProperties<'_>) -> Common {
    let forward = properties.forwarded();
    let delivery = Delivery {
        topic: "a",
        forward: &forward,
        message_expiry: properties.message_expiry,
        ..Delivery::default()
    };
    let mut out = BytesMut::new();
    delivery.encode(Version::V5, &mut out).unwrap();
    match v5::Packet::read(&mut out, None) {
        Ok(P5::Publish(publish)) => of_publish(publish.properties),
        other => panic!("{other:?}"),
    }
}

fn will_text(qos: u8, retain: bool, topic: &[u8], payload: &[u8], delay: u32, p: Common) -> String {
    format!("will {qos} {retain} {topic:02x?} {payload:02x?} {delay} {p:?}")
}

struct Session<'a> {
    id: &'a str,
    clean: bool,
    keep_alive: u16,
    user: &'a str,
    password: &'a [u8],
    will: Text,
    /// Session expiry, receive maximum, packet size, alias maximum, response and problem
    /// information, authentication method and data.
    properties: String,
}

impl Session<'_> {
    fn text(&self) -> String {
        let Self {
            id,
            clean,
            keep_alive,
            user,
            password,
            will,
            properties,
        } = self;
        format!("CONNECT {id} {clean} {keep_alive} {user} {password:02x?} {will:?} {properties}")
    }
}

pub(super) fn connect(connect: &Connect<'_>) -> String {
    let will = connect.will.map(|will| {
        let properties = match connect.version {
            Version::V3 => of_publish(None),
            Version::V5 => forwarded(&will.properties),
        };
        let topic = will.topic.as_bytes();
        will_text(
            will.qos as u8,
            will.retain,
            topic,
            will.payload,
            will.delay,
            properties,
        )
    });
    let properties = match connect.version {
        Version::V3 => String::new(),
        Version::V5 => debug((
            (
                connect.session_expiry,
                connect.receive_maximum,
                connect.maximum_packet_size,
            ),
            (
                connect.topic_alias_maximum,
                connect.request_response_information,
            ),
            (
                connect.request_problem_information,
                connect.authentication_method,
            ),
            connect.authentication_data,
        )),
    };
    Session {
        id: connect.client_id,
        clean: connect.clean_start,
        keep_alive: connect.keep_alive,
        user: connect.user.unwrap_or_default(),
        password: connect.password.unwrap_or_default(),
        will,
        properties,
    }
    .text()
}

fn connect_v4(connect: &v4::Connect) -> String {
    let will = connect.last_will.as_ref().map(|will| {
        let (topic, qos) = (will.topic.as_bytes(), will.qos as u8);
        will_text(qos, will.retain, topic, &will.message, 0, of_publish(None))
    });
    let login = connect
        .login
        .clone()
        .unwrap_or_else(|| v4::Login::new("", ""));
    Session {
        id: &connect.client_id,
        clean: connect.clean_session,
        keep_alive: connect.keep_alive,
        user: &login.username,
        password: login.password.as_bytes(),
        will,
        properties: String::new(),
    }
    .text()
}

fn connect_v5(
    connect: &v5::Connect,
    will: Option<&v5::LastWill>,
    login: Option<&v5::Login>,
) -> String {
    let will = will.map(|will| {
        let p = will.properties.clone();
        let delay = p
            .as_ref()
            .and_then(|p| p.delay_interval)
            .unwrap_or_default();
        let common = p.map_or_else(
            || of_publish(None),
            |p| {
                (
                    p.payload_format_indicator,
                    p.message_expiry_interval,
                    p.content_type,
                    p.response_topic,
                    p.correlation_data,
                    p.user_properties,
                )
            },
        );
        will_text(
            will.qos as u8,
            will.retain,
            &will.topic,
            &will.message,
            delay,
            common,
        )
    });
    let login = login.cloned().unwrap_or_else(|| v5::Login::new("", ""));
    let p = connect.properties.clone().unwrap_or_default();
    let properties = debug((
        (
            p.session_expiry_interval.unwrap_or(0),
            p.receive_maximum.unwrap_or(u16::MAX),
            p.max_packet_size.unwrap_or(u32::MAX),
        ),
        (
            p.topic_alias_max.unwrap_or(0),
            p.request_response_info.unwrap_or(0) != 0,
        ),
        (
            p.request_problem_info.unwrap_or(1) != 0,
            p.authentication_method.as_deref(),
        ),
        p.authentication_data.as_deref(),
    ));
    Session {
        id: &connect.client_id,
        clean: connect.clean_start,
        keep_alive: connect.keep_alive,
        user: &login.username,
        password: login.password.as_bytes(),
        will,
        properties,
    }
    .text()
}

pub(super) fn packet(packet: &Packet<'_>, version: Version) -> String {
    // rumqttc names its reasons like MQTT names them, as we do, but for the success of DISCONNECT.
    let reason = |code: ReasonCode| debug(code);
    match packet {
        Packet::Publish(p) => {
            let flags = (p.dup, p.qos as u8, p.retain);
            let more = match version {
                Version::V3 => String::new(),
                Version::V5 => debug((forwarded(&p.properties), p.properties.topic_alias)),
            };
            message(flags, p.pkid, p.topic.as_bytes(), p.payload, &more)
        }
        Packet::PubAck(ack) => acked("PUBACK", ack.pkid, &reason(ack.reason)),
        Packet::PubRec(ack) => acked("PUBREC", ack.pkid, &reason(ack.reason)),
        Packet::PubRel(ack) => acked("PUBREL", ack.pkid, &reason(ack.reason)),
        Packet::PubComp(ack) => acked("PUBCOMP", ack.pkid, &reason(ack.reason)),
        Packet::Subscribe(s) => {
            let filters = s.filters.iter().map(|f| {
                let rule = f.retain_handling as u8;
                (
                    f.filter.to_owned(),
                    f.qos as u8,
                    f.no_local,
                    f.retain_as_published,
                    rule,
                )
            });
            subscribe(s.pkid, s.subscription_id, filters.collect())
        }
        Packet::Unsubscribe(u) => debug(("UNSUBSCRIBE", u.pkid, &u.filters)),
        Packet::PingReq => "PINGREQ".into(),
        Packet::Disconnect(d) => debug(("DISCONNECT", d.reason as u8, d.session_expiry)),
        Packet::Auth => "AUTH".into(),
    }
}

fn subscribe(pkid: u16, id: Option<u32>, filters: Vec<(String, u8, bool, bool, u8)>) -> String {
    debug(("SUBSCRIBE", pkid, id, filters))
}

pub(super) fn v4(packet: &P4) -> String {
    let success = "Success";
    match packet {
        P4::Connect(connect) => connect_v4(connect),
        P4::Publish(p) => {
            let flags = (p.dup, p.qos as u8, p.retain);
            message(flags, p.pkid, p.topic.as_bytes(), &p.payload, "")
        }
        P4::PubAck(ack) => acked("PUBACK", ack.pkid, success),
        P4::PubRec(ack) => acked("PUBREC", ack.pkid, success),
        P4::PubRel(ack) => acked("PUBREL", ack.pkid, success),
        P4::PubComp(ack) => acked("PUBCOMP", ack.pkid, success),
        P4::Subscribe(s) => {
            let filters = s
                .filters
                .iter()
                .map(|f| (f.path.clone(), f.qos as u8, false, false, 0));
            subscribe(s.pkid, None, filters.collect())
        }
        P4::Unsubscribe(u) => debug(("UNSUBSCRIBE", u.pkid, &u.topics)),
        P4::PingReq => "PINGREQ".into(),
        P4::Disconnect => debug(("DISCONNECT", 0, None::<u32>)),
        other => debug(other),
    }
}

pub(super) fn v5(packet: &P5) -> String {
    match packet {
        P5::Connect(connect, will, login) => connect_v5(connect, will.as_ref(), login.as_ref()),
        P5::Publish(p) => {
            let flags = (p.dup, p.qos as u8, p.retain);
            let alias = p.properties.as_ref().and_then(|p| p.topic_alias);
            let more = debug((of_publish(p.properties.clone()), alias));
            message(flags, p.pkid, &p.topic, &p.payload, &more)
        }
        P5::PubAck(ack) => acked("PUBACK", ack.pkid, &debug(ack.reason)),
        P5::PubRec(ack) => acked("PUBREC", ack.pkid, &debug(ack.reason)),
        P5::PubRel(ack) => acked("PUBREL", ack.pkid, &debug(ack.reason)),
        P5::PubComp(ack) => acked("PUBCOMP", ack.pkid, &debug(ack.reason)),
        P5::Subscribe(s) => {
            let id = s
                .properties
                .as_ref()
                .and_then(|p| p.id)
                .map(|id| u32::try_from(id).unwrap());
            let filters = s.filters.iter().map(|f| {
                let rule = match f.retain_forward_rule {
                    v5::RetainForwardRule::OnEverySubscribe => 0,
                    v5::RetainForwardRule::OnNewSubscribe => 1,
                    v5::RetainForwardRule::Never => 2,
                };
                (
                    f.path.clone(),
                    f.qos as u8,
                    f.nolocal,
                    f.preserve_retain,
                    rule,
                )
            });
            subscribe(s.pkid, id, filters.collect())
        }
        P5::Unsubscribe(u) => debug(("UNSUBSCRIBE", u.pkid, &u.filters)),
        P5::PingReq(_) => "PINGREQ".into(),
        P5::Disconnect(d) => {
            let expiry = d
                .properties
                .as_ref()
                .and_then(|p| p.session_expiry_interval);
            debug(("DISCONNECT", d.reason_code as u8, expiry))
        }
        other => debug(other),
    }
}
