//! SHA-256 as a type, and of values without an encoded copy of them in memory.
//!
//! The digest of a value is that of its postcard bytes: the same on every machine.

use std::fmt;
use std::str::FromStr;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A SHA-256. Shown, and serialised for people, as 64 lowercase hex digits; else as 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

/// Not 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256: 64 hex digits")]
pub struct DigestError;

impl Digest {
    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of the postcard bytes of a value, in one pass.
    pub fn of_value(value: &(impl Serialize + ?Sized)) -> Self {
        let hashing = Hashing::default();
        // Fails only where a value cannot be serialised at all; those of this crate can.
        postcard::serialize_with_flavor(value, hashing).unwrap_or_default()
    }

    /// One link of a chain: what was before, what came, and what to bind it to.
    pub(crate) fn link(parts: &[&Self]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.0);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(DigestError);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| DigestError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match to.is_human_readable() {
            true => to.collect_str(self),
            false => self.0.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.is_human_readable() {
            true => String::deserialize(from)?
                .parse()
                .map_err(de::Error::custom),
            false => <[u8; 32]>::deserialize(from).map(Self),
        }
    }
}

/// Bytes that are hashed at once; postcard writes a few at a time.
const BLOCK: usize = 4096;

/// Where postcard writes to be hashed.
struct Hashing {
    hash: Sha256,
    block: [u8; BLOCK],
    filled: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            hash: Sha256::new(),
            block: [0; BLOCK],
            filled: 0,
        }
    }
}

impl Hashing {
    fn flush(&mut self) {
        self.hash
            .update(self.block.get(..self.filled).unwrap_or_default());
        self.filled = 0;
    }
}

impl Flavor for Hashing {
    type Output = Digest;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.filled + bytes.len() > BLOCK {
            self.flush();
        }
        match self.block.get_mut(self.filled..self.filled + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.filled += bytes.len();
            }
            None => self.hash.update(bytes),
        }
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<Digest> {
        self.flush();
        Ok(Digest(self.hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_value_is_that_of_its_postcard_bytes() {
        for len in [0, 1, 100, 4095, 4096, 5000, 100_000] {
            let texts: Vec<String> = (0..7).map(|n| "x".repeat(len / 7 * n)).collect();
            let value = (vec![0.5_f64; len], texts, "y".repeat(len), 7_u64);
            let bytes = postcard::to_allocvec(&value).unwrap();
            assert_eq!(Digest::of_value(&value), Digest::of(&bytes), "{len}");
        }
    }

    #[test]
    fn a_digest_is_hex_for_people_and_32_bytes_else() {
        let digest = Digest::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), hex);
        assert_eq!(hex.parse(), Ok(digest));
        assert_eq!("ba78".parse::<Digest>(), Err(DigestError));
        assert_eq!("é".repeat(32).parse::<Digest>(), Err(DigestError));
        assert_eq!(postcard::to_allocvec(&digest).unwrap(), digest.0);
        let back: Digest = postcard::from_bytes(&digest.0).unwrap();
        assert_eq!(back, digest);
    }
}
