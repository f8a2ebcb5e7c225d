//! What a configuration may say and how a wrong one is named.

use std::path::PathBuf;

use super::{Config, ConfigError};

const SMALL: &str = "[node]\nname = \"n\"\nrole = \"city\"\ndata = \"d\"\n";

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quartier.toml");
    std::fs::write(&path, text).unwrap();
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let loaded = Config::load_with(&path, environment);
    loaded.map_err(|error: ConfigError| error.to_string())
}

#[test]
fn the_smallest_file_is_enough_and_paths_are_relative_to_it() {
    let config = load(SMALL, &[]).unwrap();
    assert_eq!(config.mqtt.listen.port(), 1883);
    assert_eq!(config.mqtt.anonymous, "none");
    assert!(config.node.data.is_absolute() && config.node.data.ends_with(PathBuf::from("d")));
}

#[test]
fn an_unknown_key_is_named_with_line_and_suggestion() {
    let error = load(
        &format!("{SMALL}[mqtt]\nlisten = \"127.0.0.1:1\"\nanonimous = \"none\"\n"),
        &[],
    );
    let error = error.unwrap_err();
    assert!(error.contains("quartier.toml:7:"), "{error}");
    assert!(error.contains("unknown field `anonimous`"), "{error}");
    assert!(error.contains("did you mean `anonymous`?"), "{error}");
}

#[test]
fn the_environment_goes_before_the_file() {
    let config = load(
        SMALL,
        &[
            ("QUARTIER_MQTT__LISTEN", "127.0.0.1:9"),
            ("QUARTIER_NODE__NAME", "x"),
        ],
    );
    let config = config.unwrap();
    assert_eq!(
        (config.mqtt.listen.port(), config.node.name.as_str()),
        (9, "x")
    );
    let error = load(SMALL, &[("QUARTIER_MQTT__LISTENN", "127.0.0.1:9")]).unwrap_err();
    assert!(error.contains("did you mean `listen`?"), "{error}");
}

#[test]
fn what_does_not_go_together_is_named_by_key() {
    for (more, key) in [
        (
            "[influx]\nurl = \"http://127.0.0.1\"\napi = \"v1\"\n",
            "influx.database",
        ),
        ("[mqtt]\nanonymous = \"root\"\n", "mqtt.anonymous"),
        (
            "[mqtt]\nlisten = \"0.0.0.0:1883\"\nanonymous = \"operator\"\n",
            "mqtt.anonymous",
        ),
        (
            "[[mqtt.user]]\nname = \"a\"\npassword_hash = \"x\"\nroles = []\n",
            "mqtt.user \"a\"",
        ),
        (
            "[[quarter]]\nid = \"a/b\"\nname = \"\"\n",
            "quarter \"a/b\"",
        ),
        (
            "[[quarter]]\nid = \"a\"\nname = \"\"\ntimezone = \"Mars\"\n",
            "quarter \"a\"",
        ),
        ("[journal]\nquota_bytes = 1000\n", "journal.quota_bytes"),
        ("[[plugin]]\nquarter = \"q\"\npath = \"p\"\n", "plugin p"),
    ] {
        let error = load(&format!("{SMALL}{more}"), &[]).unwrap_err();
        assert!(error.contains(key), "{more} gave {error}");
    }
}
