//! Who speaks over HTTP, and what that one may change.
//!
//! A bearer token is one of `quartier token issue`; without one the caller is whom the node takes
//! MQTT clients without login for. Guessing is slowed down as at the broker's door.

use std::net::IpAddr;
use std::time::Instant;

use jiff::Timestamp;

use super::gate::Access;
use super::token;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principal {
    /// User of the token; `None`: nobody logged in.
    pub user: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its quarters; `None`: every one.
    pub quarters: Option<Vec<String>>,
}

/// What may be changed or seen over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Bring, promote within the quarter, roll back and remove plugins.
    Deploy,
    /// Take a plugin beyond its quarter.
    Spread,
    /// Ask for commands and judge those that wait.
    Command,
    /// Invite, drain and retire boxes.
    Fleet,
    /// See values that speak of a household or a person.
    Personal,
}

/// A token that is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Unknown, wrong, expired or revoked.
    #[error("the bearer token is not good: quartier token issue makes one")]
    Token,
    /// Too many wrong ones.
    #[error("too many wrong tokens came from this address; wait some seconds")]
    TooMany,
}

impl Principal {
    /// For messages and records.
    pub fn name(&self) -> &str {
        self.user.as_deref().unwrap_or("anonymous")
    }

    /// Whether it has `right` in `quarter`.
    pub fn may(&self, right: Right, quarter: &str) -> bool {
        let here = self
            .quarters
            .as_ref()
            .is_none_or(|quarters| quarters.iter().any(|own| own == quarter));
        here && self.roles.iter().any(|role| match right {
            Right::Deploy => matches!(role.as_str(), "lab" | "operator"),
            Right::Command => matches!(role.as_str(), "utility" | "operator"),
            Right::Spread | Right::Personal | Right::Fleet => role == "operator",
        })
    }
}

impl Right {
    /// Roles that have it, for messages.
    pub fn roles(self) -> &'static str {
        match self {
            Self::Deploy => "lab or operator",
            Self::Command => "utility or operator",
            Self::Spread | Self::Personal | Self::Fleet => "operator",
        }
    }
}

impl Access {
    /// Who sends this token from this address; without a token, whom a client without login is
    /// taken for.
    ///
    /// # Errors
    /// The token is not good, or too many wrong ones came.
    pub fn principal(&self, token: Option<&str>, from: IpAddr) -> Result<Principal, Denied> {
        let directory = self.directory();
        let Some(text) = token else {
            let roles = directory.anonymous().map(str::to_owned);
            return Ok(Principal {
                roles: roles.into_iter().collect(),
                ..Principal::default()
            });
        };
        let (id, secret) = token::parse(text.as_bytes()).ok_or(Denied::Token)?;
        let attempt = self.attempt(id, from, Instant::now());
        let attempt = attempt.ok_or(Denied::TooMany)?;
        let known = directory
            .token(id, Timestamp::now())
            .filter(|token| token::has_hash(secret, &token.hash))
            .and_then(|token| directory.user(&token.user))
            .ok_or(Denied::Token)?;
        self.succeeded(&attempt);
        Ok(Principal {
            user: Some(known.name.clone()),
            roles: known.roles.clone(),
            quarters: known.quarters.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Principal, Right};

    fn principal(role: &str, quarters: Option<&[&str]>) -> Principal {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Principal {
            user: Some("x".to_owned()),
            roles: vec![role.to_owned()],
            quarters: quarters.map(owned),
        }
    }

    #[test]
    fn a_lab_deploys_in_its_own_quarters_and_nowhere_else() {
        let lab = principal("lab", Some(&["johannstadt"]));
        assert!(lab.may(Right::Deploy, "johannstadt"));
        assert!(!lab.may(Right::Deploy, "friedrichstadt"));
        assert!(!lab.may(Right::Spread, "johannstadt"));
        assert!(!lab.may(Right::Command, "johannstadt"));
        assert!(!lab.may(Right::Personal, "johannstadt"));
    }

    #[test]
    fn an_operator_may_all_and_a_device_nothing() {
        let all = [
            Right::Deploy,
            Right::Spread,
            Right::Command,
            Right::Personal,
            Right::Fleet,
        ];
        let (operator, device) = (principal("operator", None), principal("device", None));
        for right in all {
            assert!(operator.may(right, "a"), "{right:?}");
            assert!(!device.may(right, "a"), "{right:?}");
        }
    }
}
