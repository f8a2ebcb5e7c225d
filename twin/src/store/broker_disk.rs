//! What the broker keeps across restarts: sessions, what waits for them, retained messages.

use fjall::PersistMode;
use quartier_broker::{Changes, Disk, DiskFailed};

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

fn failed(error: StoreError) -> DiskFailed {
    tracing::error!(%error, "the broker's state");
    DiskFailed
}
