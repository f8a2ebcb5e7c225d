//! Compiled components on disk: `{component digest}-{engine}.cwasm`.
//!
//! Compiled code is run without further checks, so only bytes that this program wrote are taken:
//! the folder and the file belong to it alone (0700, 0600), and the file ends in a SHA-256 over its
//! name and its code. Whatever is damaged, of another engine or writable by others is compiled
//! again and replaced.
#![allow(
    unsafe_code,
    reason = "taking compiled code back is unsafe: its bytes are trusted; see above"
)]

use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::Digest;
use crate::files;

/// Write access of anyone but the owner.
const OTHERS_WRITE: u32 = 0o022;
/// Bytes of the checksum at the end.
const CHECKSUM: usize = 32;

/// A folder of compiled components of one engine.
pub(crate) struct Cache {
    dir: PathBuf,
    engine: String,
}

impl Cache {
    /// Makes the folder where it is not there.
    pub(crate) fn open(dir: PathBuf, engine: &Engine) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        if fs::metadata(&dir)?.permissions().mode() & OTHERS_WRITE != 0 {
            let why = "others may write to the folder of compiled plugins; chmod go-w it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let mut hasher = Compatibility(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let mut engine = Digest(hasher.0.finalize().into()).to_string();
        engine.truncate(16);
        Ok(Self { dir, engine })
    }

    fn name(&self, digest: &str) -> String {
        format!("{digest}-{}.cwasm", self.engine)
    }

    /// The compiled component of this digest; `None`: compile it.
    pub(crate) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let name = self.name(digest);
        let file = read(&self.dir.join(&name)).ok()?;
        let (code, checksum) = file.split_at_checked(file.len().checked_sub(CHECKSUM)?)?;
        if checksum != sum(&name, code) {
            return None;
        }
        // SAFETY: the bytes are what `put` wrote for this digest and this engine: the checksum
        // holds, and nobody else may write the file. They are in memory: what is checked is run.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Keeps a compiled component. A cache that cannot be written costs time only.
    pub(crate) fn put(&self, digest: &str, component: &Component) {
        let name = self.name(digest);
        let written = component.serialize().map_err(io::Error::other);
        let written = written.and_then(|mut file| {
            let checksum = sum(&name, &file);
            file.extend(checksum);
            files::replace(&self.dir, &name, &file, 0o600)
        });
        if let Err(error) = written {
            let dir = self.dir.display();
            tracing::warn!(%dir, %error, "a compiled plugin was not kept; it is compiled again next time");
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    if file.metadata()?.permissions().mode() & OTHERS_WRITE != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Over the name too: a file renamed to another component's is damaged.
fn sum(name: &str, code: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = Sha256::new();
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name);
    hash.update(code);
    hash.finalize().into()
}

/// Collects what the engine hashes of its version and settings.
struct Compatibility(Sha256);

impl Hasher for Compatibility {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest is longer.
    fn finish(&self) -> u64 {
        0
    }
}
