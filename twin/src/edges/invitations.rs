//! Invitations of boxes: `DATA/invitations.json`, readable by its owner only, because it has what
//! is needed to use them. An invitation is used once, within its time, and ends after some wrong
//! tries.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::enrol::{EnrolAsk, Key, Purpose, Token, TokenError};
use crate::files;
use crate::model::Millis;

/// The longest that an invitation may be good: two weeks.
pub const LONGEST_HOURS: u32 = 14 * 24;
/// Wrong tries after which it ends.
const TRIES: u32 = 10;
/// Open at once.
const MOST: usize = 1000;
const HOUR_MS: i64 = 3_600_000;

/// Who is invited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Name of the node that the box will have.
    pub node: String,
    /// Id of its quarter.
    pub quarter: String,
    /// User who invited it.
    pub by: String,
    /// Reason given.
    pub why: String,
    /// Not good from then on.
    pub expires: Millis,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    invitation: Invitation,
    key: Key,
    tries: u32,
}

/// Why an invitation cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    /// Unknown, used, expired or tried too often. Which one is not told: whoever guesses learns
    /// nothing.
    #[error(
        "the token is not good: it was used, has expired or was never given; ask for a new one \
         (quartier edge invite)"
    )]
    NotGood,
    /// Too many are open.
    #[error("{MOST} invitations are open already")]
    TooMany,
    /// No token can be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// All that are open.
pub struct Invitations {
    path: PathBuf,
    open: Mutex<BTreeMap<String, Kept>>,
}

/// An invitation that was used, with the key to sign the answer with.
#[derive(Debug)]
pub struct Admitted {
    /// Who is invited.
    pub invitation: Invitation,
    key: Key,
}

impl Admitted {
    /// Signs the city's answer.
    pub fn sign(&self, answer: &str) -> crate::event::Digest {
        self.key.sign(Purpose::Answer, answer)
    }
}

impl std::fmt::Debug for Key {
    /// Without itself: it is nobody's business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Invitations {
    /// Of a data folder. A damaged file is set aside as `invitations.corrupt`: boxes that were
    /// invited are to be invited again.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(data: &Path) -> Result<Self, InvitationError> {
        let path = data.join("invitations.json");
        let failed = |source| InvitationError::File {
            path: path.clone(),
            source,
        };
        let open = match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(open) => open,
                Err(error) => {
                    let aside = path.with_extension("corrupt");
                    tracing::error!(%error, aside = %aside.display(), "the invitations are damaged, set aside");
                    fs::rename(&path, aside).map_err(failed)?;
                    BTreeMap::new()
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            path,
            open: Mutex::new(open),
        })
    }

    /// Invites a box; an earlier invitation of the same name ends. Writes a file.
    ///
    /// # Errors
    /// See [`InvitationError`].
    pub fn invite(&self, invitation: Invitation, hours: u32) -> Result<Token, InvitationError> {
        let now = Millis::now();
        let token = Token::random()?;
        let mut open = self.open.lock();
        open.retain(|_, kept| {
            kept.invitation.expires > now && kept.invitation.node != invitation.node
        });
        if open.len() >= MOST {
            return Err(InvitationError::TooMany);
        }
        let expires = now.plus(i64::from(hours.min(LONGEST_HOURS)) * HOUR_MS);
        let kept = Kept {
            invitation: Invitation {
                expires,
                ..invitation
            },
            key: token.key(),
            tries: 0,
        };
        open.insert(token.id.clone(), kept);
        self.write(&open)?;
        Ok(token)
    }

    /// Uses an invitation, for ever. Writes a file.
    ///
    /// # Errors
    /// See [`InvitationError`].
    pub fn take(&self, ask: &EnrolAsk) -> Result<Admitted, InvitationError> {
        let mut open = self.open.lock();
        let now = Millis::now();
        let good = open.get(&ask.id).is_some_and(|kept| {
            kept.invitation.expires > now && kept.key.has_signed(Purpose::Ask, &ask.csr, &ask.mac)
        });
        if good && let Some(kept) = open.remove(&ask.id) {
            // On disk before it is answered: after a crash it must not be good again.
            self.write(&open)?;
            let (invitation, key) = (kept.invitation, kept.key);
            return Ok(Admitted { invitation, key });
        }
        if let Some(kept) = open.get_mut(&ask.id) {
            kept.tries += 1;
            if kept.tries >= TRIES {
                open.remove(&ask.id);
            }
            self.write(&open)?;
        }
        Err(InvitationError::NotGood)
    }

    fn write(&self, open: &BTreeMap<String, Kept>) -> Result<(), InvitationError> {
        let write = || {
            let content = serde_json::to_vec_pretty(open)?;
            files::replace(&self.path, &content, files::PRIVATE)
        };
        write().map_err(|source| InvitationError::File {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Digest;

    fn wanted() -> Invitation {
        Invitation {
            node: "box-1".to_owned(),
            quarter: "dresden-ost".to_owned(),
            by: "anna".to_owned(),
            why: "first".to_owned(),
            expires: Millis(0),
        }
    }

    fn ask(token: &Token, csr: &str) -> EnrolAsk {
        EnrolAsk {
            id: token.id.clone(),
            csr: csr.to_owned(),
            mac: token.key().sign(Purpose::Ask, csr),
        }
    }

    #[test]
    fn an_invitation_is_used_once_also_after_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let invitations = Invitations::open(data.path()).unwrap();
        let token = invitations.invite(wanted(), 1).unwrap();
        let again = Invitations::open(data.path()).unwrap();
        assert_eq!(
            again.take(&ask(&token, "csr")).unwrap().invitation.node,
            "box-1"
        );
        assert!(again.take(&ask(&token, "csr")).is_err());
        let again = Invitations::open(data.path()).unwrap();
        assert!(again.take(&ask(&token, "csr")).is_err());
    }

    #[test]
    fn a_wrong_secret_an_expired_time_and_a_newer_invitation_are_not_good() {
        let data = tempfile::tempdir().unwrap();
        let invitations = Invitations::open(data.path()).unwrap();
        let expired = invitations.invite(wanted(), 0).unwrap();
        assert!(invitations.take(&ask(&expired, "csr")).is_err());
        let old = invitations.invite(wanted(), 1).unwrap();
        let new = invitations.invite(wanted(), 1).unwrap();
        assert!(invitations.take(&ask(&old, "csr")).is_err());
        let forged = EnrolAsk {
            mac: Digest::default(),
            ..ask(&new, "csr")
        };
        for _ in 0..TRIES - 1 {
            assert!(invitations.take(&forged).is_err());
        }
        assert!(invitations.take(&ask(&new, "csr")).is_ok());
        let last = invitations.invite(wanted(), 1).unwrap();
        let forged = EnrolAsk {
            id: last.id.clone(),
            ..forged
        };
        for _ in 0..TRIES {
            assert!(invitations.take(&forged).is_err());
        }
        assert!(
            invitations.take(&ask(&last, "csr")).is_err(),
            "tried too often"
        );
    }
}
