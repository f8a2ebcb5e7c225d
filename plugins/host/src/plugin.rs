//! A plugin on disk: `manifest.toml` beside `component.wasm`, compiled once when it is loaded.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::bindings::LabRulePre;
use crate::engine::Host;
use crate::instance::Inside;
use crate::manifest::{Manifest, ManifestError, WIT};

const MANIFEST: &str = "manifest.toml";
const COMPONENT: &str = "component.wasm";
const TWIN: &str = "quartier:rule/twin@1.0.0";
/// What the world of the interface offers, and nothing else.
const WORLD: [&str; 3] = ["quartier:rule/types@1.0.0", "quartier:rule/log@1.0.0", TWIN];

/// A plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file of the folder cannot be read.
    #[error("{}: {error}; `plugins/build` makes the folders of the plugins", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The manifest is not usable.
    #[error("{}: {error}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: ManifestError,
    },
    /// Not a component, or one the engine does not take.
    #[error("{}: not a usable component: {error}", path.display())]
    Component {
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// It wants something that rules do not get: WASI, say.
    #[error("{}: imports {import}, which {WIT} does not offer", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What it wants.
        import: String,
    },
    /// It asks for twin properties and declares none.
    #[error("{}: imports {TWIN}, but {MANIFEST} has no reads.properties", path.display())]
    Undeclared {
        /// The file.
        path: PathBuf,
    },
}

/// A loaded plugin; cheap to clone. Instances of it are [`Runner`](crate::Runner)s.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    digest: String,
    pre: LabRulePre<Inside>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner {
            manifest, digest, ..
        } = &*self.inner;
        f.debug_struct("Plugin")
            .field("id", &manifest.id)
            .field("digest", digest)
            .finish()
    }
}

impl Plugin {
    /// What its makers say of it.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// SHA-256 of the component, hex.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    pub(crate) fn pre(&self) -> &LabRulePre<Inside> {
        &self.inner.pre
    }
}

impl Host {
    /// Loads and compiles the plugin in the folder `dir`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(&self, dir: &Path) -> Result<Plugin, LoadError> {
        let path = dir.join(MANIFEST);
        let text = String::from_utf8_lossy(&read(&path)?).into_owned();
        let manifest =
            Manifest::parse(&text).map_err(|error| LoadError::Manifest { path, error })?;
        let path = dir.join(COMPONENT);
        let bytes = read(&path)?;
        let unusable = |error: wasmtime::Error| LoadError::Component {
            path: path.clone(),
            error: format!("{error:#}"),
        };
        let component = Component::from_binary(self.engine(), &bytes).map_err(unusable)?;
        self.check_imports(&component, &manifest, &path)?;
        let pre = self
            .linker()
            .instantiate_pre(&component)
            .map_err(unusable)?;
        let pre = LabRulePre::new(pre).map_err(unusable)?;
        Ok(Plugin {
            inner: Arc::new(Inner {
                manifest,
                digest: hex_sha256(&bytes),
                pre,
            }),
        })
    }

    fn check_imports(
        &self,
        component: &Component,
        manifest: &Manifest,
        path: &Path,
    ) -> Result<(), LoadError> {
        for (import, item) in component.component_type().imports(self.engine()) {
            if !WORLD.contains(&import) {
                return Err(LoadError::Import {
                    path: path.to_owned(),
                    import: import.to_owned(),
                });
            }
            let functions = match &item.ty {
                ComponentItem::ComponentInstance(instance) => instance
                    .exports(self.engine())
                    .any(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_))),
                _ => true,
            };
            if import == TWIN && functions && manifest.reads.properties.is_empty() {
                return Err(LoadError::Undeclared {
                    path: path.to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|error| LoadError::Read {
        path: path.to_owned(),
        error,
    })
}

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
