//! How the box is, for the city: disk, temperature, plugins, warnings.

use std::fs;
use std::path::Path;

use quartier_twin::node::Handles;
use quartier_twin::uplink::{Health, PluginHealth};
use rustix::fs::statvfs;

/// Temperatures of Linux, thousandths of a degree Celsius.
const SENSOR: &str = "/sys/class/thermal/thermal_zone0/temp";

/// As of now. Reads small files of the kernel.
pub(crate) fn health(handles: &Handles, data: &Path) -> Health {
    let status = &handles.status;
    let journal = status.journal.stats();
    let (free, size) = disk(data);
    Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: status.started.elapsed().as_secs(),
        journal_bytes: journal.bytes,
        journal_quota_bytes: journal.quota,
        disk_free_bytes: free,
        disk_bytes: size,
        temperature_c: temperature(),
        time_known: status.clock.report().known.is_some(),
        plugins: plugins(handles),
        warnings: status.online().warnings,
    }
}

fn plugins(handles: &Handles) -> Vec<PluginHealth> {
    let running = (handles.status.plugins)();
    let twin = handles.status.twin.read();
    let quarantined = |plugin: &str| {
        let mut same = running.iter().filter(|stats| stats.plugin == plugin);
        same.any(|stats| stats.quarantined)
    };
    let health = |deployment: &quartier_twin::state::Deployment| PluginHealth {
        plugin: deployment.record.plugin.clone(),
        version: deployment.record.version.clone(),
        stage: deployment.record.stage,
        quarantined: quarantined(&deployment.record.plugin),
    };
    twin.deployments().map(health).collect()
}

/// Free bytes and size of the file system; zeros where it does not say.
fn disk(data: &Path) -> (u64, u64) {
    statvfs(data).map_or((0, 0), |disk| {
        (
            disk.f_bavail.saturating_mul(disk.f_frsize),
            disk.f_blocks.saturating_mul(disk.f_frsize),
        )
    })
}

fn temperature() -> Option<f64> {
    let text = fs::read_to_string(SENSOR).ok()?;
    let thousandths: f64 = text.trim().parse().ok()?;
    Some(thousandths / 1000.0)
}
