//! Takes back a version that faults more than the one before.
//!
//! The share of failed batches of the version that runs is held against that of the version before
//! it, by the audit: what was decided, not what a thread counts, so that a restart changes nothing.
//! A version that came back by a rollback is not taken back again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Deployer, Request};
use crate::event::How;
use crate::state::{AlertKey, Deployment, Faults, QUARANTINE_RULE, Twin};
use crate::status::Status;

const EVERY: Duration = Duration::from_secs(1);
/// Batches of a version before it is judged.
const LEAST: u64 = 20;
/// User in whose name it is done.
const GUARD: &str = "guard";

/// Looks once a second until `closed` is true.
pub async fn guard(
    status: Arc<Status>,
    deployer: Arc<Deployer>,
    mut closed: watch::Receiver<bool>,
) {
    let mut timer = interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            _ = closed.wait_for(|closed| *closed) => return,
        }
        let worse = worse(&status.twin.read());
        for (quarter, plugin, why) in worse {
            tracing::warn!(quarter, plugin, why, "a version is taken back");
            let request = Request {
                quarter,
                by: GUARD.to_owned(),
                why,
            };
            if let Err(error) = deployer.rollback(&plugin, request).await {
                tracing::error!(plugin, %error, "the version before cannot be brought back");
            }
        }
    }
}

/// Quarter and plugin of versions that fault more than those before, and why that is said.
fn worse(twin: &Twin) -> Vec<(String, String, String)> {
    let judged = twin.deployments().filter(|d| d.record.stage.acts());
    judged
        .filter_map(|deployment| judge(twin, deployment))
        .collect()
}

fn judge(twin: &Twin, deployment: &Deployment) -> Option<(String, String, String)> {
    let record = &deployment.record;
    let past = twin.past(&record.quarter, &record.plugin)?;
    let last = past.changes.last()?;
    let before = past.history.last()?;
    if last.how == Some(How::Rollback) || before.version == record.version {
        return None;
    }
    let (new, old) = (past.faults(&record.version), past.faults(&before.version));
    let enough = new.batches >= LEAST || (new.failed > 0 && is_quarantined(twin, deployment));
    // failed / batches of both, without a division.
    let more = new.failed * old.batches.max(1) > old.failed * new.batches;
    (enough && more).then(|| {
        let why = format!(
            "{} failed {}, {} before it {}",
            record.version,
            share(new),
            before.version,
            share(old)
        );
        (record.quarter.clone(), record.plugin.clone(), why)
    })
}

fn is_quarantined(twin: &Twin, deployment: &Deployment) -> bool {
    let record = &deployment.record;
    let key = AlertKey {
        quarter: record.quarter.clone(),
        rule: QUARANTINE_RULE.to_owned(),
        asset: record.plugin.clone(),
    };
    twin.alerts().contains_key(&key)
}

fn share(faults: Faults) -> String {
    format!("{} of {} batches", faults.failed, faults.batches)
}
