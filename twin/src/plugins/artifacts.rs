//! The programs behind the journal's records: a folder a package, named by its digests, so that
//! every version that ever decided can be run again.
//!
//! `DATA/plugins/{component}-{manifest}/{manifest.toml, component.wasm, manifest.sig}` (the first
//! 16 hex digits of each SHA-256), `DATA/plugins/compiled/` for the machine code.

use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use parking_lot::Mutex;
use quartier_plugin_host::{Host, LoadError, Package, Plugin};

use crate::event::{Digest, PluginRecord};

/// A program cannot be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is not usable.
    #[error(transparent)]
    Load(Box<LoadError>),
    /// The folder cannot be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The folder holds something else than its name says.
    #[error(
        "{}: the package there is another one; deploy it again and restart the node, or restore it \
         from a backup",
        path.display()
    )]
    Other {
        /// The folder.
        path: PathBuf,
    },
}

impl From<LoadError> for ArtifactError {
    fn from(error: LoadError) -> Self {
        Self::Load(Box::new(error))
    }
}

/// The packages of a node, compiled when they are first needed.
pub struct Artifacts {
    host: Host,
    folder: PathBuf,
    loaded: Mutex<HashMap<(Digest, Digest), Plugin>>,
}

impl Artifacts {
    /// Below `data`, the data folder. The machine code of the host goes to [`Artifacts::cache`].
    pub fn new(host: Host, data: &Path) -> Self {
        Self {
            host,
            folder: Self::folder_in(data),
            loaded: Mutex::new(HashMap::new()),
        }
    }

    /// Where the packages are.
    pub fn folder_in(data: &Path) -> PathBuf {
        data.join("plugins")
    }

    /// Where the machine code is.
    pub fn cache(data: &Path) -> PathBuf {
        Self::folder_in(data).join("compiled")
    }

    /// The engine they run on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Compiles and checks a package, without keeping it. Takes its time.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, package: &Package) -> Result<Plugin, ArtifactError> {
        let key = (package.component_digest(), package.manifest_digest());
        if let Some(plugin) = self.loaded.lock().get(&key) {
            return Ok(plugin.clone());
        }
        let plugin = self.host.compile(package)?;
        self.loaded.lock().insert(key, plugin.clone());
        Ok(plugin)
    }

    /// Keeps a package on disk, durably.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(&self, package: &Package) -> Result<(), ArtifactError> {
        let path = self.path(package.component_digest(), package.manifest_digest());
        let write = || {
            std::fs::create_dir_all(&path)?;
            package.write(&path)
        };
        write().map_err(|error| ArtifactError::Write {
            path: path.clone(),
            error,
        })
    }

    /// The program of a record.
    ///
    /// # Errors
    /// It is not there, or it is another one.
    pub fn get(&self, record: &PluginRecord) -> Result<Plugin, ArtifactError> {
        let key = (record.digest, record.manifest);
        if let Some(plugin) = self.loaded.lock().get(&key) {
            return Ok(plugin.clone());
        }
        let package = self.package(record)?;
        self.check(&package)
    }

    /// The package of a record, as it was deployed.
    ///
    /// # Errors
    /// It is not there, or it is another one.
    pub fn package(&self, record: &PluginRecord) -> Result<Package, ArtifactError> {
        self.package_of(record.digest, record.manifest)
    }

    /// The package of a component and a manifest by their digests.
    ///
    /// # Errors
    /// It is not there, or it is another one.
    pub fn package_of(
        &self,
        component: Digest,
        manifest: Digest,
    ) -> Result<Package, ArtifactError> {
        let path = self.path(component, manifest);
        let package = Package::read(&path)?;
        let found = (package.component_digest(), package.manifest_digest());
        match found == (component, manifest) {
            true => Ok(package),
            false => Err(ArtifactError::Other { path }),
        }
    }

    fn path(&self, component: Digest, manifest: Digest) -> PathBuf {
        let short = |digest: Digest| digest.to_string().chars().take(16).collect::<String>();
        self.folder
            .join(format!("{}-{}", short(component), short(manifest)))
    }
}
