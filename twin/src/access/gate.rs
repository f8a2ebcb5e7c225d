//! The gate of the broker: what a CONNECT shows is checked, and what follows from it is granted.
//!
//! 1. A verified client certificate: its common name is the user. Another user name is refused,
//!    and a password that is sent as well must be right. Where the name is that of a box, it must be
//!    the very certificate that the box was enrolled with, and the box must not be retired.
//! 2. A password that begins with `qt_`: a token of that user.
//! 3. Any other password: argon2id.
//! 4. Nothing at all: the role of anonymous clients, if there is one.
//!
//! Passwords and tokens are tried only as often as [`Failures`] allows. A name that is not there
//! costs the same hash as one that is, so that time does not tell names.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use hashbrown::HashMap;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use quartier_broker::{Client, Gate, Granted, Login, Refused, Rights};
use tokio::sync::watch;

use super::audit::{Audit, Record};
use super::boxes::{self, Boxes};
use super::directory::{Change, Directory, fingerprint};
use super::failures::{Attempt, Failures};
use super::token;
use crate::config::{Mqtt, User};
use crate::engine::Observer;
use crate::event::Digest;
use crate::state::{Effects, Twin};

/// A hash with the parameters of `quartier user add` that no password is known for.
pub(super) const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$cXVhcnRpZXItZHVtbXktMQ$D8PjrtQvlcoJ7exZ5AC+K+SfQNB2JoWI2KWV3TK5WsE";

/// How a login was made, as [`Client::credential`] says it.
const CERTIFICATE: &str = "certificate";
const PASSWORD: &str = "password:";
const TOKEN: &str = "token:";

/// Logins and rights as configured.
pub struct Access {
    directory: RwLock<Arc<Directory>>,
    failures: Failures,
    /// Keyed hash of a user's PHC string with the password that was last right for it; the key is
    /// random and lives as long as the process. argon2id takes tens of milliseconds by design,
    /// and ten thousand devices may reconnect at once.
    verified: Mutex<HashMap<String, u64>>,
    key: RandomState,
    audit: Arc<Audit>,
    changes: watch::Sender<u64>,
    boxes: Boxes,
}

/// Who a login is.
struct Who {
    user: Option<Arc<str>>,
    credential: Option<String>,
    roles: Vec<String>,
}

impl Access {
    /// From `[mqtt]`.
    pub fn new(mqtt: &Mqtt, audit: Arc<Audit>) -> Self {
        Self {
            directory: RwLock::new(Arc::new(Directory::new(mqtt))),
            failures: Failures::default(),
            verified: Mutex::new(HashMap::new()),
            key: RandomState::new(),
            audit,
            changes: watch::Sender::new(0),
            boxes: Boxes::default(),
        }
    }

    /// Takes users, tokens and rules of a changed configuration; what is different. Connections
    /// are judged anew.
    pub fn replace(&self, mqtt: &Mqtt) -> Vec<Change> {
        let now = Arc::new(Directory::new(mqtt));
        let before = std::mem::replace(&mut *self.directory.write(), Arc::clone(&now));
        let changes = before.changes(&now);
        for change in &changes {
            self.audit.done(Record {
                what: "rights",
                result: change.what,
                detail: Some(&change.subject),
                ..Record::default()
            });
        }
        if !changes.is_empty() {
            self.changes.send_modify(|changes| *changes += 1);
        }
        changes
    }

    /// Puts what somebody did into the audit.
    pub fn did(&self, record: Record<'_>) {
        self.audit.done(record);
    }

    /// Puts what somebody was refused into the audit, as often as refusals may be.
    pub fn turned_away(&self, record: Record<'_>) {
        self.audit.refused(record);
    }

    /// Has connections judged anew where a token ended after `since`.
    pub fn expire(&self, since: Timestamp, now: Timestamp) {
        if self.directory().any_expires(since, now) {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Takes the boxes of a city from its twin; connections are judged anew where they changed.
    pub fn follow(&self, twin: &Twin) {
        if self.boxes.follow(twin) {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Whether somebody of this name is configured.
    pub fn is_user(&self, name: &str) -> bool {
        self.directory().user(name).is_some()
    }

    fn rights_of(&self, directory: &Directory, client: &str, who: &Who) -> Rights {
        let user = who.user.as_deref();
        let of_box = user.zip(who.credential.as_deref());
        let quarter = of_box.and_then(|(name, credential)| self.boxes.quarter(name, credential));
        match (user, quarter) {
            (Some(name), Some(quarter)) => directory.rights_of_box(client, name, quarter),
            // Retired this very moment.
            _ if of_box.is_some_and(|(_, credential)| boxes::is_credential(credential)) => {
                Rights::default()
            }
            _ => directory.rights(client, user, &who.roles),
        }
    }

    /// `None`: too many failures.
    pub(super) fn attempt(&self, name: &str, from: IpAddr, now: Instant) -> Option<Attempt> {
        self.failures.attempt(name, from, now)
    }

    pub(super) fn succeeded(&self, attempt: &Attempt) {
        self.failures.succeeded(attempt);
    }

    pub(super) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read())
    }

    fn who(&self, directory: &Directory, login: &Login<'_>) -> Result<Who, Refused> {
        let certificate = login.peer.certificate.as_ref();
        let certified = certificate.map(|certificate| &*certificate.name);
        if certified.is_some() && login.user.is_some() && login.user != certified {
            return Err(Refused::BadUserOrPassword);
        }
        let by_password = match (login.password, certified.or(login.user)) {
            (Some(password), Some(name)) => Some(self.paid_for(directory, login, name, password)?),
            (Some(_), None) => return Err(Refused::BadUserOrPassword),
            (None, _) => None,
        };
        let who = |user: &str, credential: String, roles: &[String]| Who {
            user: Some(user.into()),
            credential: Some(credential),
            roles: roles.to_vec(),
        };
        match (certified, login.user, by_password) {
            (Some(name), _, _) if self.boxes.knows(name) => {
                let shown = certificate.map(|certificate| Digest(certificate.sha256));
                let credential = shown.and_then(|shown| self.boxes.credential(name, shown));
                let credential = credential.ok_or(Refused::NotAuthorized)?;
                Ok(who(name, credential, &boxes::roles()))
            }
            (Some(name), _, _) => {
                let roles = certificate_roles(directory, name).ok_or(Refused::NotAuthorized)?;
                Ok(who(name, CERTIFICATE.to_owned(), &roles))
            }
            (None, Some(name), Some(credential)) => {
                let user = directory.user(name).ok_or(Refused::BadUserOrPassword)?;
                Ok(who(name, credential, &user.roles))
            }
            (None, Some(_), None) => Err(Refused::BadUserOrPassword),
            (None, None, _) => {
                let role = directory.anonymous().ok_or(Refused::NotAuthorized)?;
                Ok(Who {
                    user: None,
                    credential: None,
                    roles: vec![role.to_owned()],
                })
            }
        }
    }

    /// Checks a password or token as often as it may be tried; the credential.
    fn paid_for(
        &self,
        directory: &Directory,
        login: &Login<'_>,
        name: &str,
        password: &[u8],
    ) -> Result<String, Refused> {
        let address = login.peer.address.ip();
        let attempt = self.failures.attempt(name, address, Instant::now());
        let attempt = attempt.ok_or(Refused::TooManyFailures)?;
        let credential = match token::parse(password) {
            Some((id, secret)) => by_token(directory, name, id, secret),
            None => self.by_password(directory.user(name), password),
        };
        let credential = credential.ok_or(Refused::BadUserOrPassword)?;
        self.failures.succeeded(&attempt);
        Ok(credential)
    }

    fn by_password(&self, user: Option<&User>, password: &[u8]) -> Option<String> {
        let known = user.and_then(|user| Some((user, user.password_hash.as_deref()?)));
        let phc = known.map_or(DUMMY, |(_, phc)| phc);
        let digest = self.key.hash_one((phc, password));
        if let Some((user, phc)) = known
            && self.verified.lock().get(&user.name) == Some(&digest)
        {
            return Some(format!("{PASSWORD}{}", fingerprint(phc)));
        }
        let hash = PasswordHash::new(phc).ok()?;
        let right = Argon2::default().verify_password(password, &hash).is_ok();
        let (user, phc) = known.filter(|_| right)?;
        self.verified.lock().insert(user.name.clone(), digest);
        Some(format!("{PASSWORD}{}", fingerprint(phc)))
    }

    fn tell(&self, login: &Login<'_>, result: &Result<Granted, Refused>) {
        let said = match result {
            Ok(_) => "granted",
            Err(Refused::BadUserOrPassword) => "bad_credentials",
            Err(Refused::NotAuthorized) => "not_authorized",
            Err(Refused::TooManyFailures) => "too_many_failures",
        };
        metrics::counter!("quartier_mqtt_logins_total", "result" => said).increment(1);
        let granted = result.as_ref().ok();
        let certified = login.peer.certificate.as_ref();
        let certified = certified.map(|certificate| &*certificate.name);
        let record = Record {
            what: "login",
            result: said,
            address: Some(login.peer.address),
            client: Some(login.client_id),
            user: login.user.or(certified),
            detail: granted.and_then(|granted| granted.credential.as_deref()),
            ..Record::default()
        };
        match result {
            Ok(_) => self.audit.granted(record),
            Err(_) => self.audit.refused(record),
        }
    }
}

fn by_token(directory: &Directory, name: &str, id: &str, secret: &str) -> Option<String> {
    let token = directory.token(id, Timestamp::now())?;
    (token::has_hash(secret, &token.hash) && token.user == name).then(|| format!("{TOKEN}{id}"))
}

/// Roles of a verified certificate; `None`: it is good for nothing here.
fn certificate_roles(directory: &Directory, name: &str) -> Option<Vec<String>> {
    match directory.user(name) {
        Some(user) => Some(user.roles.clone()),
        None => Some(vec![directory.by_certificate()?.to_owned()]),
    }
}

/// The roles that a client has now; `None`: what it logged in with is not good any more.
fn roles_now(directory: &Directory, client: &Client) -> Option<Vec<String>> {
    let (name, credential) = match (&client.user, &client.credential) {
        (Some(name), Some(credential)) => (name, credential),
        _ => return Some(vec![directory.anonymous()?.to_owned()]),
    };
    if &**credential == CERTIFICATE {
        return certificate_roles(directory, name);
    }
    let user = directory.user(name)?;
    let good = match credential.strip_prefix(TOKEN) {
        Some(id) => {
            let token = directory.token(id, Timestamp::now());
            token.is_some_and(|token| token.user == user.name)
        }
        None => {
            let phc = user.password_hash.as_deref()?;
            credential.strip_prefix(PASSWORD) == Some(&fingerprint(phc))
        }
    };
    good.then(|| user.roles.clone())
}

impl Observer for Access {
    fn changed(&self, twin: &Twin, effects: &Effects) {
        if !effects.edges.is_empty() {
            self.follow(twin);
        }
        if !effects.settled.is_empty() {
            self.audit.settled(&effects.settled);
        }
    }
}

impl Gate for Access {
    fn login(&self, login: &Login<'_>) -> Result<Granted, Refused> {
        let directory = self.directory();
        let result = self.who(&directory, login).map(|who| Granted {
            rights: self.rights_of(&directory, login.client_id, &who),
            user: who.user,
            credential: who.credential.map(Into::into),
            roles: who.roles.into(),
        });
        self.tell(login, &result);
        result
    }

    fn rights(&self, client: &Client) -> Option<Rights> {
        let directory = self.directory();
        if let Some((name, credential)) = client.user.as_deref().zip(client.credential.as_deref())
            && boxes::is_credential(credential)
        {
            let quarter = self.boxes.quarter(name, credential)?;
            return Some(directory.rights_of_box(&client.id, name, quarter));
        }
        let roles = roles_now(&directory, client)?;
        Some(directory.rights(&client.id, client.user.as_deref(), &roles))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
