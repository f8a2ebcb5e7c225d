//! Plugins come, go further and go by the word of their lab; whatever is refused changes nothing.

use std::time::Duration;

use quartier_plugin_host::Package;
use quartier_tests::{Answer, Api, Lab, Node, NodeConfig, cli, eventually, eventually_some, form};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const PLUGIN: &str = "/api/v1/plugins/johannstadt/rows";
/// A node's vocabulary does not know what this guest derives.
const NO_UNIT: (&str, &str) = ("unit = \"1\"", "unit = \"\"");

/// A node with a lab of two quarters, and a third quarter.
fn node(lab: &Lab, anonymous: &str) -> Node {
    let quarters = ["johannstadt", "friedrichstadt", "dresden-ost"];
    Node::start(NodeConfig {
        anonymous: anonymous.to_owned(),
        quarters: quarters.map(|id| (id.to_owned(), None)).to_vec(),
        more: lab.config(&["johannstadt", "friedrichstadt"]),
        ..NodeConfig::default()
    })
}

fn rows(lab: &Lab, version: &str) -> Option<Package> {
    let version = format!("version = \"{version}\"");
    lab.package("rows", &[NO_UNIT, ("version = \"1.0.0\"", &version)])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What runs, and the packages that are kept.
fn standing(node: &Node) -> (Value, Vec<String>) {
    let plugins = node.json("/api/v1/plugins");
    let kept = std::fs::read_dir(node.folder().join("data/plugins"));
    let names = kept
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    (plugins, names)
}

fn runs(node: &Node, quarter: &str, version: &str) {
    eventually("the version runs", PATIENCE, || {
        let list = node.json(&format!("/api/v1/plugins?quarter={quarter}"));
        let found = list["plugins"].as_array().into_iter().flatten();
        let mut found = found.filter(|p| p["version"] == version && p["state"] == "running");
        found.next().map(|_| ()).ok_or_else(|| list.to_string())
    });
}

/// The problem has this status and says each of these, in the form of RFC 9457.
fn is_refused(what: &str, answer: &Answer, status: u16, says: &[&str]) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let problem = answer.json().unwrap();
    assert_eq!(problem["status"], status, "{what}: {problem}");
    for part in says {
        assert!(
            text(&problem["detail"]).contains(part),
            "{what}: {part:?} in {problem}"
        );
    }
    let headers = answer.headers.to_ascii_lowercase();
    assert!(
        headers.contains("application/problem+json"),
        "{what}: {headers}"
    );
}

/// The smallest component that imports an (empty) instance `wasi:clocks/clock`.
fn with_a_clock(package: &Package) -> Package {
    let mut component = b"\0asm\x0d\0\x01\0\x07\x03\x01\x42\0\x0a\x16\x01\0\x11".to_vec();
    component.extend(b"wasi:clocks/clock\x05\0");
    bound(Package {
        component,
        ..package.clone()
    })
}

/// With the digest of its component in the manifest.
fn bound(package: Package) -> Package {
    let digest = package.component_digest();
    let is_digest = |line: &str| line.starts_with("component_sha256");
    let lines = package.manifest.lines().map(|line| match is_digest(line) {
        true => format!("component_sha256 = \"{digest}\"\n"),
        false => format!("{line}\n"),
    });
    Package {
        manifest: lines.collect(),
        ..package
    }
}

#[test]
fn what_is_not_its_labs_own_word_is_refused_and_changes_nothing() {
    let (lab, other) = (Lab::new("tests"), Lab::new("tests"));
    let Some(good) = rows(&lab, "1.0.0") else {
        return;
    };
    let node = node(&lab, "operator");
    let api = Api::of(node.http());
    api.deployed("johannstadt", &good, &[]);
    runs(&node, "johannstadt", "1.0.0");
    let before = standing(&node);

    let next = rows(&lab, "1.1.0").unwrap();
    let unsigned = Package {
        signature: None,
        ..next.clone()
    };
    let no_signature = Package {
        signature: Some("c2lnbmVk".to_owned()),
        ..next.clone()
    };
    let tampered = Package {
        manifest: next.manifest.replace("limit = 30", "limit = 90"),
        ..next.clone()
    };
    let of_nobody = Package {
        manifest: next.manifest.replace("lab = \"tests\"", "lab = \"nobody\""),
        ..next.clone()
    };
    let unbound = Package {
        manifest: next
            .manifest
            .lines()
            .filter(|l| !l.starts_with("component_sha256"))
            .fold(String::new(), |text, line| text + line + "\n"),
        ..next.clone()
    };
    let cases: [(&str, &str, Package, u16, &[&str]); 7] = [
        (
            "unsigned",
            "johannstadt",
            unsigned,
            403,
            &["not signed", "quartier plugin sign"],
        ),
        (
            "no signature",
            "johannstadt",
            no_signature,
            403,
            &["not a signature"],
        ),
        (
            "another key",
            "johannstadt",
            other.signed(next.clone()),
            403,
            &["signed with the key"],
        ),
        (
            "tampered",
            "johannstadt",
            tampered,
            403,
            &["changed after it was signed"],
        ),
        (
            "unknown lab",
            "johannstadt",
            lab.signed(of_nobody),
            403,
            &["\"nobody\"", "[[lab]]"],
        ),
        (
            "another quarter",
            "dresden-ost",
            next,
            403,
            &["only to johannstadt", "promotion"],
        ),
        (
            "unbound",
            "johannstadt",
            unbound,
            403,
            &["component_sha256"],
        ),
    ];
    for (what, quarter, package, status, says) in cases {
        is_refused(what, &api.deploy(quarter, &package, &[]), status, says);
    }
    assert_eq!(standing(&node), before);
}

#[test]
fn what_cannot_be_a_plugin_is_refused_by_name_and_changes_nothing() {
    let lab = Lab::new("tests");
    let Some(good) = rows(&lab, "1.0.0") else {
        return;
    };
    let hostile = lab.package("hostile", &[]).unwrap();
    let node = node(&lab, "operator");
    let api = Api::of(node.http());
    api.deployed("johannstadt", &good, &[]);
    runs(&node, "johannstadt", "1.0.0");
    let before = standing(&node);

    let next = rows(&lab, "1.1.0").unwrap();
    let manifest = |text: String| Package {
        manifest: text,
        ..next.clone()
    };
    let component = |component: Vec<u8>| Package {
        component,
        ..next.clone()
    };
    let mut swapped = next.component.clone();
    swapped.extend_from_slice(b"\0\x01\0");
    let no_toml = manifest("id = ".to_owned());
    let unknown_key = manifest(next.manifest.replace("[reads]", "[reads]\nmetrcs = []"));
    let no_page = format!(
        "{}\n[[sources]]\ntitle = \"x\"\nurl = \"javascript:alert(1)\"\n",
        next.manifest
    );
    let no_wasm = lab.signed(bound(component(b"no component".to_vec())));
    let too_large = vec![0; Package::MAX_COMPONENT + 1];
    let far_too_large = component(vec![0; Package::MAX_COMPONENT + (1 << 20)]);
    let other_content = lab
        .package("rows", &[NO_UNIT, ("limit = 30", "limit = 31")])
        .unwrap();
    let cases: [(&str, Package, &[(&str, &str)], u16, &[&str]); 14] = [
        (
            "another component",
            component(swapped),
            &[],
            400,
            &["SHA-256", "component_sha256"],
        ),
        (
            "a clock",
            lab.signed(with_a_clock(&next)),
            &[],
            400,
            &["imports wasi:clocks/clock"],
        ),
        (
            "no component",
            no_wasm,
            &[],
            400,
            &["not a usable component"],
        ),
        (
            "too large",
            component(too_large),
            &[],
            400,
            &["component.wasm", "33554432 bytes"],
        ),
        ("far too large", far_too_large, &[], 413, &["32 MiB"]),
        ("no TOML", no_toml, &[], 400, &["manifest.toml: line 1"]),
        ("unknown key", unknown_key, &[], 400, &["metrcs"]),
        (
            "a script for a source",
            manifest(no_page),
            &[],
            400,
            &["sources.url", "https://"],
        ),
        (
            "other content",
            other_content,
            &[],
            409,
            &["another content", "raise `version`"],
        ),
        (
            "its own shadow",
            good,
            &[("stage", "shadow")],
            409,
            &["acts in johannstadt already"],
        ),
        (
            "unknown setting",
            next.clone(),
            &[("set", "rise_after=3")],
            400,
            &["rise_after"],
        ),
        (
            "wrong setting",
            hostile,
            &[("set", "mode=init")],
            400,
            &["as asked"],
        ),
        (
            "no setting",
            next.clone(),
            &[("set", "raise_after")],
            400,
            &["key=value"],
        ),
        (
            "the whole city",
            next.clone(),
            &[("stage", "city")],
            400,
            &["promotion"],
        ),
    ];
    for (what, package, more, status, says) in cases {
        is_refused(
            what,
            &api.deploy("johannstadt", &package, more),
            status,
            says,
        );
    }
    let path = "/api/v1/plugins/johannstadt";
    let (kind, body) = form(&[("manifest", next.manifest.as_bytes())]);
    is_refused(
        "no component",
        &api.call("POST", path, &kind, &body),
        400,
        &["\"component\""],
    );
    let (kind, body) = form(&[("manifesto", b"x")]);
    is_refused(
        "unknown part",
        &api.call("POST", path, &kind, &body),
        400,
        &["\"manifesto\""],
    );
    let torn = &body[..body.len() / 2];
    is_refused("torn form", &api.call("POST", path, &kind, torn), 400, &[]);
    is_refused(
        "no form",
        &api.post(path, &json!({})),
        400,
        &["multipart/form-data"],
    );
    assert_eq!(standing(&node), before);
}

/// A user's token, as soon as the node knows it; without a quarter: for every one.
fn token(node: &Node, user: &str, role: &str, quarter: &str) -> String {
    let file = node.folder().join("quartier.toml");
    let at = ["--config", file.to_str().unwrap()];
    let add = ["user", "add", user, "--role", role, "--no-password"];
    let only: &[&str] = if quarter.is_empty() {
        &[]
    } else {
        &["--quarter", quarter]
    };
    let issue = ["token", "issue", "--user", user, "--expires", "2d"];
    let added = cli(&[&add[..], only, &at].concat());
    assert_eq!(added.code, Some(0), "{added:?}");
    let issued = cli(&[&issue[..], &at].concat());
    let token = issued.stdout.trim().to_owned();
    eventually("the node knows the token", PATIENCE, || {
        let answer = Api::of(node.http())
            .token(&token)
            .get(&format!("{PLUGIN}/logs"));
        if answer.status == 401 {
            Err(answer.text())
        } else {
            Ok(())
        }
    });
    token
}

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

    let next = rows(&lab, "1.1.0").unwrap();
    let forged = nobody.clone().token("qt_0000000000000000_forged");
    let basic = nobody.clone().with("Authorization", "Basic bGFiOmxhYg==");
    let callers: [(&str, &Api, u16, &str); 5] = [
        ("nobody", &nobody, 401, "token"),
        ("a forged token", &forged, 401, "token"),
        ("another scheme", &basic, 401, "Bearer"),
        ("a utility", &utility, 403, "lab or operator"),
        ("another quarter's lab", &elsewhere, 403, "lab or operator"),
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
    let why = json!({ "why": "for all" });
    let promoted = own.post(&format!("{PLUGIN}/promote"), &why);
    is_refused(
        "a lab goes beyond its quarter",
        &promoted,
        403,
        &["role operator"],
    );
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

/// Runs `quartier plugin ..` against the node; its stdout.
fn plugin(node: &Node, token: &str, args: &[&str]) -> String {
    let url = format!("http://{}", node.http());
    let at = ["--node", &url, "--token", token];
    let finished = cli(&[&["plugin"][..], args, &at].concat());
    assert_eq!(finished.code, Some(0), "{args:?}: {finished:?}");
    finished.stdout
}

#[test]
fn the_command_line_brings_versions_takes_them_further_and_back_and_ends_them() {
    let lab = Lab::new("tests");
    let Some(first) = rows(&lab, "1.0.0") else {
        return;
    };
    let node = node(&lab, "none");
    let of_lab = token(&node, "lab-1", "lab", "johannstadt");
    let operator = token(&node, "here", "operator", "johannstadt");
    let run = |args: &[&str]| plugin(&node, &of_lab, args);
    let folder = tempfile::tempdir().unwrap();
    let dist = |package: &Package| {
        let dir = folder.path().join("dist");
        package.write(&dir).unwrap();
        dir.to_str().unwrap().to_owned()
    };
    let at = ["--quarter", "johannstadt"];
    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&run(&[args, &["--json"]].concat())).unwrap()
    };

    let said = run(&[&["deploy", &dist(&first), "--why", "the first"][..], &at].concat());
    assert!(
        said.contains("deployed: rows 1.0.0 at stage quarter in johannstadt"),
        "{said}"
    );
    runs(&node, "johannstadt", "1.0.0");
    let unsigned = Package {
        signature: None,
        ..first
    };
    let url = format!("http://{}", node.http());
    let refused = cli(&[
        "plugin",
        "deploy",
        &dist(&unsigned),
        "--quarter",
        "johannstadt",
        "--node",
        &url,
    ]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("quartier plugin sign"),
        "{refused:?}"
    );
    let key = folder.path().join("lab.key");
    std::fs::write(&key, lab.pem()).unwrap();
    let second = dist(&Package {
        signature: None,
        ..rows(&lab, "1.1.0").unwrap()
    });
    let signed = cli(&["plugin", "sign", &second, "--key", key.to_str().unwrap()]);
    assert_eq!(signed.code, Some(0), "{signed:?}");
    run(&[
        &[
            "deploy",
            &second,
            "--stage",
            "shadow",
            "--set",
            "raise_after=3",
        ][..],
        &at,
    ]
    .concat());
    runs(&node, "johannstadt", "1.1.0");

    let listed = run(&["list"]);
    assert!(
        listed.contains("shadow") && listed.contains("1.0.0"),
        "{listed}"
    );
    let compared = json(&[&["compare", "rows"][..], &at].concat());
    assert_eq!(compared["shadow"], "1.1.0", "{compared}");
    let compared = run(&[&["compare", "rows"][..], &at].concat());
    assert!(compared.contains("1.0.0 acts"), "{compared}");
    let promoted = json(&[&["promote", "rows", "--why", "two weeks alike"][..], &at].concat());
    assert_eq!(promoted["stage"], "quarter", "{promoted}");
    runs(&node, "johannstadt", "1.1.0");
    let back = json(&[&["rollback", "rows", "--why", "too few alerts"][..], &at].concat());
    assert_eq!(back["version"], "1.0.0", "{back}");
    runs(&node, "johannstadt", "1.0.0");

    let shown = json(&[&["show", "rows"][..], &at].concat());
    let change = |n: usize| {
        let change = &shown["changes"][n];
        ["what", "version", "stage", "by", "why"].map(|key| text(&change[key]).to_owned())
    };
    assert_eq!(
        change(0),
        ["rollback", "1.0.0", "quarter", "lab-1", "too few alerts"]
    );
    assert_eq!(
        change(1),
        ["promote", "1.1.0", "quarter", "lab-1", "two weeks alike"]
    );
    assert_eq!(
        change(3),
        ["deploy", "1.0.0", "quarter", "lab-1", "the first"]
    );
    let shown = run(&[&["show", "rows"][..], &at].concat());
    assert!(shown.contains("two weeks alike"), "{shown}");
    assert_eq!(
        run(&[&["logs", "rows"][..], &at].concat()),
        "",
        "it says nothing"
    );

    let beyond = [
        "promote",
        "rows",
        "--to",
        "labs",
        "--why",
        "useful",
        "--quarter",
        "johannstadt",
    ];
    let refused = cli(&[
        &["plugin"][..],
        &beyond,
        &["--node", &url, "--token", &operator],
    ]
    .concat());
    assert_eq!(
        refused.code,
        Some(1),
        "an operator of one quarter: {refused:?}"
    );
    assert!(
        refused
            .stderr
            .contains("operator for quarter friedrichstadt"),
        "{refused:?}"
    );
    let city = token(&node, "city", "operator", "");
    let spread = plugin(&node, &city, &beyond);
    assert!(
        spread.contains("at stage labs in johannstadt, friedrichstadt"),
        "{spread}"
    );
    runs(&node, "friedrichstadt", "1.0.0");
    run(&[&["remove", "rows", "--why", "no longer"][..], &at].concat());
    let gone = eventually_some("it is gone here and stays there", PATIENCE, || {
        let list = node.json("/api/v1/plugins");
        (list["plugins"].as_array()?.len() == 1).then_some(list)
    });
    assert_eq!(gone["plugins"][0]["quarter"], "friedrichstadt", "{gone}");
}
