//! The command line of plugins, as a lab and the city use it.

use quartier_plugin_host::Package;
use quartier_tests::{Lab, Node, cli, eventually_some};
use serde_json::Value;

use super::{PATIENCE, node, rows, runs, text, token};

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
