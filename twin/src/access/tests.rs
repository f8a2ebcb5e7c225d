//! Logins, rights and what becomes of them when the configuration changes.

use std::net::SocketAddr;
use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordHasher as _};
use jiff::{Timestamp, ToSpan as _};
use quartier_broker::{Certificate, Client, Gate as _, Granted, Login, Peer, Refused, Rights};

use super::token::{has_hash, parse};
use super::*;
use crate::config::{Acl, Mqtt, ROLES, Token, User};

fn hash(password: &str) -> String {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.unwrap().to_string()
}

fn user(name: &str, password: &str, roles: &[&str]) -> User {
    User {
        name: name.to_owned(),
        password_hash: Some(hash(password)),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        quarters: None,
        assets: None,
    }
}

struct Door {
    access: Access,
    folder: tempfile::TempDir,
}

impl Door {
    fn new(mqtt: &Mqtt) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let audit = Arc::new(Audit::open(folder.path()).unwrap());
        let access = Access::new(mqtt, audit);
        Self { access, folder }
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap()
    }

    fn login(&self, show: &Show<'_>) -> Result<Granted, Refused> {
        self.access.login(&Login {
            client_id: show.client,
            user: show.user,
            password: show.password.map(str::as_bytes),
            peer: &show.peer(),
        })
    }

    fn client(&self, show: &Show<'_>) -> Client {
        let granted = self.login(show).unwrap();
        Client {
            id: show.client.into(),
            user: granted.user,
            credential: granted.credential,
            roles: granted.roles,
            peer: show.peer(),
        }
    }
}

#[derive(Clone, Copy)]
struct Show<'a> {
    client: &'a str,
    user: Option<&'a str>,
    password: Option<&'a str>,
    certificate: Option<&'a str>,
    from: u8,
}

const NOTHING: Show<'static> = Show {
    client: "c",
    user: None,
    password: None,
    certificate: None,
    from: 1,
};

impl Show<'_> {
    fn peer(&self) -> Peer {
        Peer {
            address: SocketAddr::from(([192, 0, 2, self.from], 1)),
            certificate: self.certificate.map(|name| Certificate {
                name: name.into(),
                sha256: [0; 32],
            }),
        }
    }
}

fn with<'a>(user: &'a str, password: &'a str) -> Show<'a> {
    Show {
        user: Some(user),
        password: Some(password),
        ..NOTHING
    }
}

fn certified(name: &str) -> Show<'_> {
    Show {
        certificate: Some(name),
        ..NOTHING
    }
}

fn token(expires: Option<Timestamp>, user: &str) -> (Token, String) {
    let new = NewToken::random().unwrap();
    let token = Token {
        id: new.id,
        hash: new.hash,
        user: user.to_owned(),
        expires,
    };
    (token, new.text)
}

#[test]
fn a_rule_becomes_one_filter_for_each_value_of_its_placeholders() {
    let (quarters, assets) = (["a", "b"].map(String::from), ["x", "y"].map(String::from));
    let subject = Subject {
        client: "c",
        user: Some("u"),
        quarters: Some(&quarters),
        assets: Some(&assets),
    };
    let expanded = |rule| {
        let filters = subject.expand(rule);
        filters.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        expanded("dt/{quarter}/{asset}/+"),
        ["dt/a/x/+", "dt/a/y/+", "dt/b/x/+", "dt/b/y/+"]
    );
    assert_eq!(expanded("{user}/{client}/#"), ["u/c/#"]);
    assert_eq!(expanded("plain/+/#"), ["plain/+/#"]);
    let everywhere = Subject {
        quarters: None,
        assets: None,
        ..subject
    };
    let filters = everywhere.expand("dt/{quarter}/{asset}");
    assert_eq!(filters, [Box::from("dt/+/u")]);
    let nowhere = Subject {
        quarters: Some(&[]),
        ..subject
    };
    assert!(nowhere.expand("dt/{quarter}/{asset}").is_empty());
}

#[test]
fn a_value_that_would_widen_a_rule_grants_nothing() {
    for evil in ["+", "#", "", "a/b", "a/#", "x+", "a\0", "$SYS", "/"] {
        let list = [evil.to_owned()];
        let subject = Subject {
            client: evil,
            user: Some(evil),
            quarters: Some(&list),
            assets: Some(&list),
        };
        for rule in [
            "{client}/#",
            "a/{user}",
            "{user}",
            "a/{quarter}/b",
            "a/{asset}",
        ] {
            assert!(subject.expand(rule).is_empty(), "{rule} with {evil:?}");
        }
        let named = Subject {
            quarters: None,
            assets: None,
            ..subject
        };
        assert!(named.expand("dt/{quarter}/{asset}").is_empty(), "{evil:?}");
    }
}

#[test]
fn what_is_no_filter_or_no_placeholder_is_no_rule() {
    for good in [
        "a",
        "#",
        "+/a/#",
        "dt/{quarter}/{asset}",
        "$SYS/#",
        "a//b",
        "/",
    ] {
        assert_eq!(check_rule(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "a/#/b",
        "a#",
        "a+/b",
        "a\0",
        "{x}",
        "a/{clientid}",
        "x{client}",
        "{",
        "a/b}",
        "$share/g/a",
        "$share",
    ] {
        assert!(check_rule(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn every_built_in_rule_is_one_of_a_known_role() {
    for rule in BUILT_IN {
        assert_eq!(check_rule(rule.filter), Ok(()), "{rule:?}");
        assert!(ROLES.contains(&rule.role), "{rule:?}");
        let personal = rule.filter.starts_with("personal") || rule.filter == "#";
        assert!(!personal || rule.role == "operator", "{rule:?}");
    }
    for role in ROLES {
        assert!(BUILT_IN.iter().any(|rule| rule.role == role), "{role}");
    }
}

fn rights(mqtt: &Mqtt, name: &str) -> Rights {
    let door = Door::new(mqtt);
    door.login(&with(name, "correct horse")).unwrap().rights
}

#[test]
fn rules_of_a_role_are_replaced_and_those_of_a_user_are_added() {
    let quarters = Some(vec!["q".to_owned()]);
    let mut mqtt = Mqtt {
        users: vec![User {
            quarters,
            ..user("u", "correct horse", &["utility", "device"])
        }],
        ..Mqtt::default()
    };
    let built_in = rights(&mqtt, "u");
    assert!(built_in.may_subscribe("twin/v1/q/energy/#"));
    assert!(!built_in.may_subscribe("twin/v1/other/energy/#"));
    assert!(built_in.may_publish("dt/q/u") && !built_in.may_publish("dt/q/other"));
    mqtt.acl = vec![
        Acl {
            role: Some("utility".to_owned()),
            subscribe: vec!["only/{user}".to_owned()],
            ..Acl::default()
        },
        Acl {
            user: Some("u".to_owned()),
            publish: vec!["extra/#".to_owned()],
            subscribe: vec!["personal/v1/{quarter}/energy/#".to_owned()],
            ..Acl::default()
        },
    ];
    let configured = rights(&mqtt, "u");
    assert!(!configured.may_subscribe("twin/v1/q/energy/#"));
    assert!(configured.may_subscribe("only/u") && configured.may_publish("extra/x"));
    assert!(configured.may_subscribe("personal/v1/q/energy/a/power"));
    assert!(configured.may_publish("dt/q/u"), "the other role stays");
}

#[test]
fn only_the_right_password_of_the_right_user_is_good() {
    let mqtt = Mqtt {
        users: vec![
            user("a", "correct horse", &["device"]),
            user("b", "battery staple", &["lab"]),
            User {
                password_hash: None,
                ..user("no-password", "", &["device"])
            },
        ],
        ..Mqtt::default()
    };
    let door = Door::new(&mqtt);
    for _ in 0..2 {
        let granted = door.login(&with("a", "correct horse")).unwrap();
        assert_eq!(
            (granted.user.as_deref(), &granted.roles[..]),
            (Some("a"), &["device".to_owned()][..])
        );
    }
    for (name, password) in [
        ("a", "battery staple"),
        ("b", "correct horse"),
        ("c", "correct horse"),
        ("no-password", ""),
        ("a", ""),
    ] {
        let refused = door.login(&with(name, password));
        assert_eq!(refused, Err(Refused::BadUserOrPassword), "{name}");
    }
    let no_password = Show {
        user: Some("a"),
        ..NOTHING
    };
    assert_eq!(door.login(&no_password), Err(Refused::BadUserOrPassword));
    let no_user = Show {
        password: Some("correct horse"),
        ..NOTHING
    };
    assert_eq!(door.login(&no_user), Err(Refused::BadUserOrPassword));
    assert_eq!(door.login(&NOTHING), Err(Refused::NotAuthorized));
    let audit = door.audit();
    assert_eq!(audit.lines().count(), 10, "{audit}");
    assert!(
        !audit.contains("horse") && !audit.contains("staple"),
        "{audit}"
    );
    assert!(!audit.contains("argon2id"), "{audit}");
}

#[test]
fn an_unknown_name_costs_as_much_as_a_known_one() {
    let dummy = super::gate::DUMMY;
    let parsed = PasswordHash::new(dummy).unwrap();
    let real = hash("x");
    let real = PasswordHash::new(&real).unwrap();
    assert_eq!(parsed.params, real.params);
    assert_eq!(
        (parsed.algorithm, parsed.version),
        (real.algorithm, real.version)
    );
}

#[test]
fn anonymous_is_for_those_who_show_nothing() {
    let mqtt = Mqtt {
        anonymous: "dashboard".to_owned(),
        users: vec![user("a", "correct horse", &["device"])],
        ..Mqtt::default()
    };
    let door = Door::new(&mqtt);
    let granted = door.login(&NOTHING).unwrap();
    assert_eq!(
        (granted.user, &granted.roles[..]),
        (None, &["dashboard".to_owned()][..])
    );
    for show in [with("a", "wrong"), with("x", "y"), certified("a stranger")] {
        assert!(door.login(&show).is_err());
    }
}

#[test]
fn a_certificate_is_its_common_name_and_nobody_else() {
    let mqtt = Mqtt {
        anonymous: "operator".to_owned(),
        users: vec![
            user("meter", "correct horse", &["device"]),
            user("b", "battery staple", &["lab"]),
        ],
        ..Mqtt::default()
    };
    let door = Door::new(&mqtt);
    let meter = door.login(&certified("meter")).unwrap();
    assert_eq!(meter.user.as_deref(), Some("meter"));
    let named = Show {
        user: Some("meter"),
        ..certified("meter")
    };
    assert!(door.login(&named).is_ok());
    let both = Show {
        password: Some("correct horse"),
        ..named
    };
    assert!(door.login(&both).is_ok());
    let wrong = Show {
        password: Some("incorrect"),
        ..named
    };
    assert_eq!(door.login(&wrong), Err(Refused::BadUserOrPassword));
    let other = Show {
        certificate: Some("meter"),
        ..with("b", "battery staple")
    };
    assert_eq!(door.login(&other), Err(Refused::BadUserOrPassword));
    assert_eq!(
        door.login(&certified("stranger")),
        Err(Refused::NotAuthorized)
    );
    let mqtt = Mqtt {
        certificate_role: "device".to_owned(),
        ..mqtt
    };
    let door = Door::new(&mqtt);
    let stranger = door.login(&certified("stranger")).unwrap();
    assert!(stranger.rights.may_publish("dt/q/stranger/x"));
    assert!(!stranger.rights.may_publish("dt/q/meter/x"));
    let evil = door.login(&certified("+")).unwrap();
    assert_eq!(evil.rights, Rights::default());
}

#[test]
fn a_token_is_good_for_its_user_until_it_expires_or_is_revoked() {
    let now = Timestamp::now();
    let (good, text) = token(Some(now + 1.hour()), "a");
    let (expired, old) = token(Some(now - 1.second()), "a");
    let mut mqtt = Mqtt {
        users: vec![
            User {
                password_hash: None,
                ..user("a", "", &["lab"])
            },
            user("b", "battery staple", &["lab"]),
        ],
        tokens: vec![good, expired],
        ..Mqtt::default()
    };
    let door = Door::new(&mqtt);
    let client = door.client(&with("a", &text));
    assert!(door.access.rights(&client).is_some());
    for (name, password) in [
        ("b", text.as_str()),
        ("a", old.as_str()),
        ("a", "qt_00_x"),
        ("a", "qt_x"),
    ] {
        let show = with(name, password);
        assert_eq!(
            door.login(&show),
            Err(Refused::BadUserOrPassword),
            "{password}"
        );
    }
    let cut = &text[..text.len() - 1];
    assert!(door.login(&with("a", cut)).is_err());
    let audit = door.audit();
    let (id, secret) = parse(text.as_bytes()).unwrap();
    assert!(audit.contains(&format!("token:{id}")) && !audit.contains(secret));
    mqtt.tokens.remove(0);
    let changes = door.access.replace(&mqtt);
    assert_eq!(changes[0].subject, format!("token {id}"));
    assert_eq!(door.access.rights(&client), None, "revoked");
    assert!(
        door.login(&Show {
            from: 2,
            ..with("a", &text)
        })
        .is_err()
    );
}

#[test]
fn a_new_token_opens_with_its_secret_only() {
    let new = NewToken::random().unwrap();
    let (id, secret) = parse(new.text.as_bytes()).unwrap();
    assert_eq!((id, secret.len()), (new.id.as_str(), 43));
    assert!(has_hash(secret, &new.hash) && has_hash(secret, &new.hash.to_uppercase()));
    assert!(
        !has_hash("x", &new.hash) && !has_hash(secret, "") && !has_hash(secret, &new.hash[..10])
    );
    assert_ne!(NewToken::random().unwrap().text, new.text);
}

#[test]
fn connections_are_judged_anew_when_users_change() {
    let before = Mqtt {
        anonymous: "dashboard".to_owned(),
        users: vec![
            user("stays", "correct horse", &["device"]),
            user("leaves", "correct horse", &["device"]),
            user("promoted", "correct horse", &["device"]),
            user("new-password", "correct horse", &["device"]),
        ],
        ..Mqtt::default()
    };
    let door = Door::new(&before);
    let names = ["stays", "leaves", "promoted", "new-password"];
    let clients = names.map(|name| door.client(&with(name, "correct horse")));
    let nobody = door.client(&NOTHING);
    let changes = door.access.changes();
    assert!(door.access.replace(&before).is_empty());
    assert!(!changes.has_changed().unwrap(), "nothing has changed");
    let mut after = before.clone();
    after.anonymous = "none".to_owned();
    after.users.remove(1);
    after.users[1].roles = vec!["operator".to_owned()];
    after.users[2] = user("new-password", "battery staple", &["device"]);
    let told = door.access.replace(&after);
    assert!(changes.has_changed().unwrap());
    let told: Vec<_> = told
        .iter()
        .map(|c| format!("{} {}", c.subject, c.what))
        .collect();
    assert_eq!(
        told,
        [
            "user leaves removed",
            "user new-password changed",
            "user promoted changed",
            "anonymous = none changed"
        ]
    );
    let [stays, leaves, promoted, new_password] = clients.each_ref().map(|c| door.access.rights(c));
    assert!(stays.is_some_and(|rights| !rights.may_subscribe("#")));
    assert!(promoted.is_some_and(|rights| rights.may_subscribe("#")));
    assert_eq!(
        (leaves, new_password, door.access.rights(&nobody)),
        (None, None, None)
    );
    let old = door.login(&with("new-password", "correct horse"));
    assert_eq!(
        old,
        Err(Refused::BadUserOrPassword),
        "not from the cache either"
    );
    let audit = door.audit();
    assert!(
        audit.contains("\"user leaves\"") && !audit.contains("argon2id"),
        "{audit}"
    );
}

#[test]
fn a_token_that_ends_has_its_connections_judged_anew() {
    let end = Timestamp::now() + 1.hour();
    let (token, _) = token(Some(end), "a");
    let mqtt = Mqtt {
        users: vec![user("a", "correct horse", &["lab"])],
        tokens: vec![token],
        ..Mqtt::default()
    };
    let door = Door::new(&mqtt);
    let changes = door.access.changes();
    door.access.expire(end - 3.seconds(), end - 1.second());
    assert!(!changes.has_changed().unwrap());
    door.access.expire(end - 1.second(), end + 1.second());
    assert!(changes.has_changed().unwrap());
}

#[test]
fn guessing_is_refused_before_it_is_hashed_and_the_device_stays_in() {
    let mqtt = Mqtt {
        users: vec![user("meter", "correct horse", &["device"])],
        ..Mqtt::default()
    };
    let door = Door::new(&mqtt);
    assert!(door.login(&with("meter", "correct horse")).is_ok());
    let guess = Show {
        from: 2,
        ..with("meter", "guess")
    };
    let answers: Vec<_> = (0..8).map(|_| door.login(&guess).unwrap_err()).collect();
    assert_eq!(answers[..5], [Refused::BadUserOrPassword; 5]);
    assert_eq!(answers[7], Refused::TooManyFailures);
    let right = Show {
        from: 2,
        ..with("meter", "correct horse")
    };
    assert_eq!(
        door.login(&right),
        Err(Refused::TooManyFailures),
        "no oracle"
    );
    assert!(door.login(&with("meter", "correct horse")).is_ok());
}

#[test]
fn the_running_node_takes_users_and_says_what_needs_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quartier.toml");
    let small = "[node]\nname = \"n\"\nrole = \"city\"\ndata = \"d\"\n";
    let acl = "[[mqtt.user]]\nname = \"u\"\nroles = [\"lab\"]\n";
    std::fs::write(&path, small).unwrap();
    let config = crate::config::Config::load(&path).unwrap();
    let audit = Arc::new(Audit::open(folder.path()).unwrap());
    let access = Arc::new(Access::new(&config.mqtt, Arc::clone(&audit)));
    let mut watch = AccessWatch::new(&config, Arc::clone(&access), None, audit);
    let changes = access.changes();
    watch.look(false);
    assert!(!changes.has_changed().unwrap());
    std::fs::write(&path, format!("{small}{acl}")).unwrap();
    watch.look(false);
    assert_eq!(*changes.borrow(), 1);
    std::fs::write(&path, "[node]\nname = 5\n").unwrap();
    watch.look(false);
    assert_eq!(*changes.borrow(), 1, "what does not load changes nothing");
    std::fs::write(&path, format!("{small}{acl}")).unwrap();
    watch.look(true);
    assert_eq!(*changes.borrow(), 1);
    let audit = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
    let count = |what: &str| audit.matches(what).count();
    assert_eq!(
        (count("\"taken\""), count("\"refused\""), count("user u")),
        (2, 1, 1),
        "{audit}"
    );
}
