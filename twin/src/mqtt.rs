//! The node's way to its clients: the embedded broker, or one elsewhere.

use std::sync::Arc;
use std::time::Duration;

use quartier_broker::{Broker, Message};

use crate::external::External;

/// Where twin topics go and telemetry comes from.
#[derive(Clone)]
pub enum Mqtt {
    /// The broker of this process.
    Embedded(Arc<Broker>),
    /// `[mqtt] external`.
    External(Arc<External>),
}

impl Mqtt {
    /// Whether anybody may want topics whose first level is `first_level`. Of another broker's
    /// subscribers nothing is known.
    pub fn anyone_for(&self, first_level: &str) -> bool {
        match self {
            Self::Embedded(broker) => broker.publisher().anyone_for(first_level),
            Self::External(_) => true,
        }
    }

    /// Publishes in order at QoS 1. With the embedded broker it may wait for subscribers; not for
    /// an async worker.
    pub fn publish(&self, batch: Vec<Message>) {
        match self {
            Self::Embedded(broker) => broker.publisher().publish(batch),
            Self::External(external) => external.outbox().publish(batch),
        }
    }

    /// Returns when what was published before has reached its subscribers' sessions, or the broker
    /// elsewhere.
    pub async fn settled(&self) {
        match self {
            Self::Embedded(broker) => broker.settled().await,
            Self::External(external) => external.outbox().settled().await,
        }
    }

    /// Lets clients go, within `deadline`. The external broker keeps its clients, and the node's
    /// connection to it is an output that ends with the others.
    pub async fn let_go(&self, deadline: Duration) {
        match self {
            Self::Embedded(broker) => broker.let_go(deadline).await,
            Self::External(_) => {}
        }
    }

    /// Puts on disk what must survive, within `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        match self {
            Self::Embedded(broker) => broker.shutdown(deadline).await,
            Self::External(_) => {}
        }
    }
}
