//! Who signed what, and what is no signature.

use super::*;

const HEALTH: &str = include_str!("../../../health/manifest.toml");

/// Of `openssl genpkey -algorithm ed25519`: version 1 of PKCS#8, without the public key.
const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

fn manifest() -> String {
    let digest = Digest::of(b"component");
    format!("component_sha256 = \"{digest}\"\n{HEALTH}")
}

fn key() -> SigningKey {
    SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap()
}

#[test]
fn what_was_signed_verifies_and_a_changed_byte_does_not() {
    let (key, manifest) = (key(), manifest());
    let signature = key.sign(&manifest).unwrap();
    let public = key.public();
    assert_eq!(public.verify(&manifest, &signature), Ok(()));
    assert_eq!(public.verify(&manifest, &format!("{signature}\n")), Ok(()));
    let changed = manifest.replace("limit = 400", "limit = 401");
    assert_ne!(changed, manifest);
    assert_eq!(
        public.verify(&changed, &signature),
        Err(SignatureError::Wrong)
    );
}

#[test]
fn a_signature_names_its_key_and_no_other_key_takes_it() {
    let (key, other, manifest) = (key(), self::key(), manifest());
    let signature = key.sign(&manifest).unwrap();
    assert_eq!(signer(&signature), Ok(&*key.public().id()));
    let error = other.public().verify(&manifest, &signature).unwrap_err();
    assert!(matches!(error, SignatureError::OtherKey { .. }), "{error}");
    // Renamed to the other key it is still not of that key.
    let renamed = signature.replace(&key.public().id(), &other.public().id());
    let error = other.public().verify(&manifest, &renamed).unwrap_err();
    assert_eq!(error, SignatureError::Wrong);
}

#[test]
fn a_signature_of_the_text_alone_is_none_of_the_manifest() {
    let (key, manifest) = (key(), manifest());
    let bare = BASE64.encode(key.0.sign(manifest.as_bytes()));
    let line = format!("{SCHEME} {} {bare}", key.public().id());
    let error = key.public().verify(&manifest, &line).unwrap_err();
    assert_eq!(error, SignatureError::Wrong);
}

#[test]
fn a_manifest_that_binds_no_component_is_neither_signed_nor_verified() {
    let key = key();
    assert_eq!(key.sign(HEALTH), Err(SignatureError::Unbound));
    let signature = BASE64.encode(key.0.sign(&message(HEALTH)));
    let line = format!("{SCHEME} {} {signature}", key.public().id());
    assert_eq!(
        key.public().verify(HEALTH, &line),
        Err(SignatureError::Unbound)
    );
}

#[test]
fn what_is_no_line_of_a_signature_is_said_so() {
    let (key, manifest) = (key(), manifest());
    let good = key.sign(&manifest).unwrap();
    for bad in [
        "",
        "quartier-ed25519",
        &good.replace("quartier-ed25519", "minisign"),
        &format!("{good} more"),
        &good[..good.len() - 4],
        &format!("quartier-ed25519 0123 {}", good.rsplit_once(' ').unwrap().1),
        &good.replace(' ', "  "),
    ] {
        let error = key.public().verify(&manifest, bad).unwrap_err();
        assert_eq!(error, SignatureError::Malformed, "{bad}");
    }
}

#[test]
fn keys_are_read_back_from_their_text() {
    let key = key();
    let text = key.public().to_string();
    assert!(text.starts_with("ed25519:") && text.len() == 52, "{text}");
    assert_eq!(text.parse(), Ok(key.public()));
    assert_eq!(key.public().id().len(), 16);
    assert!(!format!("{key:?}").contains(&text[8..]));
    let openssl = SigningKey::from_pem(OPENSSL).unwrap();
    // RFC 8032, section 7.1, test 1: the same seed.
    let public = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    assert_eq!(openssl.public().to_string(), public);
    for bad in ["", "ed25519:", "ed25519:AAAA", &text[8..], "rsa:AAAA"] {
        assert_eq!(bad.parse::<PublicKey>(), Err(KeyError::Public), "{bad}");
    }
    for bad in ["", PEM_HEAD, &OPENSSL.replace("MC4C", "MC5C")] {
        let error = SigningKey::from_pem(bad).unwrap_err();
        assert_eq!(error, KeyError::Private);
    }
}
