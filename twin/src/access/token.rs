//! Bearer tokens: `qt_{id}_{secret}`. The id is public and names the token in lists and in the
//! audit; of the secret, 256 random bits, only the SHA-256 is kept. So many random bits cannot be
//! guessed, and need no slow hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;

/// First characters of every token; no password may begin like this.
pub(crate) const PREFIX: &str = "qt_";
const ID_BYTES: usize = 5;
const SECRET_BYTES: usize = 32;

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes; a token without them could be guessed")]
pub struct NoRandomness;

/// A token that nobody has yet.
pub struct NewToken {
    /// Its public part.
    pub id: String,
    /// The whole of it, to be shown once.
    pub text: String,
    /// What the configuration keeps.
    pub hash: String,
}

impl NewToken {
    /// A random one.
    ///
    /// # Errors
    /// No random bytes.
    pub fn random() -> Result<Self, NoRandomness> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        let random = ring::default_provider().secure_random;
        random.fill(&mut id).map_err(|_| NoRandomness)?;
        random.fill(&mut secret).map_err(|_| NoRandomness)?;
        let (id, secret) = (hex(&id), URL_SAFE_NO_PAD.encode(secret));
        Ok(Self {
            text: format!("{PREFIX}{id}_{secret}"),
            hash: hash(&secret),
            id,
        })
    }
}

/// Id and secret of a password that is a token; `None`: it is a password.
pub(super) fn parse(password: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(password.strip_prefix(PREFIX.as_bytes())?)
        .ok()?
        .split_once('_')
}

/// SHA-256 of a secret, hexadecimal.
pub(super) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Whether `secret` has this hash, in a time that does not depend on where they differ.
pub(super) fn has_hash(secret: &str, expected: &str) -> bool {
    let (found, expected) = (hash(secret), expected.to_ascii_lowercase());
    let differ = found.bytes().zip(expected.bytes());
    found.len() == expected.len() && differ.fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
