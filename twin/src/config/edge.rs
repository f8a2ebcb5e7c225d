//! `[uplink]`, a box's way to its city, and `[edge]`, what a city knows of boxes.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::Config;
use crate::external::Address;

/// A box's way to its city. The identity files are made by `quartier-edge enroll`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uplink {
    /// `mqtts://HOST[:PORT]` of the city.
    pub city: Address,
    /// Authority that signs the city's certificate (PEM); absent: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The box's certificate (PEM).
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// Bits a second that may be sent; 0: any. The city may set another.
    #[serde(default)]
    pub bits_per_s: u64,
    /// Seconds between two reports of health.
    #[serde(default = "health_s")]
    pub health_s: u32,
}

fn health_s() -> u32 {
    10
}

/// What a city knows of boxes.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// Folder of the authority that signs the certificates of boxes, from `quartier cert ca`.
    /// Absent: nobody can enrol.
    pub ca_dir: Option<PathBuf>,
}

impl Config {
    /// What may be configured and cannot be meant, each with its key and what to do: boxes could
    /// enrol, and then not connect. Reads certificates.
    pub fn warnings(&self) -> Vec<String> {
        let Some(folder) = &self.edge.ca_dir else {
            return Vec::new();
        };
        let root = folder.join("ca.crt");
        let mqtt = &self.mqtt;
        if mqtt.external.is_some() {
            let only = "mqtt.external: boxes of edge.ca_dir enrol, but can connect to the broker \
                        of this node only: remove one of the two";
            return vec![only.to_owned()];
        }
        let mut warnings = Vec::new();
        if mqtt.tls_listen.is_none() {
            let missing = "mqtt.tls_listen: is missing: boxes of edge.ca_dir enrol, but cannot \
                           connect: set it, cert_file and key_file (`quartier cert server`)";
            warnings.push(missing.to_owned());
        }
        let root_file = root.display();
        match &mqtt.client_ca_file {
            None => warnings.push(format!(
                "mqtt.client_ca_file: is missing: boxes of edge.ca_dir enrol, but are not let in: \
                 set it to {root_file}"
            )),
            Some(file) if lacks(file, &root) => warnings.push(format!(
                "mqtt.client_ca_file: lacks the certificate of edge.ca_dir: boxes enrol, but are \
                 not let in: add {root_file} to it"
            )),
            Some(_) => {}
        }
        warnings
    }
}

/// Whether `file` has not the certificates of `root`. What cannot be read is found elsewhere.
fn lacks(file: &Path, root: &Path) -> bool {
    let read = |path| {
        let certificates = CertificateDer::pem_file_iter(path).ok()?;
        certificates.collect::<Result<Vec<_>, _>>().ok()
    };
    let both = read(file).zip(read(root));
    both.is_some_and(|(file, root)| root.iter().any(|certificate| !file.contains(certificate)))
}
