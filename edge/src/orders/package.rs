//! A package on its way: `DATA/incoming/{digests}.part`, made longer chunk by chunk. It goes on
//! where it stopped, after a crash too: its length says which chunk is next. What is in it counts
//! only once its digests and signature are right.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use quartier_plugin_host::Package;
use quartier_twin::edges::packages::{CHUNK, decode, name};
use quartier_twin::event::{DeployOrder, PluginRecord};
use tokio::task::block_in_place;

use super::Not;
use crate::uplink::{Incoming, Lost};

/// A component, a manifest and what is around them.
const MOST: u64 = (Package::MAX_COMPONENT + Package::MAX_MANIFEST + 4096) as u64;

fn path(folder: &Path, record: &PluginRecord) -> PathBuf {
    folder.join(format!("{}.part", name(record)))
}

/// Who has what is at a topic of the city.
pub(super) trait Source: Sync {
    /// What is there.
    fn ask(&self, topic: &str) -> impl Future<Output = Result<Bytes, Lost>> + Send;
}

impl Source for Incoming {
    fn ask(&self, topic: &str) -> impl Future<Output = Result<Bytes, Lost>> + Send {
        Self::ask(self, topic)
    }
}

/// Gets the package of an order. What was there of it before a power cut may be wrong: then it is got
/// once more, from the beginning.
pub(super) async fn fetch(
    folder: &Path,
    order: &DeployOrder,
    city: &impl Source,
) -> Result<Package, Not> {
    let record = &order.deployed.record;
    for _ in 0..2 {
        let fetched = once(folder, order, city).await?;
        let found = |package: &Package| (package.component_digest(), package.manifest_digest());
        match fetched.filter(|package| found(package) == (record.digest, record.manifest)) {
            Some(package) => return Ok(package),
            None => forget(folder, record),
        }
    }
    Err(Not::Refused(
        "the package is another one than was ordered".to_owned(),
    ))
}

/// `None`: what came is no package.
async fn once(
    folder: &Path,
    order: &DeployOrder,
    city: &impl Source,
) -> Result<Option<Package>, Not> {
    if order.bytes > MOST {
        return Err(Not::Refused(format!(
            "the package has {} bytes, and {MOST} is the most",
            order.bytes
        )));
    }
    let record = &order.deployed.record;
    let (name, path) = (name(record), path(folder, record));
    // A full disk may have room later: the order comes again with the next connection.
    let failed = |error: io::Error| {
        tracing::error!(%error, path = %path.display(), "a package cannot be kept");
        Not::Lost
    };
    let (mut file, mut length) = block_in_place(|| open(folder, &path)).map_err(failed)?;
    while length < order.bytes {
        let number = length / CHUNK as u64;
        let chunk = city.ask(&format!("package/{name}/{number}")).await?;
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
    let bytes = block_in_place(|| file.sync_all().and_then(|()| fs::read(&path)));
    Ok(decode(&bytes.map_err(failed)?).ok())
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

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use quartier_twin::edges::packages::encode;
    use quartier_twin::event::Deployed;

    use super::*;

    fn order() -> (DeployOrder, Vec<u8>) {
        let package = Package {
            manifest: "id = \"p\"".to_owned(),
            component: (0..CHUNK * 4 + 77).map(|n| (n % 251) as u8).collect(),
            signature: Some("signed".to_owned()),
        };
        let bytes = encode(&package);
        let mut deployed = Deployed::default();
        deployed.record.digest = package.component_digest();
        deployed.record.manifest = package.manifest_digest();
        let order = DeployOrder {
            deployed,
            bytes: bytes.len() as u64,
        };
        (order, bytes)
    }

    /// A city whose link is cut when it is asked for the chunk `cut`.
    struct City<'a> {
        bytes: &'a [u8],
        cut: Option<usize>,
        asked: &'a Mutex<Vec<usize>>,
    }

    impl Source for City<'_> {
        async fn ask(&self, topic: &str) -> Result<Bytes, Lost> {
            let number: usize = topic.rsplit('/').next().unwrap().parse().unwrap();
            if self.cut == Some(number) {
                return Err(Lost);
            }
            self.asked.lock().push(number);
            let chunk = self.bytes.chunks(CHUNK).nth(number).unwrap();
            Ok(Bytes::copy_from_slice(chunk))
        }
    }

    async fn try_once(
        folder: &Path,
        (order, bytes): (&DeployOrder, &[u8]),
        cut: Option<usize>,
        asked: &Mutex<Vec<usize>>,
    ) -> Result<Package, Not> {
        fetch(folder, order, &City { bytes, cut, asked }).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_link_that_is_cut_at_any_chunk_costs_no_chunk_twice() {
        let (order, bytes) = order();
        let chunks = bytes.chunks(CHUNK).count();
        for cut in 0..chunks {
            let folder = tempfile::tempdir().unwrap();
            let asked = Mutex::default();
            let first = try_once(folder.path(), (&order, &bytes), Some(cut), &asked).await;
            assert!(matches!(first, Err(Not::Lost)), "cut at {cut}");
            // Half a chunk, as a crash may leave it.
            let part = path(folder.path(), &order.deployed.record);
            let mut torn = fs::read(&part).unwrap();
            torn.extend([0; 100]);
            fs::write(&part, torn).unwrap();
            let package = try_once(folder.path(), (&order, &bytes), None, &asked).await;
            assert_eq!(encode(&package.ok().unwrap()), bytes, "cut at {cut}");
            let all: Vec<_> = (0..chunks).collect();
            assert_eq!(asked.into_inner(), all, "cut at {cut}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_a_power_cut_left_of_a_package_and_is_wrong_is_got_again() {
        let (order, bytes) = order();
        let folder = tempfile::tempdir().unwrap();
        let part = path(folder.path(), &order.deployed.record);
        fs::write(&part, vec![0; CHUNK]).unwrap();
        let asked = Mutex::default();
        let package = try_once(folder.path(), (&order, &bytes), None, &asked).await;
        assert_eq!(encode(&package.ok().unwrap()), bytes);
        let chunks = bytes.chunks(CHUNK).count();
        assert_eq!(asked.into_inner().len(), 2 * chunks - 1);
    }

    struct Short;

    impl Source for Short {
        async fn ask(&self, _: &str) -> Result<Bytes, Lost> {
            Ok(Bytes::from_static(b"short"))
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_chunk_of_another_size_is_refused_and_nothing_of_it_stays() {
        let (order, _) = order();
        let folder = tempfile::tempdir().unwrap();
        let fetched = fetch(folder.path(), &order, &Short).await;
        assert!(matches!(fetched, Err(Not::Refused(_))));
        assert!(!path(folder.path(), &order.deployed.record).exists());
    }
}
