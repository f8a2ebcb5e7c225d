//! `[uplink]`, a box's way to its city, and `[edge]`, what a city knows of boxes.

use std::path::PathBuf;

use serde::Deserialize;

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
