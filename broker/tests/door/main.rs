//! The broker over real sockets: MQTT 3.1.1 and 5 clients on one port, some of them hostile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod acknowledgement;
mod attacks;
mod authority;
mod bystander;
mod clients;
mod exactly_once;
mod fan_out;
mod harness;
mod hostile;
mod restart;
mod retained;
mod rights;
mod sessions;
mod shared;
mod slow;
mod streams;
mod sys;
mod tls;
mod wills;
mod wire;
