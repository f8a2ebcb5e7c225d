//! What is not a lab's own word, and what cannot be a plugin.

use quartier_plugin_host::Package;
use quartier_tests::{Api, Lab, form};
use serde_json::json;

use super::{is_refused, node, rows, runs, standing};

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
            &["changed after it was signed"],
        ),
    ];
    for (what, quarter, package, status, says) in cases {
        is_refused(what, &api.deploy(quarter, &package, &[]), status, says);
    }
    assert_eq!(standing(&node), before);
}

/// Name, package, settings, status, words of the answer.
type Case = (
    &'static str,
    Package,
    &'static [(&'static str, &'static str)],
    u16,
    &'static [&'static str],
);

#[test]
fn what_cannot_be_a_plugin_is_refused_by_name_and_changes_nothing() {
    let lab = Lab::new("tests");
    let Some(good) = rows(&lab, "1.0.0") else {
        return;
    };
    let hostile = lab
        .package("hostile", &[crate::contained::BY_ITS_NAME])
        .unwrap();
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
        .package("rows", &[("limit = 30", "limit = 31")])
        .unwrap();
    let cases: [Case; 14] = [
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
