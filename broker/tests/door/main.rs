//! The broker over real sockets: MQTT 3.1.1 and 5 clients on one port, some of them hostile.

mod acknowledgement;
mod clients;
mod fan_out;
mod harness;
mod hostile;
mod retained;
mod sessions;
mod slow;
mod wire;
