//! A message for one client, and the terms on which it is delivered.

use std::sync::Arc;

use crate::WhenFull;
use crate::codec::QoS;
use crate::envelope::Envelope;

/// Subscription identifiers, each 1 to 268,435,455.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Ids {
    #[default]
    None,
    One(u32),
    Many(Box<[u32]>),
}

impl Ids {
    /// Of identifiers where 0 stands for none.
    pub(crate) fn of(ids: impl IntoIterator<Item = u32>) -> Self {
        let mut ids = ids.into_iter().filter(|id| *id != 0);
        match (ids.next(), ids.next()) {
            (None, _) => Self::None,
            (Some(id), None) => Self::One(id),
            (Some(one), Some(two)) => Self::Many([one, two].into_iter().chain(ids).collect()),
        }
    }

    /// All of them.
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// A message for one client, with the subscription's terms applied.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    pub(crate) message: Envelope,
    /// The lower one of publish and subscription.
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// It was queued before the broker started, and may have been sent then.
    pub(crate) again: bool,
    pub(crate) ids: Ids,
    /// Place among the session's messages, from 1; 0 for QoS 0 and what is not queued yet.
    pub(crate) sequence: u64,
    /// The keeper's round that has it; 0 where the session is not kept.
    pub(crate) round: u64,
    /// The whole filter of the shared subscription that it comes from.
    pub(crate) share: Option<Arc<str>>,
}

impl Out {
    /// A message to be queued.
    pub(crate) fn new(message: Envelope, qos: QoS, retain: bool, ids: Ids) -> Self {
        Self {
            message,
            qos,
            retain,
            again: false,
            ids,
            sequence: 0,
            round: 0,
            share: None,
        }
    }
}

/// The terms of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// 0 for none.
    pub(crate) subscription_id: u32,
}

impl Terms {
    /// The message as this subscription delivers it to session `number`.
    pub(crate) fn apply(&self, message: &Envelope, number: u64) -> Option<Out> {
        (!self.no_local || message.origin() != number).then(|| {
            Out::new(
                message.clone(),
                self.qos.min(message.qos()),
                self.retain_as_published && message.retain(),
                Ids::of([self.subscription_id]),
            )
        })
    }
}

/// How much may wait for one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimit {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) when_full: WhenFull,
}
