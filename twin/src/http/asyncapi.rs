//! `/asyncapi.json`: the topics of the node as an AsyncAPI 3 document, made of the table of topics
//! and of the types that make the payloads.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::Api;
use crate::access::BUILT_IN;
use crate::external::Address;
use crate::status::NodeStatus;
use crate::topics::{
    Action, AlertPayload, CellPayload, CommandPayload, DecisionPayload, PARAMETERS, Payload,
    TOPICS, Topic, ValuePayload,
};

/// Where clients connect.
#[derive(Debug, Clone)]
pub enum Entrances {
    /// To the embedded broker; `ws` tells whether the HTTP port takes WebSockets.
    Embedded {
        /// 3.1.1 and 5.
        mqtt: SocketAddr,
        /// The same over TLS.
        mqtts: Option<SocketAddr>,
        /// `/mqtt` of HTTP.
        ws: SocketAddr,
        /// `/mqtt` of HTTP over TLS.
        wss: Option<SocketAddr>,
    },
    /// To another broker.
    External(Address),
}

/// The topics of this node: AsyncAPI 3.
#[utoipa::path(get, path = "/asyncapi.json", responses((status = 200, body = Value)))]
pub(super) async fn asyncapi(State(api): State<Api>, headers: HeaderMap) -> Json<Value> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    Json(document(&api.entrances, host))
}

/// `host`: by which name the client found the node, where it said so.
pub(super) fn document(entrances: &Entrances, host: Option<&str>) -> Value {
    let mut channels = Map::new();
    let mut operations = Map::new();
    for topic in &TOPICS {
        channels.insert(topic.id.to_owned(), channel(topic));
        let action = match topic.action {
            Action::Receive => "receive",
            Action::Send => "send",
        };
        operations.insert(format!("{action}-{}", topic.id), operation(topic, action));
    }
    let parameters: Map<_, _> = PARAMETERS
        .iter()
        .map(|(name, text)| ((*name).to_owned(), json!({ "description": text })))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Quartier",
            "version": env!("CARGO_PKG_VERSION"),
            "description": description(),
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": servers(entrances, host),
        "channels": channels,
        "operations": operations,
        "components": {
            "parameters": parameters,
            "messages": messages(),
            "schemas": schemas(),
            "securitySchemes": {
                "password": {
                    "type": "userPassword",
                    "description": "User name, and a password or a token from `quartier token`.",
                },
                "certificate": {
                    "type": "X509",
                    "description": "Client certificate whose common name is the user.",
                },
            },
        },
    })
}

fn description() -> String {
    let mut text = String::from(INTRODUCTION);
    for rule in BUILT_IN {
        let (role, action, filter) = (rule.role, rule.action.as_str(), rule.filter);
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n| {role} | {action} | `{filter}` | {} |",
            rule.reason
        );
    }
    text
}

const INTRODUCTION: &str = "Digital twins of city quarters over MQTT 3.1.1 and 5. Messages may \
    come twice (QoS 1): `time` and `rev` tell.\n\nWhat a client may do follows from the roles of \
    its user, and everything else is refused. These are the rights without rules of the node's \
    own; `{quarter}` and `{asset}` are those of the user.\n\n| role | may | topics | for |\n\
    |---|---|---|---|";

fn channel(topic: &Topic) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    let parameters: Map<_, _> = levels(topic.address)
        .map(|name| (name.to_owned(), reference(name)))
        .collect();
    let name = message_name(topic.payload);
    let message = json!({ "$ref": format!("#/components/messages/{name}") });
    json!({
        "address": topic.address,
        "description": topic.text,
        "parameters": parameters,
        "messages": { name: message },
    })
}

/// Names in braces.
fn levels(address: &str) -> impl Iterator<Item = &str> {
    let braced = address.split('/').filter(|level| level.starts_with('{'));
    braced.map(|level| level.trim_matches(['{', '}']))
}

fn operation(topic: &Topic, action: &str) -> Value {
    let name = message_name(topic.payload);
    json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{}", topic.id) },
        "messages": [{ "$ref": format!("#/channels/{}/messages/{name}", topic.id) }],
        "bindings": { "mqtt": { "qos": 1, "retain": topic.retained, "bindingVersion": "0.2.0" } },
    })
}

fn message_name(payload: Payload) -> &'static str {
    match payload {
        Payload::Readings => "Readings",
        Payload::Reading => "Reading",
        Payload::Value => "Value",
        Payload::Cell => "Cell",
        Payload::Alert => "Alert",
        Payload::Command => "Command",
        Payload::Decision => "DecisionRecord",
        Payload::Status => "NodeStatus",
        Payload::Cursor => "Cursor",
        Payload::Order => "Order",
        Payload::Binary => "Binary",
    }
}

fn messages() -> Map<String, Value> {
    let message = |topic: &Topic| {
        let name = message_name(topic.payload);
        let schema = format!("#/components/schemas/{name}");
        let content_type = match topic.payload {
            Payload::Binary => "application/octet-stream",
            _ => "application/json",
        };
        let message = json!({
            "contentType": content_type,
            "payload": { "$ref": schema },
        });
        (name.to_owned(), message)
    };
    TOPICS.iter().map(message).collect()
}

fn schemas() -> Map<String, Value> {
    let mut of_types = Vec::new();
    add::<ValuePayload<'_>>(&mut of_types);
    add::<CellPayload>(&mut of_types);
    add::<AlertPayload<'_>>(&mut of_types);
    add::<CommandPayload<'_>>(&mut of_types);
    add::<DecisionPayload<'_>>(&mut of_types);
    add::<NodeStatus>(&mut of_types);
    let mut schemas: Map<_, _> = of_types
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
        .collect();
    let number = json!({ "type": ["number", "boolean", "string"] });
    let time = json!({
        "description": "RFC 3339, or seconds since 1970; without one, the time of arrival.",
        "type": ["string", "number"],
    });
    // What is within is for boxes and their city, which are of one version.
    for name in ["Cursor", "Order"] {
        schemas.insert(name.to_owned(), json!({ "type": "object" }));
    }
    schemas.insert(
        "Binary".to_owned(),
        json!({ "type": "string", "format": "binary" }),
    );
    schemas.insert("Reading".to_owned(), reading(&number, &time));
    schemas.insert("Readings".to_owned(), readings(&time));
    schemas
}

type Named = Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>;

fn add<T: ToSchema + PartialSchema>(schemas: &mut Named) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

fn reading(number: &Value, time: &Value) -> Value {
    let unit = json!({ "type": "string", "description": "Converted to the metric's unit." });
    let object = |value: &str, time_key: &str, unit_key: &str| {
        json!({
            "type": "object",
            "required": [value],
            "properties": { value: number, time_key: time, unit_key: unit },
        })
    };
    json!({
        "description": "A number, or an object with one. A number may be sent as text.",
        "anyOf": [number, object("value", "time", "unit"), object("v", "t", "u")],
    })
}

fn readings(time: &Value) -> Value {
    json!({
        "anyOf": [
            {
                "description": "SenML JSON, RFC 8428.",
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "bn": { "type": "string" },
                        "bt": { "type": "number" },
                        "bu": { "type": "string" },
                        "bv": { "type": "number" },
                        "n": { "type": "string" },
                        "u": { "type": "string" },
                        "v": { "type": "number" },
                        "vb": { "type": "boolean" },
                        "vs": { "type": "string" },
                        "t": { "type": "number" },
                    },
                },
            },
            {
                "description": "One member a metric; `lat` and `lon` (WGS 84 degrees) place the \
                    asset, `t` is the time of all values without one of their own.",
                "type": "object",
                "properties": {
                    "lat": { "type": "number" },
                    "lon": { "type": "number" },
                    "t": time,
                },
                "additionalProperties": { "$ref": "#/components/schemas/Reading" },
                "examples": [{ "temperature": 21.5, "active_power": { "v": 3.2, "u": "kW" } }],
            },
        ],
        "description": format!("At most {} bytes.", crate::decode::MAX_PAYLOAD),
        "examples": [[{ "n": "temperature", "u": "Cel", "v": 21.5 }]],
    })
}

fn servers(entrances: &Entrances, host: Option<&str>) -> Map<String, Value> {
    let security = json!([
        { "$ref": "#/components/securitySchemes/password" },
        { "$ref": "#/components/securitySchemes/certificate" },
    ]);
    let server = |protocol: &str, host: String| {
        let mut server = json!({
            "host": host,
            "protocol": protocol,
            "protocolVersion": "5.0",
            "description": "MQTT 3.1.1 and 5.0",
            "security": security,
        });
        if protocol.starts_with("ws") {
            server["pathname"] = "/mqtt".into();
        }
        (protocol.to_owned(), server)
    };
    match entrances {
        Entrances::External(address) => {
            let protocol = if address.is_tls() { "mqtts" } else { "mqtt" };
            Map::from_iter([server(protocol, address.to_string())])
        }
        Entrances::Embedded {
            mqtt,
            mqtts,
            ws,
            wss,
        } => {
            let all = [
                ("mqtt", Some(*mqtt)),
                ("mqtts", *mqtts),
                ("ws", Some(*ws)),
                ("wss", *wss),
            ];
            let known = all
                .into_iter()
                .filter_map(|(p, address)| Some((p, address?)));
            known
                .map(|(p, address)| server(p, as_seen(address, host)))
                .collect()
        }
    }
}

/// The address as the client can reach it: by the name it used for this request, which must look
/// like one, where the node listens on all its addresses.
fn as_seen(address: SocketAddr, host: Option<&str>) -> String {
    let name = host.map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    });
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'[' | b']');
    let name = name.filter(|name| !name.is_empty() && name.bytes().all(plain));
    match name {
        Some(name) if address.ip().is_unspecified() => format!("{name}:{}", address.port()),
        _ => address.to_string(),
    }
}
