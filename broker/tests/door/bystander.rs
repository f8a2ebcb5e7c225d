//! An innocent client beside an attack: it talks to itself, and must notice nothing.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::harness::{Door, soon};
use crate::wire::{Connect, Wire};

/// A running bystander.
pub(crate) struct Bystander {
    stop: oneshot::Sender<()>,
    rounds: JoinHandle<usize>,
}

impl Bystander {
    /// Two clients on the door, one of each version, that send each other QoS 1 messages by a
    /// wildcard and by an exact filter.
    pub(crate) async fn at(door: &Door) -> Self {
        let mut old = Wire::join(door.port, Connect::v3("bystander-old")).await;
        let mut new = Wire::join(door.port, Connect::v5("bystander-new").lasting()).await;
        old.subscribe(1, "by/old/+", 1).await;
        new.subscribe(1, "by/new/x", 1).await;
        let (stop, mut stopped) = oneshot::channel();
        let rounds = tokio::spawn(async move {
            let mut round = 0;
            loop {
                exchange(&mut new, &mut old, "by/old/x", round).await;
                exchange(&mut old, &mut new, "by/new/x", round).await;
                round += 1;
                if stopped.try_recv().is_ok() {
                    old.leave().await;
                    new.leave().await;
                    return round;
                }
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
        Self { stop, rounds }
    }

    /// Ends; all its messages arrived, in time and in order, on its first connections.
    pub(crate) async fn noticed_nothing(self) {
        self.stop.send(()).expect("the bystander failed");
        let rounds = soon("the bystander", self.rounds).await.unwrap();
        assert!(rounds > 0);
    }
}

async fn exchange(from: &mut Wire, to: &mut Wire, topic: &str, round: usize) {
    from.publish(topic, &round.to_string(), 1, 1).await;
    from.expect(0x40, &[0, 1]).await;
    let got = to.message().await;
    assert_eq!(
        (got.payload, got.qos, got.dup),
        (round.to_string(), 1, false)
    );
    to.ack(0x40, got.pkid).await;
}
