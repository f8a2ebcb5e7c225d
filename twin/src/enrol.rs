//! How a box gets its identity: what box and city say to each other, and how both know that the
//! other has the secret of the invitation.
//!
//! The secret is in the token `qe_{id}_{secret}` that a person carries from the city to the box. It
//! never travels: both sides show an HMAC-SHA-256 of what they say, under SHA-256 of the secret. So
//! neither needs to trust the connection, and nothing that is said is confidential: a box's key
//! never leaves it.

use std::fmt;
use std::str::FromStr;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Digest;

const PREFIX: &str = "qe_";

/// What a person carries to the box.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Names the invitation.
    pub id: String,
    secret: String,
}

/// Not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Of another form.
    #[error(
        "a token of an invitation looks like qe_{{id}}_{{secret}}: `quartier edge invite` prints it"
    )]
    Form,
    /// The operating system has no random numbers.
    #[error("there are no random numbers")]
    Random,
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// [`TokenError::Random`].
    pub fn random() -> Result<Self, TokenError> {
        let mut bytes = [0; 40];
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_err(|_| TokenError::Random)?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (id, secret) = hex.split_at(16);
        Ok(Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// The key that both sides derive.
    pub fn key(&self) -> Key {
        Key(Digest::of(self.secret.as_bytes()))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_{}", self.id, self.secret)
    }
}

impl fmt::Debug for Token {
    /// Without the secret: it is nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_..", self.id)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest = text.trim().strip_prefix(PREFIX).ok_or(TokenError::Form)?;
        let (id, secret) = rest.split_once('_').ok_or(TokenError::Form)?;
        let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        match hex(id) && hex(secret) {
            true => Ok(Self {
                id: id.to_owned(),
                secret: secret.to_owned(),
            }),
            false => Err(TokenError::Form),
        }
    }
}

/// Under which both sides sign; as secret as the token.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(Digest);

impl Key {
    /// What shows that the author of `text` has the key, for `purpose`.
    pub fn sign(&self, purpose: Purpose, text: &str) -> Digest {
        let tag = hmac::sign(&self.hmac(), &message(purpose, text));
        let mut bytes = [0; 32];
        bytes
            .iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        Digest(bytes)
    }

    /// Whether the author of `text` has the key. Takes the same time whatever is wrong.
    pub fn has_signed(&self, purpose: Purpose, text: &str, tag: &Digest) -> bool {
        hmac::verify(&self.hmac(), &message(purpose, text), &tag.0).is_ok()
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0.0)
    }
}

/// What is signed: an answer can never be taken for a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The box asks.
    Ask,
    /// The city answers.
    Answer,
}

fn message(purpose: Purpose, text: &str) -> Vec<u8> {
    let tag: &[u8] = match purpose {
        Purpose::Ask => b"quartier enrol ask\n",
        Purpose::Answer => b"quartier enrol answer\n",
    };
    [tag, text.as_bytes()].concat()
}

/// The box asks for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolAsk {
    /// Id of the invitation.
    pub id: String,
    /// Request for a certificate, PKCS #10 in PEM.
    pub csr: String,
    /// HMAC of `csr`, hexadecimal.
    #[schema(value_type = String)]
    pub mac: Digest,
}

/// The city's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolAnswer {
    /// [`Identity`] as JSON, as it was signed.
    pub identity: String,
    /// HMAC of `identity`, hexadecimal.
    #[schema(value_type = String)]
    pub mac: Digest,
}

/// What a box is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of its node.
    pub node: String,
    /// Id of its quarter.
    pub quarter: String,
    /// Its name, for people.
    pub quarter_name: String,
    /// IANA time zone.
    pub timezone: String,
    /// Its certificate, PEM.
    pub certificate: String,
    /// The authority that signed it, PEM; it also signs the city's.
    pub ca: String,
    /// Port of MQTT over TLS of the city.
    pub mqtts_port: Option<u16>,
    /// Labs whose plugins the city takes: id, keys, quarters.
    pub labs: Vec<(String, Vec<String>, Vec<String>)>,
}

#[cfg(test)]
mod tests {
    use super::{Key, Purpose, Token};
    use crate::event::Digest;

    #[test]
    fn a_token_is_read_as_it_was_written_and_hides_its_secret_in_logs() {
        let token = Token::random().unwrap();
        let text = token.to_string();
        assert_eq!(text.parse::<Token>().unwrap(), token);
        assert!(!format!("{token:?}").contains(text.rsplit('_').next().unwrap()));
        for wrong in [
            "", "qe_", "qe_12", "qe_12_", "qe__ab", "qt_12_ab", "qe_12_xy",
        ] {
            assert!(wrong.parse::<Token>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_who_has_the_key_signs_and_only_for_its_purpose() {
        let key = Token::random().unwrap().key();
        let other: Key = Token::random().unwrap().key();
        let tag = key.sign(Purpose::Ask, "text");
        assert!(key.has_signed(Purpose::Ask, "text", &tag));
        assert!(!key.has_signed(Purpose::Answer, "text", &tag));
        assert!(!key.has_signed(Purpose::Ask, "texts", &tag));
        assert!(!other.has_signed(Purpose::Ask, "text", &tag));
        assert!(!key.has_signed(Purpose::Ask, "text", &Digest::default()));
    }
}
