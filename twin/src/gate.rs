//! Who may connect: users of the configuration with argon2id hashes.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use hashbrown::HashMap;
use parking_lot::Mutex;
use quartier_broker::{Client, Gate, Granted, Login, Refused, Rights};
use tokio::sync::watch;

use crate::config::{Mqtt, User};

/// Logins of the configuration.
pub struct ConfiguredUsers {
    anonymous: Option<Arc<[String]>>,
    users: HashMap<String, (User, Arc<[String]>)>,
    /// Keyed hash of the password that was last right for a user; the key is random and lives as
    /// long as the process. argon2id takes tens of milliseconds by design, and ten thousand
    /// devices may reconnect at once.
    verified: Mutex<HashMap<String, u64>>,
    key: RandomState,
    changes: watch::Sender<u64>,
}

impl ConfiguredUsers {
    /// From `[mqtt]`.
    pub fn new(mqtt: &Mqtt) -> Self {
        let roles = |roles: &[String]| Arc::<[String]>::from(roles.to_vec());
        let anonymous =
            (mqtt.anonymous != "none").then(|| roles(std::slice::from_ref(&mqtt.anonymous)));
        let users = mqtt
            .users
            .iter()
            .map(|user| (user.name.clone(), (user.clone(), roles(&user.roles))))
            .collect();
        Self {
            anonymous,
            users,
            verified: Mutex::new(HashMap::new()),
            key: RandomState::new(),
            changes: watch::Sender::new(0),
        }
    }
}

impl ConfiguredUsers {
    fn roles(&self, login: &Login<'_>) -> Result<Arc<[String]>, Refused> {
        let Some(name) = login.user else {
            return self.anonymous.clone().ok_or(Refused::NotAuthorized);
        };
        let (user, roles) = self.users.get(name).ok_or(Refused::BadUserOrPassword)?;
        let password = login.password.ok_or(Refused::BadUserOrPassword)?;
        let digest = self.key.hash_one(password);
        if self.verified.lock().get(name) == Some(&digest) {
            return Ok(Arc::clone(roles));
        }
        let hash =
            PasswordHash::new(&user.password_hash).map_err(|_| Refused::BadUserOrPassword)?;
        Argon2::default()
            .verify_password(password, &hash)
            .map_err(|_| Refused::BadUserOrPassword)?;
        self.verified.lock().insert(name.to_owned(), digest);
        Ok(Arc::clone(roles))
    }
}

impl Gate for ConfiguredUsers {
    fn login(&self, login: &Login<'_>) -> Result<Granted, Refused> {
        Ok(Granted {
            user: login.user.map(Into::into),
            credential: None,
            roles: self.roles(login)?,
            rights: Rights::all(),
        })
    }

    fn rights(&self, _: &Client) -> Option<Rights> {
        Some(Rights::all())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
