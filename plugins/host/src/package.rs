//! What is deployed: a manifest, its component and, where it was signed, the signature.
//!
//! A folder with `manifest.toml`, `component.wasm` and perhaps `manifest.sig`. The manifest is
//! written last: a new folder that has one is whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::digest::Digest;
use crate::files;
use crate::plugin::LoadError;

pub(crate) const MANIFEST: &str = "manifest.toml";
pub(crate) const COMPONENT: &str = "component.wasm";
const SIGNATURE: &str = "manifest.sig";
/// Bytes of a signature at most; one has about 130.
const MAX_SIGNATURE: usize = 1024;
/// Access to the files written.
const MODE: u32 = 0o644;

/// A plugin as it travels; nothing of it is checked yet. See [`Host::compile`].
///
/// [`Host::compile`]: crate::Host::compile
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Text of the manifest.
    pub manifest: String,
    /// The component.
    pub component: Vec<u8>,
    /// Line of a signature of the manifest; see [`PublicKey::verify`](crate::PublicKey::verify).
    pub signature: Option<String>,
}

impl Package {
    /// Bytes of a component at most.
    pub const MAX_COMPONENT: usize = 32 << 20;
    /// Bytes of a manifest at most.
    pub const MAX_MANIFEST: usize = 256 << 10;

    /// Reads a folder.
    ///
    /// # Errors
    /// Names the file that cannot be read, is too large or is no text.
    pub fn read(dir: &Path) -> Result<Self, LoadError> {
        let manifest = text(dir, MANIFEST, Self::MAX_MANIFEST)?;
        let component = bytes(dir, COMPONENT, Self::MAX_COMPONENT)?;
        let signature = match text(dir, SIGNATURE, MAX_SIGNATURE) {
            Ok(text) => Some(text),
            Err(LoadError::Read { error, .. }) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            manifest,
            component,
            signature,
        })
    }

    /// Writes a folder, made if it is not there; on disk when this returns. Each file replaces an
    /// older one at once, and at no time does a signature of one package stand beside the manifest
    /// of another.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        match fs::remove_file(dir.join(SIGNATURE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => files::sync_folder(dir)?,
        }
        files::replace(dir, COMPONENT, &self.component, MODE)?;
        files::replace(dir, MANIFEST, self.manifest.as_bytes(), MODE)?;
        if let Some(signature) = &self.signature {
            files::replace(dir, SIGNATURE, signature.as_bytes(), MODE)?;
        }
        dir.parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .map_or(Ok(()), files::sync_folder)
    }

    /// SHA-256 of the component.
    pub fn component_digest(&self) -> Digest {
        Digest::of(&self.component)
    }

    /// SHA-256 of the manifest's text.
    pub fn manifest_digest(&self) -> Digest {
        Digest::of(self.manifest.as_bytes())
    }

    /// Whether the parts are small enough to be looked at.
    ///
    /// # Errors
    /// Names the part that is too large.
    pub fn check_sizes(&self) -> Result<(), LoadError> {
        fits(MANIFEST, self.manifest.len(), Self::MAX_MANIFEST)?;
        fits(COMPONENT, self.component.len(), Self::MAX_COMPONENT)
    }
}

fn fits(file: &str, bytes: usize, max: usize) -> Result<(), LoadError> {
    match bytes <= max {
        true => Ok(()),
        false => Err(LoadError::TooLarge {
            path: file.into(),
            max,
        }),
    }
}

fn bytes(dir: &Path, file: &str, max: usize) -> Result<Vec<u8>, LoadError> {
    let path = dir.join(file);
    let bytes = files::read_at_most(&path, max).map_err(|error| LoadError::Read { path, error })?;
    fits(file, bytes.len(), max).map_err(|error| error.within(dir))?;
    Ok(bytes)
}

fn text(dir: &Path, file: &str, max: usize) -> Result<String, LoadError> {
    String::from_utf8(bytes(dir, file, max)?).map_err(|error| LoadError::Text {
        path: dir.join(file),
        at: error.utf8_error().valid_up_to(),
    })
}
