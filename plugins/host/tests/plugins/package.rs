//! Packages: what is read, checked and bound together; and compiled code on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use quartier_plugin_host::{Host, LoadError, Package, SigningKey};

use crate::support::{folder, host, unbound};

fn hostile() -> Package {
    unbound("hostile")
}

fn bound() -> Package {
    let mut package = hostile();
    let digest = package.component_digest();
    package.manifest = format!("component_sha256 = \"{digest}\"\n{}", package.manifest);
    package
}

#[test]
fn a_package_is_read_as_it_was_written_and_replaces_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("a/b");
    let key = SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap();
    let mut signed = bound();
    signed.signature = Some(key.sign(&signed.manifest).unwrap());
    signed.write(&dir).unwrap();
    let read = Package::read(&dir).unwrap();
    assert_eq!(read, signed);
    let signature = read.signature.unwrap();
    assert_eq!(key.public().verify(&read.manifest, &signature), Ok(()));
    let plain = hostile();
    plain.write(&dir).unwrap();
    assert_eq!(
        Package::read(&dir).unwrap(),
        plain,
        "the old signature is gone"
    );
    let mut left: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["component.wasm", "manifest.toml"]);
}

#[test]
fn a_component_other_than_the_manifests_is_refused() {
    host().compile(&bound()).unwrap();
    let mut other = bound();
    other.component.push(0);
    let error = host().compile(&other).unwrap_err();
    let LoadError::OtherComponent {
        declared, found, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*declared, hostile().component_digest().to_string());
    assert_eq!(*found, other.component_digest().to_string());
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let mut large = hostile();
    large.manifest = "#".repeat(Package::MAX_MANIFEST + 1);
    let error = host().compile(&large).unwrap_err().to_string();
    assert_eq!(error, "manifest.toml: more than 262144 bytes");
    large = hostile();
    large.component = vec![0; Package::MAX_COMPONENT + 1];
    let error = host().compile(&large).unwrap_err().to_string();
    assert_eq!(error, "component.wasm: more than 33554432 bytes");
    large.write(dir.path()).unwrap();
    let error = Package::read(dir.path()).unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
    assert!(error.to_string().starts_with(dir.path().to_str().unwrap()));
}

#[test]
fn a_manifest_that_is_no_text_is_named() {
    let dir = tempfile::tempdir().unwrap();
    hostile().write(dir.path()).unwrap();
    fs::write(dir.path().join("manifest.toml"), b"id = \"\xff\"").unwrap();
    let error = Package::read(dir.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("manifest.toml: not UTF-8 from byte 6 on"),
        "{error}"
    );
}

#[test]
fn a_component_that_is_no_rule_is_refused() {
    let mut package = hostile();
    // An empty component.
    package.component = b"\0asm\x0d\0\x01\0".to_vec();
    let error = host().compile(&package).unwrap_err();
    assert!(matches!(error, LoadError::Export { .. }), "{error}");
}

#[test]
fn a_component_that_asks_for_undeclared_properties_is_refused() {
    let mut package = hostile();
    let declared = "properties = [\"power_limit\"]\n";
    assert!(package.manifest.contains(declared));
    package.manifest = package.manifest.replace(declared, "");
    let error = host().compile(&package).unwrap_err();
    assert!(matches!(error, LoadError::Undeclared { .. }), "{error}");
}

#[test]
fn a_module_that_needs_more_than_the_interface_makes_no_component() {
    let core = |import: &str| {
        // (module (import "{import}" "f" (func))), written out.
        let mut section = vec![1, import.len() as u8];
        section.extend(import.bytes());
        section.extend(b"\x01f\0\0");
        let mut bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02".to_vec();
        bytes.push(section.len() as u8);
        bytes.extend(section);
        bytes
    };
    let error = quartier_plugin_host::componentize(&core("wasi_snapshot_preview1")).unwrap_err();
    assert!(
        error.to_string().contains("wasi_snapshot_preview1"),
        "{error}"
    );
    assert!(quartier_plugin_host::componentize(b"no module").is_err());
}

/// The one file of a cache after a compilation.
fn compiled(cache: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(cache)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    file.clone()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A host with this cache compiles the plugin, and the plugin runs.
fn load(cache: &Path) {
    let host = Host::with_cache(cache.to_owned()).unwrap();
    let plugin = host.compile(&hostile()).unwrap();
    crate::support::runner(&plugin, &[("mode", "good")]);
}

#[test]
fn compiled_code_is_kept_for_the_owner_alone_and_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("compiled");
    load(&cache);
    let file = compiled(&cache);
    assert_eq!((mode(&cache), mode(&file)), (0o700, 0o600));
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(
        name.starts_with(&hostile().component_digest().to_string()),
        "{name}"
    );
    let before = fs::metadata(&file).unwrap();
    load(&cache);
    let after = fs::metadata(compiled(&cache)).unwrap();
    assert_eq!(
        before.modified().unwrap(),
        after.modified().unwrap(),
        "not written again"
    );
}

#[test]
fn damaged_foreign_or_open_compiled_code_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path());
    let file = compiled(dir.path());
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let half = good[..good.len() / 2].to_vec();
    let longer = [good.as_slice(), b"more"].concat();
    for bad in [flipped, half, longer, vec![], b"short".to_vec()] {
        fs::write(&file, &bad).unwrap();
        load(dir.path());
        assert_eq!(fs::read(&file).unwrap().len(), good.len(), "written again");
        assert_ne!(fs::read(&file).unwrap(), bad);
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    load(dir.path());
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn compiled_code_under_another_components_name_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    load(dir.path());
    let hostile = compiled(dir.path());
    let health = Package::read(&folder("health")).unwrap();
    let name = hostile.file_name().unwrap().to_str().unwrap();
    let engine = name.split_once('-').unwrap().1;
    let planted = dir
        .path()
        .join(format!("{}-{engine}", health.component_digest()));
    fs::copy(&hostile, &planted).unwrap();
    let host = Host::with_cache(dir.path().to_owned()).unwrap();
    host.compile(&health).unwrap();
    assert_ne!(fs::read(&planted).unwrap(), fs::read(&hostile).unwrap());
}

#[test]
fn a_folder_that_others_may_write_to_holds_no_compiled_code() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Host::with_cache(dir.path().to_owned())
        .unwrap_err()
        .to_string();
    assert!(error.contains("others may write"), "{error}");
}
