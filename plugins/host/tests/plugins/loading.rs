//! What is refused before it runs.

use std::fs;

use quartier_plugin_host::{Digest, LoadError, ManifestError, Runner, RunnerError};

use crate::support::{dictionary, host, plugin, runner, unbound};

fn copy_of(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    unbound(name).write(dir.path()).unwrap();
    dir
}

#[test]
fn the_digest_is_that_of_the_component() {
    let dir = copy_of("hostile");
    let digest = host().load(dir.path()).unwrap().digest();
    assert_eq!(digest, plugin("hostile").digest());
    let bytes = fs::read(dir.path().join("component.wasm")).unwrap();
    assert_eq!(digest, Digest::of(&bytes));
    assert_ne!(digest, plugin("health").digest());
}

#[test]
fn a_core_module_is_not_a_component() {
    let dir = copy_of("hostile");
    fs::write(dir.path().join("component.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let error = host().load(dir.path()).unwrap_err();
    assert!(matches!(error, LoadError::Component { .. }), "{error}");
}

#[test]
fn an_import_beyond_the_world_is_refused_by_name() {
    let dir = copy_of("hostile");
    // The smallest component that imports an (empty) instance `wasi:clocks/clock`.
    let mut bytes = b"\0asm\x0d\0\x01\0\x07\x03\x01\x42\0\x0a\x16\x01\0\x11".to_vec();
    bytes.extend(b"wasi:clocks/clock\x05\0");
    fs::write(dir.path().join("component.wasm"), bytes).unwrap();
    let error = host().load(dir.path()).unwrap_err();
    let LoadError::Import { import, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(import, "wasi:clocks/clock");
}

#[test]
fn a_missing_file_and_an_unknown_key_are_named() {
    let dir = copy_of("hostile");
    let manifest = dir.path().join("manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("[reads]", "[reads]\nmetrcs = []")).unwrap();
    let error = host().load(dir.path()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("manifest.toml: line 8") && text.contains("metrcs"),
        "{text}"
    );
    let LoadError::Manifest {
        error: ManifestError::Syntax { .. },
        ..
    } = error
    else {
        panic!()
    };
    fs::remove_file(&manifest).unwrap();
    let error = host().load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("manifest.toml") && error.contains("plugins/build"),
        "{error}"
    );
}

#[test]
fn a_runner_wants_its_names_and_only_its_keys() {
    let plugin = plugin("hostile");
    let mut dict = dictionary(&plugin);
    dict.metrics.remove(0);
    let error = Runner::new(host(), &plugin, dict, vec![]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin hostile: the dictionary has no power"
    );
    let config = vec![("mood".to_owned(), "good".to_owned())];
    let error = Runner::new(host(), &plugin, dictionary(&plugin), config).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin hostile: unknown configuration key mood"
    );
    let config = vec![("mode".to_owned(), "init".to_owned())];
    let error = Runner::new(host(), &plugin, dictionary(&plugin), config).unwrap_err();
    assert!(matches!(error, RunnerError::Failed { .. }));
    assert_eq!(
        error.to_string(),
        "plugin hostile: init: bad configuration: as asked"
    );
    runner(&plugin, &[("mode", "good")]);
}
