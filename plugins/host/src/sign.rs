//! Signatures of manifests: Ed25519.
//!
//! What is signed is the manifest's text behind [`DOMAIN`], so that a signature for something else
//! is none for a manifest. The manifest's `component_sha256` binds the component: a manifest
//! without it is neither signed nor verified.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestError};

/// Separates these signatures from others that a key may make.
const DOMAIN: &[u8] = b"quartier plugin manifest 1\n";
/// First word of a signature's line.
const SCHEME: &str = "quartier-ed25519";
/// First word of a public key.
const KEY_SCHEME: &str = "ed25519:";
const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_FOOT: &str = "-----END PRIVATE KEY-----";
/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// A manifest is not signed as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The manifest is not usable.
    #[error("manifest.toml: {0}")]
    Manifest(#[from] ManifestError),
    /// Nothing in the manifest binds the component.
    #[error(
        "manifest.toml: no component_sha256, so a signature would not cover the component; \
         `quartier plugin build` writes it"
    )]
    Unbound,
    /// Not a line of a signature.
    #[error("not a signature: expected one line `{SCHEME} KEY-ID BASE64`")]
    Malformed,
    /// Signed, by somebody else.
    #[error("signed with the key {signed}, not with {key}")]
    OtherKey {
        /// Id of the key it names.
        signed: String,
        /// Id of the key it is held against.
        key: String,
    },
    /// The manifest is not what was signed.
    #[error("the signature does not fit the manifest: it was changed after it was signed")]
    Wrong,
}

/// A key is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the text of a private key.
    #[error("not a private key: expected PEM, `{PEM_HEAD}`, of an Ed25519 key in PKCS#8")]
    Private,
    /// Not the text of a public key.
    #[error("not a public key: expected `{KEY_SCHEME}` and 44 characters of base64")]
    Public,
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// Signs manifests. Not shown in logs.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

impl SigningKey {
    /// The text of a new key: PEM of PKCS#8, for [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<String, KeyError> {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let text = BASE64.encode(key.map_err(|_| KeyError::Random)?);
        let mut pem = format!("{PEM_HEAD}\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at_checked(PEM_LINE).unwrap_or((rest, ""));
            pem.extend([line, "\n"]);
            rest = after;
        }
        pem.extend([PEM_FOOT, "\n"]);
        Ok(pem)
    }

    /// Reads PEM of PKCS#8, of [`generate`](Self::generate) or `openssl genpkey -algorithm ed25519`.
    ///
    /// # Errors
    /// Not such a text.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let inside = |pem: &str| {
            let (_, rest) = pem.split_once(PEM_HEAD)?;
            let (text, _) = rest.split_once(PEM_FOOT)?;
            BASE64
                .decode(text.split_whitespace().collect::<String>())
                .ok()
        };
        let der = inside(pem).ok_or(KeyError::Private)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map(Self)
            .map_err(|_| KeyError::Private)
    }

    /// What others verify with.
    pub fn public(&self) -> PublicKey {
        // An Ed25519 key has 32 bytes.
        PublicKey(self.0.public_key().as_ref().try_into().unwrap_or_default())
    }

    /// The line of a signature, without its end, of a manifest's text.
    ///
    /// # Errors
    /// The manifest is not usable, or does not bind its component.
    pub fn sign(&self, manifest: &str) -> Result<String, SignatureError> {
        bound(manifest)?;
        let signature = BASE64.encode(self.0.sign(&message(manifest)));
        Ok(format!("{SCHEME} {} {signature}", self.public().id()))
    }
}

/// Verifies manifests. As text `ed25519:` and base64 of its 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// First 16 hex digits of the SHA-256 of the key.
    pub fn id(&self) -> String {
        let mut id = Digest::of(&self.0).to_string();
        id.truncate(16);
        id
    }

    /// Whether this key signed the manifest's text; `signature` may end in a line's end.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, manifest: &str, signature: &str) -> Result<(), SignatureError> {
        let (signed, bytes) = parts(signature)?;
        let key = self.id();
        if signed != key {
            let signed = signed.to_owned();
            return Err(SignatureError::OtherKey { signed, key });
        }
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(&message(manifest), &bytes)
            .map_err(|_| SignatureError::Wrong)?;
        bound(manifest)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KEY_SCHEME}{}", BASE64.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim().strip_prefix(KEY_SCHEME);
        let bytes = text.and_then(|text| BASE64.decode(text).ok());
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(KeyError::Public)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// Id of the key that a signature says it is of; whether it is, [`PublicKey::verify`] tells.
///
/// # Errors
/// Not a line of a signature.
pub fn signer(signature: &str) -> Result<&str, SignatureError> {
    parts(signature).map(|(id, _)| id)
}

/// Id of the key, and the signature's bytes.
fn parts(signature: &str) -> Result<(&str, Vec<u8>), SignatureError> {
    let mut words = signature.trim_end().split(' ');
    let (scheme, id, text) = (words.next(), words.next(), words.next());
    let (Some(SCHEME), Some(id), Some(text), None) = (scheme, id, text, words.next()) else {
        return Err(SignatureError::Malformed);
    };
    let bytes = BASE64.decode(text).map_err(|_| SignatureError::Malformed)?;
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_id && bytes.len() == 64 {
        true => Ok((id, bytes)),
        false => Err(SignatureError::Malformed),
    }
}

fn message(manifest: &str) -> Vec<u8> {
    [DOMAIN, manifest.as_bytes()].concat()
}

fn bound(manifest: &str) -> Result<(), SignatureError> {
    match Manifest::parse(manifest)?.component_sha256 {
        Some(_) => Ok(()),
        None => Err(SignatureError::Unbound),
    }
}

#[cfg(test)]
mod tests;
