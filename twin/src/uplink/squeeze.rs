//! Deflate with a bound on what may come out.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Bytes that a message may have when it is unpacked: more is a fault or an attack.
pub const MAX_BYTES: usize = 4 << 20;
/// Costs a small processor little and takes most of what there is to take.
const LEVEL: Compression = Compression::new(3);

/// What came over the uplink cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UplinkError {
    /// Not in the format of this version.
    #[error("cannot be decoded: {0}")]
    Decode(String),
    /// Of a later version.
    #[error("has version {0}, which this program does not know: update it")]
    Version(u8),
    /// Does not unpack to what it says.
    #[error("does not unpack: {0}")]
    Unpack(String),
    /// Larger than allowed.
    #[error("is larger than {0} bytes when it is unpacked")]
    TooLarge(usize),
    /// Says one thing of itself and is another.
    #[error("{0}")]
    Inconsistent(&'static str),
}

pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 4), LEVEL);
    // Neither can fail: a vector takes everything.
    let written = encoder.write_all(bytes);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

/// `most`: bytes that may come out.
pub(super) fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, UplinkError> {
    let mut bytes = Vec::new();
    let mut decoder = DeflateDecoder::new(packed).take(most as u64 + 1);
    decoder
        .read_to_end(&mut bytes)
        .map_err(|error| UplinkError::Unpack(error.to_string()))?;
    match bytes.len() > most {
        true => Err(UplinkError::TooLarge(most)),
        false => Ok(bytes),
    }
}
