//! MQTT 3.1.1 and 5 packets over borrowed bytes: no I/O, no clock, no session state.
//!
//! Bytes become packets in two steps: [`frame`] cuts one complete packet from the front of a read
//! buffer, then [`decode_connect`] (the first packet of a connection) or [`decode`] (every later
//! one) reads it. What a packet borrows lives as long as the buffer; PUBLISH and acknowledgements
//! allocate nothing. What the server sends is appended to any [`bytes::BufMut`].
//!
//! Invariant: a packet that comes out of here has everything that MQTT asks of a packet by itself
//! (flags, UTF-8, packet identifiers, properties, topics, filters, no bytes left over). What
//! depends on the session (a topic alias in range, receive maximum, an unexpected
//! acknowledgement) is for the caller.

mod connect;
mod decode;
mod encode;
mod frame;
mod packet;
mod property;
mod publish_properties;
mod read;
mod reason;
mod topic;

#[cfg(test)]
mod tests;

pub(crate) use connect::{Refusal, decode_connect};
pub(crate) use decode::decode;
pub(crate) use encode::{
    AckKind, ConnAck, ConnAckProperties, Delivery, encode_ack, encode_disconnect, encode_ping_resp,
    encode_sub_ack, encode_unsub_ack,
};
pub(crate) use frame::frame;
pub(crate) use packet::{
    Ack, Connect, Disconnect, Filter, Packet, Publish, QoS, RetainHandling, Subscribe, Unsubscribe,
    Version, Will,
};
pub(crate) use reason::{Malformed, ReasonCode};
pub(crate) use topic::{covers, matches, overlap, shared, valid_filter, valid_topic};
