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
            "[mqtt]\nexternal = \"mqtt://b:1883\"\ntls_listen = \"127.0.0.1:8883\"\n",
            "mqtt.tls_listen",
        ),
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
        (
            "[journal]\nquota_bytes = 1000000\nkeep_bytes = 500001\n",
            "journal.keep_bytes",
        ),
        (
            "[[plugin]]\nquarter = \"q\"\npath = \"p\"\n",
            "plugin \"p\".quarter",
        ),
        (
            "[[interlock]]\nmax = 11\n",
            "interlock \"\".reason: must say why",
        ),
        (
            "[[interlock]]\nreason = \"r\"\n",
            "interlock \"r\".reason: an interlock needs one of",
        ),
        (
            "[[interlock]]\nreason = \"r\"\nabove = 60\n",
            "interlock \"r\".metric: goes with above or below",
        ),
        (
            "[[interlock]]\nreason = \"r\"\nmetric = \"temperature\"\nmax = 60\n",
            "interlock \"r\".metric: goes with above or below",
        ),
        (
            "[[interlock]]\nreason = \"r\"\nmetric = \"m\"\nabove = 1\nbelow = 2\n",
            "interlock \"r\".below: is more than above",
        ),
        (
            "[[interlock]]\nreason = \"r\"\nmin = 2\nmax = 1\n",
            "interlock \"r\".min: is more than max",
        ),
        (
            "[[interlock]]\nreason = \"r\"\nmax = nan\n",
            "interlock \"r\".max: must be a finite number",
        ),
    ] {
        let error = load(&format!("{SMALL}{more}"), &[]).unwrap_err();
        assert!(error.contains(key), "{more} gave {error}");
    }
}

#[test]
fn what_is_wrong_with_users_tokens_and_rules_is_named_by_line_and_key() {
    const USER: &str = "[[mqtt.user]]\nname = \"u\"\nroles = [\"lab\"]\n";
    let hash = "0".repeat(64);
    let token = |more: &str| format!("{USER}[[mqtt.token]]\nid = \"a1\"\n{more}");
    let acl = |more: &str| format!("{USER}[[mqtt.acl]]\n{more}");
    let good = token(&format!(
        "hash = \"{hash}\"\nuser = \"u\"\nexpires = \"2030-01-01T00:00:00Z\"\n"
    ));
    assert_eq!(
        load(&format!("{SMALL}{good}"), &[])
            .unwrap()
            .mqtt
            .tokens
            .len(),
        1
    );
    for (more, line, key) in [
        (
            format!("{USER}{USER}"),
            9,
            "mqtt.user \"u\".name: is there twice",
        ),
        (USER.replace("lab", "root"), 7, "mqtt.user \"u\".roles"),
        (
            format!("{USER}quarters = [\"q\"]\n"),
            8,
            "mqtt.user \"u\".quarters",
        ),
        (
            format!("{USER}assets = [\"#\"]\n"),
            8,
            "mqtt.user \"u\".assets",
        ),
        (
            format!("{USER}password = \"x\"\n"),
            8,
            "unknown field `password`",
        ),
        (
            token(&format!("hash = \"{hash}\"\nuser = \"x\"\n")),
            11,
            "no user \"x\"",
        ),
        (
            token("hash = \"x\"\nuser = \"u\"\n"),
            10,
            "mqtt.token \"a1\".hash",
        ),
        (
            token(&format!(
                "hash = \"{hash}\"\nuser = \"u\"\nexpires = \"soon\"\n"
            )),
            12,
            "expires",
        ),
        (acl("role = \"labs\"\n"), 9, "mqtt.acl \"labs\".role"),
        (acl("user = \"v\"\n"), 9, "no user \"v\""),
        (acl("publish = [\"a\"]\n"), 8, "say `role` or `user`"),
        (
            acl("role = \"lab\"\nuser = \"u\"\n"),
            10,
            "either `role` or `user`",
        ),
        (
            acl("role = \"lab\"\npublish = [\"a/#/b\"]\n"),
            10,
            "mqtt.acl \"lab\".publish \"a/#/b\"",
        ),
        (
            acl("role = \"lab\"\nsubscribe = [\"a\",\n\"b/{cell}\"]\n"),
            11,
            "\"{cell}\" is not a placeholder",
        ),
        (
            acl("role = \"lab\"\nsubscribe = [\"$share/g/a\"]\n"),
            10,
            "not the group",
        ),
    ] {
        let error = load(&format!("{SMALL}{more}"), &[]).unwrap_err();
        let place = format!("quartier.toml:{line}: ");
        assert!(
            error.contains(key) && error.contains(&place),
            "{more} gave {error}"
        );
    }
}

#[test]
fn tls_is_configured_whole_or_not_at_all() {
    let files = "cert_file = \"c\"\nkey_file = \"k\"\n";
    let listen = "tls_listen = \"127.0.0.1:0\"\n";
    let config = load(&format!("{SMALL}[mqtt]\n{listen}{files}"), &[]).unwrap();
    assert!(config.mqtt.cert_file.unwrap().is_absolute());
    assert!(load(&format!("{SMALL}[mqtt]\n{files}[http]\n{listen}"), &[]).is_ok());
    for (more, key) in [
        (format!("[mqtt]\n{listen}"), "mqtt.cert_file"),
        (format!("[http]\n{listen}"), "mqtt.cert_file"),
        (
            format!("[mqtt]\n{listen}cert_file = \"c\"\n"),
            "mqtt.key_file",
        ),
        (format!("[mqtt]\n{files}"), "mqtt.cert_file"),
        (
            format!("[mqtt]\n{listen}{files}certificate_role = \"device\"\n"),
            "mqtt.certificate_role",
        ),
        ("[mqtt]\nmax_inflight = 0\n".to_owned(), "mqtt.max_inflight"),
        ("[mqtt]\nmax_packet = 10\n".to_owned(), "mqtt.max_packet"),
    ] {
        let error = load(&format!("{SMALL}{more}"), &[]).unwrap_err();
        assert!(error.contains(key), "{more} gave {error}");
    }
}

#[test]
fn anonymous_operators_are_on_loopback_only_on_every_port() {
    for more in [
        "[mqtt]\nanonymous = \"operator\"\nlisten = \"0.0.0.0:1883\"\n",
        "[mqtt]\nanonymous = \"operator\"\n[http]\nlisten = \"0.0.0.0:8080\"\n",
    ] {
        let error = load(&format!("{SMALL}{more}"), &[]).unwrap_err();
        assert!(error.contains("mqtt.anonymous"), "{error}");
    }
}

#[test]
fn no_hash_is_in_what_a_log_may_show() {
    let phc = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$c29tZWhhc2hvZnRoaXJ0eXR3b2J5dGVzISEhISE";
    let text = format!(
        "{SMALL}[[mqtt.user]]\nname = \"u\"\nroles = []\npassword_hash = \"{phc}\"\n\
         [[mqtt.token]]\nid = \"a\"\nuser = \"u\"\nhash = \"{}\"\n",
        "ab".repeat(32)
    );
    let shown = format!("{:?}", load(&text, &[]).unwrap());
    assert!(shown.contains("\"u\"") && !shown.contains("argon2") && !shown.contains("abab"));
}

#[test]
fn an_interlock_is_read_as_it_stands() {
    let more = "[[interlock]]\nkind = \"wallbox\"\nproperty = \"limit_kw\"\nmetric = \"temperature\"\n\
                above = 60\nmax = 11.0\nreason = \"hot\"\n";
    let config = load(&format!("{SMALL}{more}"), &[]).unwrap();
    let interlock = crate::event::Interlock::from(&config.interlocks[0]);
    let bounds = (
        interlock.above,
        interlock.below,
        interlock.min,
        interlock.max,
    );
    assert_eq!(bounds, (Some(60.0), None, None, Some(11.0)));
    assert_eq!(
        (interlock.kind, interlock.reason),
        ("wallbox".to_owned(), "hot".to_owned())
    );
}

#[test]
fn a_city_that_enrols_boxes_and_cannot_let_them_in_warns_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let ca = |name: &str| {
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("ca.crt"), certified.cert.pem()).unwrap();
        path.join("ca.crt").display().to_string()
    };
    let (own, other) = (ca("own"), ca("other"));
    let edge = format!("[edge]\nca_dir = \"{}/own\"\n", folder.path().display());
    let tls = |ca: &str| {
        format!(
            "[mqtt]\ntls_listen = \"127.0.0.1:1\"\ncert_file = \"c\"\nkey_file = \"k\"\n\
             client_ca_file = \"{ca}\"\n"
        )
    };
    let only_https = tls(&own)
        .replace("[mqtt]\n", "[http]\n")
        .replace("cert_file", "[mqtt]\ncert_file");
    for (more, keys) in [
        (String::new(), &[][..]),
        (
            edge.clone(),
            &["mqtt.tls_listen", "mqtt.client_ca_file"][..],
        ),
        (edge.clone() + &tls(&own), &[][..]),
        (edge.clone() + &tls(&other), &["mqtt.client_ca_file"][..]),
        (edge.clone() + &only_https, &["mqtt.tls_listen"][..]),
        (
            edge.clone() + "[mqtt]\nexternal = \"mqtt://b:1883\"\n",
            &["mqtt.external"][..],
        ),
    ] {
        let warnings = load(&format!("{SMALL}{more}"), &[]).unwrap().warnings();
        let named: Vec<_> = warnings
            .iter()
            .filter_map(|w| w.split(':').next())
            .collect();
        assert_eq!(named, keys, "{more}");
    }
}
