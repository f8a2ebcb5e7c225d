//! What the broker keeps across restarts: sessions, what waits for them, retained messages.

use fjall::{Database, Keyspace, PersistMode};
use quartier_broker::{Changes, Disk, DiskFailed, Message, retained_entry};

use super::{Store, StoreError};

impl Disk for Store {
    fn read(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), DiskFailed> {
        for guard in self.broker.iter() {
            let (key, value) = guard
                .into_inner()
                .map_err(|error| failed(StoreError::on("read the broker's state")(error)))?;
            each(&key, &value);
        }
        Ok(())
    }

    fn write(&self, changes: Changes) -> Result<(), DiskFailed> {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&self.broker, key, value),
                None => batch.remove(&self.broker, key),
            }
        }
        batch
            .commit()
            .map_err(|error| failed(StoreError::on("write the broker's state")(error)))
    }
}

/// Moves the retained messages of an earlier version to where the broker looks for them.
pub(super) fn take_over(
    database: &Database,
    old: Keyspace,
    broker: &Keyspace,
) -> Result<(), StoreError> {
    let mut batch = database.batch().durability(Some(PersistMode::SyncData));
    for guard in old.iter() {
        let (topic, payload) = guard
            .into_inner()
            .map_err(StoreError::on("read retained messages"))?;
        let (key, value) = retained_entry(&Message {
            topic: String::from_utf8_lossy(&topic).into_owned(),
            payload: payload.to_vec().into(),
            retain: true,
        });
        batch.insert(broker, key, value);
    }
    batch
        .commit()
        .and_then(|()| database.delete_keyspace(old))
        .map_err(StoreError::on("move retained messages"))
}

fn failed(error: StoreError) -> DiskFailed {
    tracing::error!(%error, "the broker's state");
    DiskFailed
}
