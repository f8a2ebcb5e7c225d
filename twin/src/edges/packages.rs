//! A plugin's package on its way to a box: postcard of manifest, signature and component, in chunks
//! that are asked for one by one. What is in it is checked by the digests of the order.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use quartier_plugin_host::Package;
use serde::{Deserialize, Serialize};

use crate::event::{Digest, PluginRecord};
use crate::plugins::Artifacts;

/// Bytes of a chunk: four seconds at 64 kbit/s.
pub const CHUNK: usize = 32 << 10;

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    manifest: &'a str,
    signature: Option<&'a str>,
    component: &'a [u8],
}

/// The package as bytes.
pub fn encode(package: &Package) -> Vec<u8> {
    let wire = Wire {
        manifest: &package.manifest,
        signature: package.signature.as_deref(),
        component: &package.component,
    };
    // Fails only where a value cannot be serialised at all.
    postcard::to_allocvec(&wire).unwrap_or_default()
}

/// The package of bytes.
///
/// # Errors
/// They are none.
pub fn decode(bytes: &[u8]) -> Result<Package, postcard::Error> {
    let wire: Wire<'_> = postcard::from_bytes(bytes)?;
    Ok(Package {
        manifest: wire.manifest.to_owned(),
        component: wire.component.to_vec(),
        signature: wire.signature.map(str::to_owned),
    })
}

/// Its name in topics and on the box's disk.
pub fn name(record: &PluginRecord) -> String {
    format!("{}-{}", record.digest, record.manifest)
}

/// The packages of a city, for boxes that ask.
pub struct Packages {
    artifacts: Arc<Artifacts>,
    /// The one that was asked for last: a box asks for all its chunks in turn.
    last: Mutex<Option<(String, Bytes)>>,
}

impl Packages {
    /// Of these artifacts.
    pub fn new(artifacts: Arc<Artifacts>) -> Self {
        Self {
            artifacts,
            last: Mutex::new(None),
        }
    }

    /// A chunk of a package, by its [`name`]; `None` where there is none. May read a file.
    pub fn chunk(&self, name: &str, number: u32) -> Option<Bytes> {
        if number == 0 {
            // Its lab may have signed it anew since.
            *self.last.lock() = None;
        }
        let bytes = self.bytes(name)?;
        let start = (number as usize).checked_mul(CHUNK)?;
        let end = start.saturating_add(CHUNK).min(bytes.len());
        (start < end).then(|| bytes.slice(start..end))
    }

    fn bytes(&self, name: &str) -> Option<Bytes> {
        let mut last = self.last.lock();
        if let Some((known, bytes)) = last.as_ref()
            && known == name
        {
            return Some(bytes.clone());
        }
        let (component, manifest) = name.split_once('-')?;
        let (component, manifest) = (
            component.parse::<Digest>().ok()?,
            manifest.parse::<Digest>().ok()?,
        );
        let package = self.artifacts.package_of(component, manifest).ok()?;
        let bytes = Bytes::from(encode(&package));
        *last = Some((name.to_owned(), bytes.clone()));
        Some(bytes)
    }
}
