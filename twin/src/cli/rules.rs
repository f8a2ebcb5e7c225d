//! `quartier config check --rules`: what everybody may do, so that it can be read before it counts.

use anyhow::anyhow;
use serde_json::{Value, json};

use super::{Failure, Outcome};
use crate::access::{Action, BUILT_IN, Directory, Subject};
use crate::config::{Acl, Mqtt, ROLES, User};

/// A rule as the table shows it.
struct Row {
    who: String,
    action: Action,
    filter: String,
    why: &'static str,
}

/// The rules of all roles and users, or what becomes of them for one user.
pub(super) fn print(mqtt: &Mqtt, user: Option<&str>, json: bool) -> Outcome {
    let rows = match user {
        None => all(mqtt),
        Some(name) => {
            let user = mqtt.users.iter().find(|user| user.name == name);
            let user = user.ok_or_else(|| {
                Failure::usage(anyhow!(
                    "there is no user {name:?}; `quartier user list` prints them"
                ))
            })?;
            of_user(mqtt, user)
        }
    };
    if json {
        let rows: Vec<_> = rows.iter().map(as_json).collect();
        let nobody = json!({
            "anonymous": mqtt.anonymous,
            "certificate_role": mqtt.certificate_role,
            "rules": rows,
        });
        println!("{nobody}");
        return Ok(());
    }
    let lines: Vec<_> = rows.into_iter().map(as_columns).collect();
    super::print_columns(&["who", "may", "topics", "why"], &lines);
    println!("clients without login: {}", mqtt.anonymous);
    println!("certificates of nobody here: {}", mqtt.certificate_role);
    Ok(())
}

fn as_json(row: &Row) -> Value {
    json!({ "who": row.who, "action": row.action.as_str(), "filter": row.filter, "why": row.why })
}

fn as_columns(row: Row) -> Vec<String> {
    let action = row.action.as_str().to_owned();
    vec![row.who, action, row.filter, row.why.to_owned()]
}

const CONFIGURED: &str = "[[mqtt.acl]]";

fn all(mqtt: &Mqtt) -> Vec<Row> {
    let mut rows = Vec::new();
    for role in ROLES {
        let of_role = |acl: &&Acl| acl.role.as_deref() == Some(role);
        if mqtt.acl.iter().any(|acl| of_role(&acl)) {
            let acl = mqtt.acl.iter().filter(of_role);
            rows.extend(acl.flat_map(|acl| configured(role.to_owned(), acl)));
        } else {
            let built_in = BUILT_IN.iter().filter(|rule| rule.role == role);
            rows.extend(built_in.map(|rule| Row {
                who: role.to_owned(),
                action: rule.action,
                filter: rule.filter.to_owned(),
                why: rule.reason,
            }));
        }
    }
    for acl in &mqtt.acl {
        if let Some(user) = &acl.user {
            rows.extend(configured(format!("user {user}"), acl));
        }
    }
    rows
}

fn configured(who: String, acl: &Acl) -> impl Iterator<Item = Row> {
    let publish = acl.publish.iter().map(|filter| (Action::Publish, filter));
    let subscribe = acl.subscribe.iter();
    let subscribe = subscribe.map(|filter| (Action::Subscribe, filter));
    publish.chain(subscribe).map(move |(action, filter)| Row {
        who: who.clone(),
        action,
        filter: filter.clone(),
        why: CONFIGURED,
    })
}

/// The filters that the gate would grant; the client identifier is not known here and stays.
fn of_user(mqtt: &Mqtt, user: &User) -> Vec<Row> {
    let directory = Directory::new(mqtt);
    let subject = Subject {
        client: "{client}",
        user: Some(&user.name),
        quarters: user.quarters.as_deref(),
        assets: user.assets.as_deref(),
    };
    let rows = |action: Action| {
        let filters = directory.filters(action, &user.roles, &subject);
        filters.into_iter().map(move |filter| Row {
            who: format!("user {}", user.name),
            action,
            filter: filter.into(),
            why: "",
        })
    };
    rows(Action::Publish)
        .chain(rows(Action::Subscribe))
        .collect()
}
