//! A package on its way: `DATA/incoming/{digests}.part`, made longer chunk by chunk. It goes on
//! where it stopped, after a crash too: its length says which chunk is next. What is in it counts
//! only once its digests and signature are right.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use quartier_plugin_host::Package;
use quartier_twin::edges::packages::{CHUNK, decode, name};
use quartier_twin::event::{DeployOrder, PluginRecord};
use tokio::task::block_in_place;

use super::Not;
use crate::uplink::Incoming;

/// A component, a manifest and what is around them.
const MOST: u64 = (Package::MAX_COMPONENT + Package::MAX_MANIFEST + 4096) as u64;

fn path(folder: &Path, record: &PluginRecord) -> PathBuf {
    folder.join(format!("{}.part", name(record)))
}

/// Gets the package of an order.
pub(super) async fn fetch(
    folder: &Path,
    order: &DeployOrder,
    incoming: &Incoming,
) -> Result<Package, Not> {
    if order.bytes > MOST {
        return Err(Not::Refused(format!(
            "the package has {} bytes, and {MOST} is the most",
            order.bytes
        )));
    }
    let record = &order.deployed.record;
    let (name, path) = (name(record), path(folder, record));
    let failed = |error: io::Error| Not::Refused(format!("{}: {error}", path.display()));
    let (mut file, mut length) = block_in_place(|| open(folder, &path)).map_err(failed)?;
    while length < order.bytes {
        let number = length / CHUNK as u64;
        let chunk = incoming.ask(&format!("package/{name}/{number}")).await?;
        let left = order.bytes - length;
        if chunk.len() as u64 != left.min(CHUNK as u64) {
            forget(folder, record);
            return Err(Not::Refused(format!(
                "chunk {number} of the package has {} bytes",
                chunk.len()
            )));
        }
        block_in_place(|| file.write_all(&chunk)).map_err(failed)?;
        length += chunk.len() as u64;
        metrics::counter!("quartier_package_chunks_total").increment(1);
    }
    let bytes = block_in_place(|| fs::read(&path)).map_err(failed)?;
    decode(&bytes).map_err(|error| {
        forget(folder, record);
        Not::Refused(format!("the package is not understood: {error}"))
    })
}

/// The file with all its whole chunks; half of one, which a crash may leave, is cut off.
fn open(folder: &Path, path: &Path) -> io::Result<(File, u64)> {
    fs::create_dir_all(folder)?;
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    let whole = length - length % CHUNK as u64;
    file.set_len(whole)?;
    Ok((file, whole))
}

/// Removes what is there of a package.
pub(super) fn forget(folder: &Path, record: &PluginRecord) {
    // It may never have been there.
    let _ = fs::remove_file(path(folder, record));
}
