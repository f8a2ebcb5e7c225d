//! Users, tokens and rules as one immutable whole, made from a checked configuration.

use hashbrown::HashMap;
use jiff::Timestamp;
use quartier_broker::Rights;
use sha2::{Digest as _, Sha256};

use super::rules::{Action, BUILT_IN, Subject};
use super::token::hex;
use crate::config::{Acl, Mqtt, ROLES, Token, User};

/// Who there is, and what they may do.
#[derive(Debug)]
pub struct Directory {
    anonymous: Option<String>,
    by_certificate: Option<String>,
    users: HashMap<String, User>,
    tokens: HashMap<String, Token>,
    roles: HashMap<String, Lists>,
    /// Rules that users have beside those of their roles.
    own: HashMap<String, Lists>,
}

/// Filters with placeholders.
#[derive(Debug, Default, PartialEq)]
struct Lists {
    publish: Vec<String>,
    subscribe: Vec<String>,
}

impl Lists {
    fn add(&mut self, acl: &Acl) {
        self.publish.extend_from_slice(&acl.publish);
        self.subscribe.extend_from_slice(&acl.subscribe);
    }
}

/// What is different between two directories, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whom or what it is about.
    pub subject: String,
    /// What became of it.
    pub what: &'static str,
}

impl Directory {
    /// From `[mqtt]`.
    pub fn new(mqtt: &Mqtt) -> Self {
        let (mut roles, mut own) = (HashMap::new(), HashMap::new());
        for acl in &mqtt.acl {
            let lists = match (&acl.role, &acl.user) {
                (Some(role), _) => roles.entry(role.clone()),
                (None, Some(user)) => own.entry(user.clone()),
                (None, None) => continue,
            };
            lists.or_insert_with(Lists::default).add(acl);
        }
        for role in ROLES {
            roles
                .entry(role.to_owned())
                .or_insert_with(|| built_in(role));
        }
        let named = |user: &User| (user.name.clone(), user.clone());
        let by_id = |token: &Token| (token.id.clone(), token.clone());
        Self {
            anonymous: mqtt.anonymous_role().map(str::to_owned),
            by_certificate: mqtt.role_by_certificate().map(str::to_owned),
            users: mqtt.users.iter().map(named).collect(),
            tokens: mqtt.tokens.iter().map(by_id).collect(),
            roles,
            own,
        }
    }

    /// Role of clients without any credential.
    pub(super) fn anonymous(&self) -> Option<&str> {
        self.anonymous.as_deref()
    }

    /// Role of a valid certificate whose common name is no user.
    pub(super) fn by_certificate(&self) -> Option<&str> {
        self.by_certificate.as_deref()
    }

    /// A configured user.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// A token that is good at `now`.
    pub(super) fn token(&self, id: &str, now: Timestamp) -> Option<&Token> {
        let token = self.tokens.get(id)?;
        token.expires.is_none_or(|end| now < end).then_some(token)
    }

    /// Whether a token ends after `since` and not after `now`.
    pub(super) fn any_expires(&self, since: Timestamp, now: Timestamp) -> bool {
        let mut ends = self.tokens.values().filter_map(|token| token.expires);
        ends.any(|end| since < end && end <= now)
    }

    /// The filters that `subject` may use in `action`, with the roles it has.
    pub fn filters(
        &self,
        action: Action,
        roles: &[String],
        subject: &Subject<'_>,
    ) -> Vec<Box<str>> {
        let of_roles = roles.iter().filter_map(|role| self.roles.get(role));
        let own = subject.user.and_then(|user| self.own.get(user));
        let mut filters: Vec<_> = of_roles
            .chain(own)
            .flat_map(|lists| match action {
                Action::Publish => &lists.publish,
                Action::Subscribe => &lists.subscribe,
            })
            .flat_map(|rule| subject.expand(rule))
            .collect();
        filters.sort_unstable();
        filters.dedup();
        filters
    }

    /// What the client `client` may do as `user`, with the roles it has.
    pub(super) fn rights(&self, client: &str, user: Option<&str>, roles: &[String]) -> Rights {
        let configured = user.and_then(|name| self.users.get(name));
        let subject = Subject {
            client,
            user,
            quarters: configured.and_then(|user| user.quarters.as_deref()),
            assets: configured.and_then(|user| user.assets.as_deref()),
        };
        Rights {
            publish: self.filters(Action::Publish, roles, &subject).into(),
            subscribe: self.filters(Action::Subscribe, roles, &subject).into(),
        }
    }

    /// What the box `node` of a quarter may do.
    pub(super) fn rights_of_box(&self, client: &str, node: &str, quarter: String) -> Rights {
        let quarters = [quarter];
        let subject = Subject {
            client,
            user: Some(node),
            quarters: Some(&quarters),
            assets: None,
        };
        let roles = super::boxes::roles();
        Rights {
            publish: self.filters(Action::Publish, &roles, &subject).into(),
            subscribe: self.filters(Action::Subscribe, &roles, &subject).into(),
        }
    }

    /// What `now` has otherwise than `self`.
    pub(super) fn changes(&self, now: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        different("user", &self.users, &now.users, &mut changes);
        different("token", &self.tokens, &now.tokens, &mut changes);
        different("rules of role", &self.roles, &now.roles, &mut changes);
        different("rules of user", &self.own, &now.own, &mut changes);
        let settings = [
            ("anonymous", &self.anonymous, &now.anonymous),
            (
                "certificate_role",
                &self.by_certificate,
                &now.by_certificate,
            ),
        ];
        for (name, before, after) in settings {
            if before != after {
                let after = after.as_deref().unwrap_or("none");
                let subject = format!("{name} = {after}");
                changes.push(Change {
                    subject,
                    what: "changed",
                });
            }
        }
        changes
    }
}

/// The built-in rules of a role.
fn built_in(role: &str) -> Lists {
    let mut lists = Lists::default();
    for rule in BUILT_IN.iter().filter(|rule| rule.role == role) {
        let list = match rule.action {
            Action::Publish => &mut lists.publish,
            Action::Subscribe => &mut lists.subscribe,
        };
        list.push(rule.filter.to_owned());
    }
    lists
}

fn different<V: PartialEq>(
    kind: &str,
    before: &HashMap<String, V>,
    after: &HashMap<String, V>,
    changes: &mut Vec<Change>,
) {
    let known = before
        .iter()
        .filter_map(|(name, value)| match after.get(name) {
            None => Some((name, "removed")),
            Some(now) if now != value => Some((name, "changed")),
            Some(_) => None,
        });
    let new = after.keys().filter(|name| !before.contains_key(*name));
    let all = known.chain(new.map(|name| (name, "added")));
    let mut all: Vec<_> = all
        .map(|(name, what)| Change {
            subject: format!("{kind} {name}"),
            what,
        })
        .collect();
    all.sort_by(|a, b| a.subject.cmp(&b.subject));
    changes.append(&mut all);
}

/// Names a password hash without telling it: a connection knows with which one it logged in.
pub(super) fn fingerprint(password_hash: &str) -> String {
    let digest = Sha256::digest(password_hash.as_bytes());
    hex(digest.get(..8).unwrap_or_default())
}
