//! A loaded plugin: its package checked, its component compiled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::bindings::LabRulePre;
use crate::digest::Digest;
use crate::engine::Host;
use crate::instance::Inside;
use crate::manifest::{Manifest, ManifestError, WIT};
use crate::package::{COMPONENT, MANIFEST, Package};

const TWIN: &str = "quartier:rule/twin@1.0.0";
/// What the world of the interface offers, and nothing else.
const WORLD: [&str; 3] = ["quartier:rule/types@1.0.0", "quartier:rule/log@1.0.0", TWIN];

/// A plugin could not be loaded. Paths are those of the folder, or file names where there is none.
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
    /// A file is larger than one may be.
    #[error("{}: more than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that it may have.
        max: usize,
    },
    /// A text is not UTF-8.
    #[error("{}: not UTF-8 from byte {at} on", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong, counted from 0.
        at: usize,
    },
    /// The manifest is not usable.
    #[error("{}: {error}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: ManifestError,
    },
    /// The component is not the one that the manifest names.
    #[error("{}: its SHA-256 is {found}, but {MANIFEST} says component_sha256 = {declared:?}", path.display())]
    OtherComponent {
        /// The component.
        path: PathBuf,
        /// Of the manifest.
        declared: String,
        /// Of the component.
        found: String,
    },
    /// Not a component, or one the engine does not take.
    #[error("{}: not a usable component: {error}", path.display())]
    Component {
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// It does not export the interface of rules.
    #[error("{}: not a rule of {WIT}: {error}", path.display())]
    Export {
        /// The file.
        path: PathBuf,
        /// What is missing.
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

impl LoadError {
    /// The same, of a file of this folder.
    pub(crate) fn within(mut self, dir: &Path) -> Self {
        match &mut self {
            Self::Read { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Text { path, .. }
            | Self::Manifest { path, .. }
            | Self::OtherComponent { path, .. }
            | Self::Component { path, .. }
            | Self::Export { path, .. }
            | Self::Import { path, .. }
            | Self::Undeclared { path } => *path = dir.join(&*path),
        }
        self
    }
}

/// A loaded plugin; cheap to clone. Instances of it are [`Runner`](crate::Runner)s.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    manifest_text: String,
    manifest_digest: Digest,
    digest: Digest,
    pre: LabRulePre<Inside>,
    asks: bool,
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

    /// The manifest as its makers wrote it.
    pub fn manifest_text(&self) -> &str {
        &self.inner.manifest_text
    }

    /// SHA-256 of the component.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// SHA-256 of the manifest's text.
    pub fn manifest_digest(&self) -> Digest {
        self.inner.manifest_digest
    }

    pub(crate) fn pre(&self) -> &LabRulePre<Inside> {
        &self.inner.pre
    }

    /// Whether it can call `twin.get-many`.
    pub(crate) fn asks(&self) -> bool {
        self.inner.asks
    }
}

impl Host {
    /// Reads, checks and compiles the plugin in the folder `dir`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(&self, dir: &Path) -> Result<Plugin, LoadError> {
        self.compile(&Package::read(dir)?)
            .map_err(|error| error.within(dir))
    }

    /// Checks a package and compiles its component, or takes it from the cache. Everything is
    /// checked but the signature: sizes, manifest, that the component is the manifest's, imports,
    /// exports. Compiling takes a second a megabyte; not for the hot path.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn compile(&self, package: &Package) -> Result<Plugin, LoadError> {
        package.check_sizes()?;
        let path = PathBuf::from(MANIFEST);
        let manifest = Manifest::parse(&package.manifest)
            .map_err(|error| LoadError::Manifest { path, error })?;
        let digest = package.component_digest();
        let hex = digest.to_string();
        if let Some(declared) = manifest.component_sha256.as_ref().filter(|d| **d != hex) {
            return Err(LoadError::OtherComponent {
                path: COMPONENT.into(),
                declared: declared.clone(),
                found: hex,
            });
        }
        let component = self.component(&hex, &package.component)?;
        let asks = self.check_imports(&component, &manifest)?;
        let unusable = |error: wasmtime::Error| LoadError::Component {
            path: COMPONENT.into(),
            error: format!("{error:#}"),
        };
        let pre = self
            .linker()
            .instantiate_pre(&component)
            .map_err(unusable)?;
        let pre = LabRulePre::new(pre).map_err(|error| LoadError::Export {
            path: COMPONENT.into(),
            error: format!("{error:#}"),
        })?;
        Ok(Plugin {
            inner: Arc::new(Inner {
                manifest,
                manifest_text: package.manifest.clone(),
                manifest_digest: package.manifest_digest(),
                digest,
                pre,
                asks,
            }),
        })
    }

    fn component(&self, digest: &str, bytes: &[u8]) -> Result<Component, LoadError> {
        let cache = self.cache();
        if let Some(component) = cache.and_then(|cache| cache.get(self.engine(), digest)) {
            return Ok(component);
        }
        let component =
            Component::from_binary(self.engine(), bytes).map_err(|error| LoadError::Component {
                path: COMPONENT.into(),
                error: format!("{error:#}"),
            })?;
        if let Some(cache) = cache {
            cache.put(digest, &component);
        }
        Ok(component)
    }

    /// Whether the component can ask for twin properties.
    fn check_imports(&self, component: &Component, manifest: &Manifest) -> Result<bool, LoadError> {
        let mut asks = false;
        for (import, item) in component.component_type().imports(self.engine()) {
            if !WORLD.contains(&import) {
                return Err(LoadError::Import {
                    path: COMPONENT.into(),
                    import: import.to_owned(),
                });
            }
            let functions = match &item.ty {
                ComponentItem::ComponentInstance(instance) => instance
                    .exports(self.engine())
                    .any(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_))),
                _ => true,
            };
            asks |= import == TWIN && functions;
        }
        if asks && manifest.reads.properties.is_empty() {
            return Err(LoadError::Undeclared {
                path: COMPONENT.into(),
            });
        }
        Ok(asks)
    }
}
