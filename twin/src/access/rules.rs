//! What a role may do, and what becomes of a rule for one client.
//!
//! A rule is a topic filter in which a level may be `{client}`, `{user}`, `{quarter}` or
//! `{asset}`. It grants what the filter covers and nothing else: a value that could widen it is
//! no value, and a rule without a value for its placeholder grants nothing.

use std::borrow::Cow;

/// What a rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To publish, wills included.
    Publish,
    /// To subscribe, and to receive what is retained or queued.
    Subscribe,
}

impl Action {
    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// A rule that a role has without configuration.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// One of [`crate::config::ROLES`].
    pub role: &'static str,
    /// What it allows.
    pub action: Action,
    /// Where.
    pub filter: &'static str,
    /// Why the role has it.
    pub reason: &'static str,
}

const fn publish(role: &'static str, filter: &'static str, reason: &'static str) -> Rule {
    let action = Action::Publish;
    Rule {
        role,
        action,
        filter,
        reason,
    }
}

const fn subscribe(role: &'static str, filter: &'static str, reason: &'static str) -> Rule {
    let action = Action::Subscribe;
    Rule {
        role,
        action,
        filter,
        reason,
    }
}

/// The built-in rules. `personal/` is nobody's but the operator's: who may read of households is
/// decided by name in `[[mqtt.acl]]`. `area/` and `cell/` carry no quarter, so they are for roles
/// whose readings are public; a utility gets them by a rule of its own, also where it has every
/// quarter, because a right must not grow by leaving out a line.
pub const BUILT_IN: &[Rule] = &[
    publish("device", "dt/{quarter}/{asset}", "its readings"),
    publish("device", "dt/{quarter}/{asset}/+", "one metric of it"),
    subscribe("device", "cmd/v1/{quarter}/{asset}", "commands to it"),
    subscribe("utility", "twin/v1/{quarter}/energy/#", "the grid it runs"),
    subscribe("utility", "decision/v1/{quarter}/energy", "why it acts"),
    subscribe("lab", "twin/v1/{quarter}/#", "what its rules see"),
    subscribe("lab", "alert/v1/{quarter}/#", "what its rules found"),
    subscribe("lab", "decision/v1/{quarter}/#", "what its rules did"),
    subscribe("lab", "cell/v1/#", "comparison with other places"),
    subscribe("lab", "node/v1/+/status", "whether its node runs"),
    subscribe("dashboard", "twin/v1/{quarter}/#", "public readings"),
    subscribe("dashboard", "alert/v1/{quarter}/#", "public alerts"),
    subscribe("dashboard", "cell/v1/#", "the map, zoomed out"),
    subscribe("dashboard", "area/v1/#", "the map, zoomed in"),
    subscribe("dashboard", "node/v1/+/status", "whether it is current"),
    publish("edge", "uplink/v1/{user}", "its journal"),
    publish("edge", "uplink/v1/{user}/#", "its journal"),
    publish("edge", "node/v1/{user}/status", "whether it runs"),
    subscribe("edge", "downlink/v1/{user}/#", "what the city wants"),
    publish("operator", "#", "runs the city"),
    subscribe("operator", "#", "runs the city, personal topics too"),
    subscribe("operator", "$SYS/#", "runs the broker"),
];

/// A rule that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// Not a topic filter.
    #[error("is not a topic filter: `#` is the whole last level, `+` a whole level, no NUL")]
    Filter,
    /// `$share/..`.
    #[error("name the filter within the shared subscription, not the group")]
    Shared,
    /// Braces that are no placeholder.
    #[error(
        "{0:?} is not a placeholder: a whole level may be {{client}}, {{user}}, {{quarter}} or {{asset}}"
    )]
    Placeholder(String),
}

/// Whether `filter` can be a rule.
///
/// # Errors
/// What is wrong with it.
pub fn check_rule(filter: &str) -> Result<(), BadRule> {
    if filter.split('/').next() == Some("$share") {
        return Err(BadRule::Shared);
    }
    if filter.is_empty() || filter.len() > usize::from(u16::MAX) || filter.contains('\0') {
        return Err(BadRule::Filter);
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let whole = match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            _ => !level.contains(['+', '#']),
        };
        if !whole {
            return Err(BadRule::Filter);
        }
        if level.contains(['{', '}']) && Placeholder::of(level).is_none() {
            return Err(BadRule::Placeholder(level.to_owned()));
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Placeholder {
    Client,
    User,
    Quarter,
    Asset,
}

impl Placeholder {
    fn of(level: &str) -> Option<Self> {
        match level {
            "{client}" => Some(Self::Client),
            "{user}" => Some(Self::User),
            "{quarter}" => Some(Self::Quarter),
            "{asset}" => Some(Self::Asset),
            _ => None,
        }
    }
}

/// For whom a rule is read.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// MQTT client identifier.
    pub client: &'a str,
    /// User, where there was a login.
    pub user: Option<&'a str>,
    /// Its quarters; `None`: every one.
    pub quarters: Option<&'a [String]>,
    /// Its assets; `None`: the one with the name of the user, or of the client without login.
    pub assets: Option<&'a [String]>,
}

impl<'a> Subject<'a> {
    fn values(&self, placeholder: Placeholder) -> Vec<Cow<'a, str>> {
        let one = |value: &'a str| vec![Cow::Borrowed(value)];
        let all = |values: &'a [String]| values.iter().map(|v| Cow::Borrowed(v.as_str())).collect();
        let mut values: Vec<_> = match placeholder {
            Placeholder::Client => one(self.client),
            Placeholder::User => self.user.map(one).unwrap_or_default(),
            Placeholder::Quarter => match self.quarters {
                Some(quarters) => all(quarters),
                None => return one("+"),
            },
            Placeholder::Asset => match self.assets {
                Some(assets) => all(assets),
                None => one(self.user.unwrap_or(self.client)),
            },
        };
        values.retain(|value| is_plain(value));
        values
    }

    /// The filters that `rule` grants: one for each value of its placeholders, so none where one
    /// of them has no value.
    pub fn expand(&self, rule: &str) -> Vec<Box<str>> {
        let mut filters = vec![String::with_capacity(rule.len())];
        for (index, level) in rule.split('/').enumerate() {
            let values = match Placeholder::of(level) {
                Some(placeholder) => self.values(placeholder),
                None => vec![Cow::Borrowed(level)],
            };
            let separator = if index > 0 { "/" } else { "" };
            filters = filters
                .iter()
                .flat_map(|filter| {
                    values
                        .iter()
                        .map(move |v| format!("{filter}{separator}{v}"))
                })
                .collect();
        }
        filters.into_iter().map(String::into_boxed_str).collect()
    }
}

/// Whether a value is one level of a topic of a client. A client could choose a wildcard, two
/// levels or a topic of the server as its identifier or, with a certificate, as its name.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('$') && !value.contains(['+', '#', '/', '\0'])
}
