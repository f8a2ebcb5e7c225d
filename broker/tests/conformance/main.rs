//! The broker against the normative statements of MQTT 5 and 3.1.1, at the socket.
//!
//! A test is named by the statement of MQTT 5 that it is about (`mqtt_3_3_1_8_..` is
//! [MQTT-3.3.1-8]) and speaks both versions wherever 3.1.1 says the same. `statements.md` lists
//! every statement with its number in 3.1.1 and its test, or why there is none; [`statements`]
//! keeps that list true.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod client;
mod connack;
mod connect;
mod disconnect;
mod encoding;
mod flow;
#[path = "../door/harness.rs"]
#[allow(dead_code, reason = "the tests of the door use what these do not")]
mod harness;
mod properties;
mod publish;
mod qos;
mod retain;
mod session;
mod shared;
mod statements;
mod subscribe;
mod topics;
mod unsubscribe;
mod will;
#[path = "../door/wire.rs"]
#[allow(dead_code, reason = "the tests of the door use what these do not")]
mod wire;
