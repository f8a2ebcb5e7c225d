//! Who may do what with a plugin, and what fits what runs.

use quartier_tests::{Api, Lab};
use serde_json::{Value, json};

use super::{PLUGIN, is_refused, node, rows, runs, standing, token};

#[test]
fn who_has_no_right_to_is_told_which_one_is_needed_and_changes_nothing() {
    let lab = Lab::new("tests");
    let Some(good) = rows(&lab, "1.0.0") else {
        return;
    };
    let node = node(&lab, "dashboard");
    let nobody = Api::of(node.http());
    let as_user = |token: &str| nobody.clone().token(token);
    let own = as_user(&token(&node, "lab-1", "lab", "johannstadt"));
    let elsewhere = as_user(&token(&node, "lab-2", "lab", "friedrichstadt"));
    let utility = as_user(&token(&node, "grid", "utility", "johannstadt"));
    own.deployed("johannstadt", &good, &[("why", "the first")]);
    runs(&node, "johannstadt", "1.0.0");
    let before = standing(&node);

    let why = json!({ "why": "for all" });
    let promoted = own.post(&format!("{PLUGIN}/promote"), &why);
    is_refused(
        "a lab goes beyond its quarter",
        &promoted,
        403,
        &["role operator"],
    );

    let next = rows(&lab, "1.1.0").unwrap();
    let forged = nobody.clone().token("qt_0000000000000000_forged");
    let basic = nobody.clone().with("Authorization", "Basic bGFiOmxhYg==");
    let callers: [(&str, &Api, u16, &str); 5] = [
        ("nobody", &nobody, 401, "token"),
        ("another scheme", &basic, 401, "Bearer"),
        ("a utility", &utility, 403, "lab or operator"),
        ("another quarter's lab", &elsewhere, 403, "lab or operator"),
        // Last: whoever guesses is slowed down.
        ("a forged token", &forged, 401, "token"),
    ];
    for (who, api, status, says) in callers {
        let why = json!({ "why": "because" });
        let answers = [
            ("deploys", api.deploy("johannstadt", &next, &[])),
            ("promotes", api.post(&format!("{PLUGIN}/promote"), &why)),
            ("rolls back", api.post(&format!("{PLUGIN}/rollback"), &why)),
            (
                "removes",
                api.call("DELETE", &format!("{PLUGIN}?why=because"), "", &[]),
            ),
            ("reads the log", api.get(&format!("{PLUGIN}/logs"))),
        ];
        for (what, answer) in answers {
            is_refused(&format!("{who} {what}"), &answer, status, &[says]);
        }
    }
    assert_eq!(standing(&node), before);
    assert_eq!(
        nobody.get(PLUGIN).status,
        200,
        "what is automated is public"
    );
}

#[test]
fn a_page_of_somebody_else_cannot_act_through_a_browser() {
    let lab = Lab::new("tests");
    let Some(good) = rows(&lab, "1.0.0") else {
        return;
    };
    let node = node(&lab, "operator");
    let before = standing(&node);
    let foreign = Api::of(node.http()).with("Origin", "http://evil.example");
    let refused = foreign.deploy("johannstadt", &good, &[]);
    is_refused("a foreign page", &refused, 403, &["allow_origins"]);
    let refused = foreign.post(&format!("{PLUGIN}/rollback"), &json!({ "why": "x" }));
    is_refused("a foreign page", &refused, 403, &["allow_origins"]);
    assert_eq!(standing(&node), before);
    let own = Api::of(node.http()).with("Origin", &format!("http://{}", node.http()));
    own.deployed("johannstadt", &good, &[]);
}

#[test]
fn what_does_not_fit_what_runs_is_a_conflict_that_says_what_does() {
    let lab = Lab::new("tests");
    let Some(good) = rows(&lab, "1.0.0") else {
        return;
    };
    let node = node(&lab, "operator");
    let api = Api::of(node.http());
    let why = json!({ "why": "because" });
    let unknown = api.post(&format!("{PLUGIN}/promote"), &why);
    is_refused(
        "nothing to promote",
        &unknown,
        404,
        &["rows does not run in johannstadt"],
    );
    is_refused("never ran", &api.get(PLUGIN), 404, &["never ran"]);
    api.deployed("johannstadt", &good, &[]);
    runs(&node, "johannstadt", "1.0.0");
    let before = standing(&node);
    let post = |what: &str, body: Value| api.post(&format!("{PLUGIN}/{what}"), &body);
    let skips = post("promote", json!({ "to": "city", "why": "quick" }));
    is_refused(
        "a stage left out",
        &skips,
        409,
        &["stage quarter", "next one is labs"],
    );
    is_refused(
        "no reason",
        &post("promote", json!({ "why": " " })),
        400,
        &["say why"],
    );
    is_refused("no reason", &post("rollback", json!({})), 400, &["why"]);
    is_refused(
        "unknown key",
        &post("rollback", json!({ "wy": "x" })),
        400,
        &["wy"],
    );
    is_refused(
        "nothing before",
        &post("rollback", why),
        404,
        &["before this one"],
    );
    let compared = api.get(&format!("{PLUGIN}/comparison"));
    is_refused("no shadow", &compared, 404, &["no such shadow"]);
    let removed = api.call("DELETE", &format!("{PLUGIN}?version=9&why=x"), "", &[]);
    is_refused("not that version", &removed, 404, &["rows 9 does not run"]);
    assert_eq!(standing(&node), before);
}
