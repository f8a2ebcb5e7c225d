//! What the city says on one connection: its cursor, orders, chunks that were asked for.

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use quartier_twin::event::{EdgeOrdered, Lane};
use quartier_twin::uplink::{Cursor, DOWNLINK};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex as TaskMutex, oneshot, watch};

/// See the module.
pub(crate) struct Incoming {
    /// `downlink/v1/{node}/`.
    prefix: String,
    client: AsyncClient,
    cursor: watch::Sender<Option<Cursor>>,
    plugins: Queue,
    wishes: Queue,
    chunks: Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
}

/// An order with its number, or why it is none that this version understands.
pub(crate) type Numbered = (u64, Result<EdgeOrdered, String>);

/// Orders of a lane; bounded by what the city keeps for one box.
struct Queue {
    came: UnboundedSender<Numbered>,
    next: TaskMutex<UnboundedReceiver<Numbered>>,
}

impl Queue {
    fn new() -> Self {
        let (came, next) = unbounded_channel();
        Self {
            came,
            next: TaskMutex::new(next),
        }
    }
}

/// The connection ended before the answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the city ended")]
pub(crate) struct Lost;

impl Incoming {
    pub(super) fn new(node: &str, client: AsyncClient) -> Self {
        Self {
            prefix: format!("{DOWNLINK}{node}/"),
            client,
            cursor: watch::Sender::new(None),
            plugins: Queue::new(),
            wishes: Queue::new(),
            chunks: Mutex::default(),
        }
    }

    /// What the city says of its cursor.
    pub(super) fn cursor(&self) -> watch::Receiver<Option<Cursor>> {
        self.cursor.subscribe()
    }

    /// The next order of a lane, as it comes; one may come twice.
    pub(crate) async fn order(&self, lane: Lane) -> Option<Numbered> {
        self.queue(lane).next.lock().await.recv().await
    }

    fn queue(&self, lane: Lane) -> &Queue {
        match lane {
            Lane::Plugins => &self.plugins,
            Lane::Wishes => &self.wishes,
        }
    }

    /// What is retained at `downlink/v1/{node}/{topic}`: subscribing is asking.
    ///
    /// # Errors
    /// The connection ended.
    pub(crate) async fn ask(&self, topic: &str) -> Result<Bytes, Lost> {
        let (answer, answered) = oneshot::channel();
        self.chunks.lock().insert(topic.to_owned(), answer);
        let full = format!("{}{topic}", self.prefix);
        let asked = self.client.subscribe(&full, QoS::AtLeastOnce).await;
        asked.map_err(|_| Lost)?;
        let answer = answered.await.map_err(|_| Lost)?;
        self.client.unsubscribe(full).await.map_err(|_| Lost)?;
        Ok(answer)
    }

    /// A message of the city.
    pub(super) fn take(&self, publish: &Publish) {
        let topic = std::str::from_utf8(&publish.topic).unwrap_or_default();
        let Some(rest) = topic.strip_prefix(&self.prefix) else {
            return;
        };
        if rest == "cursor" {
            match serde_json::from_slice(&publish.payload) {
                Ok(cursor) => {
                    self.cursor.send_replace(Some(cursor));
                }
                Err(error) => tracing::error!(%error, topic, "the city's cursor is not understood"),
            }
        } else if let Some(number) = rest.strip_prefix("order/") {
            self.ordered(number, &publish.payload);
        } else if let Some(answer) = self.chunks.lock().remove(rest) {
            let _ = answer.send(publish.payload.clone());
        }
    }

    fn ordered(&self, number: &str, payload: &[u8]) {
        // Empty: it was taken.
        if payload.is_empty() {
            return;
        }
        let number = match number.parse() {
            Ok(number) => number,
            Err(error) => {
                tracing::error!(%error, number, "an order has no number");
                return;
            }
        };
        let order = serde_json::from_slice::<EdgeOrdered>(payload);
        let order = order.map_err(|error| format!("not understood by this version: {error}"));
        let lane = order
            .as_ref()
            .map_or(Lane::Wishes, |ordered| ordered.order.lane());
        // Both ends are this value's own.
        let _ = self.queue(lane).came.send((number, order));
    }
}
