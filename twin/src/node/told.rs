//! How far the twin's topics have reached their subscribers: a cursor like that of every other
//! output. What follows from entries behind it is told again after a crash, so that a subscriber
//! with a session that is kept gets every message at least once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::engine::TOPICS_CURSOR;
use crate::status::Status;
use crate::store::Store;

const EVERY: Duration = Duration::from_secs(1);
/// For messages to reach their subscribers' sessions and, with these, the disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Moves the cursor until `closed` is true.
pub(super) async fn follow(
    status: Arc<Status>,
    store: Arc<Store>,
    mut closed: watch::Receiver<bool>,
) {
    let mut timer = interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = 0;
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            _ = closed.wait_for(|closed| *closed) => return,
        }
        let position = *status.folded.borrow();
        if position > last && tell(&status, &store, position, PATIENCE).await {
            last = position;
        }
    }
}

/// Sets the cursor to `position` once everything published so far has arrived; false when it has
/// not in time.
pub(super) async fn tell(
    status: &Arc<Status>,
    store: &Arc<Store>,
    position: u64,
    patience: Duration,
) -> bool {
    if timeout(patience, status.mqtt.settled()).await.is_err() {
        return false;
    }
    let store = Arc::clone(store);
    match spawn_blocking(move || store.set_cursor(TOPICS_CURSOR, position)).await {
        Ok(Ok(())) => true,
        failed => {
            tracing::error!(?failed, "the cursor of the twin's topics was not kept");
            false
        }
    }
}
