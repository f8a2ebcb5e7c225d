//! The demo's data folder: a configuration, cells and assets for each quarter.
//!
//! A configuration that is there already is kept, so that it can be read, changed and served.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use h3o::{LatLng, Resolution};
use quartier_plugin_host::SigningKey;
use serde_json::{Value, json};

use crate::cli::cert;
use crate::cli::simulate::{CENTRES, Fleet, centre_of};
use crate::model::Place;

/// Cells around the centre, rings at resolution 9: 37 cells, about 4 km2.
const RINGS: u32 = 3;
/// Devices of each quarter that the registry knows; the others register themselves.
const REGISTERED: usize = 16;
/// The same devices at each start.
pub(super) const SEED: u64 = 1;
/// Where the plugins' build puts them.
const COMPONENTS: &str = "plugins/target/components";
/// Each lab's rules in its quarter; clean air is everybody's.
const PLUGINS: [(&str, &str); 6] = [
    ("johannstadt", "energy"),
    ("johannstadt", "mobility"),
    ("johannstadt", "health"),
    ("friedrichstadt", "health"),
    ("dresden-ost", "science"),
    ("dresden-ost", "health"),
];
/// Folder of the labs' keys: with `{lab}.key` a rule is signed that this node takes.
const LABS: &str = "labs";

/// Folder of certificate authority and server certificate.
pub(super) const CERTIFICATES: &str = "certificates";

/// Where the demo listens.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) mqtt: u16,
    pub(super) mqtts: u16,
    pub(super) http: u16,
}

/// What was found or written.
pub(super) struct Prepared {
    pub(super) config: PathBuf,
    /// A line for people, where something is missing.
    pub(super) note: Option<String>,
}

/// Writes the folder, unless its configuration is there.
pub(super) fn prepare(folder: &Path, ports: Ports) -> anyhow::Result<Prepared> {
    let config = folder.join("quartier.toml");
    let components = components();
    let written = if config.exists() {
        fs::read_to_string(&config)?
    } else {
        fs::create_dir_all(folder)?;
        for (id, _, _, _) in CENTRES {
            if let Some(centre) = centre_of(id) {
                fs::write(folder.join(format!("{id}.cells")), cells(centre))?;
                fs::write(folder.join(format!("{id}.geojson")), assets(id, centre))?;
            }
        }
        let authority = folder.join(CERTIFICATES);
        if !authority.exists() {
            cert::ca(&authority, "Quartier demo")?;
            let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
            cert::server(&authority, &hosts, cert::DAYS, &authority)?;
        }
        let keys = keys(&folder.join(LABS))?;
        let text = configuration(ports, components.as_deref(), &keys);
        fs::write(&config, &text)?;
        text
    };
    let note = match components {
        _ if written.contains("[[plugin]]") => None,
        None => Some(format!(
            "no plugin runs: build them with plugins/build, remove {}, and start again",
            config.display()
        )),
        Some(components) => Some(format!(
            "no plugin runs: {} names none; remove it to get those in {}",
            config.display(),
            components.display()
        )),
    };
    Ok(Prepared { config, note })
}

/// The folder of the built plugins: from the environment, below the current folder, or below that
/// of the executable and those above it.
fn components() -> Option<PathBuf> {
    let named = std::env::var_os("QUARTIER_PLUGINS").map(PathBuf::from);
    let here = std::env::current_dir()
        .ok()
        .map(|folder| folder.join(COMPONENTS));
    let executable = std::env::current_exe().unwrap_or_default();
    let above = executable.ancestors().map(|folder| folder.join(COMPONENTS));
    let found = named
        .into_iter()
        .chain(here)
        .chain(above)
        .find(|folder| folder.join("health/manifest.toml").is_file())?;
    fs::canonicalize(found).ok()
}

/// A key for each lab, made where there is none; lab and public key.
fn keys(folder: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    fs::create_dir_all(folder)?;
    let mut keys = Vec::new();
    for (id, _, _, _) in CENTRES {
        let path = folder.join(format!("{id}.key"));
        if !path.exists() {
            let mut file = OpenOptions::new();
            let file = file.write(true).create_new(true).mode(0o600).open(&path);
            file?.write_all(SigningKey::generate()?.as_bytes())?;
        }
        let key = SigningKey::from_pem(&fs::read_to_string(&path)?)?;
        keys.push((id, key.public().to_string()));
    }
    Ok(keys)
}

fn configuration(ports: Ports, components: Option<&Path>, keys: &[(&str, String)]) -> String {
    let Ports { mqtt, mqtts, http } = ports;
    let mut text = format!(
        "# Written by `quartier demo`; change it and run `quartier demo` or `quartier serve` again.\n\
        [node]\nname = \"demo\"\nrole = \"city\"\ndata = \"node\"\n\n\
        [mqtt]\nlisten = \"127.0.0.1:{mqtt}\"\nanonymous = \"operator\" # on loopback only\n\
        tls_listen = \"127.0.0.1:{mqtts}\"\n\
        cert_file = \"{CERTIFICATES}/server.crt\"\nkey_file = \"{CERTIFICATES}/server.key\"\n\
        client_ca_file = \"{CERTIFICATES}/ca.crt\"\n\n\
        [http]\nlisten = \"127.0.0.1:{http}\"\n"
    );
    for (id, name, _, _) in CENTRES {
        let _ = write!(
            text,
            "\n[[quarter]]\nid = \"{id}\"\nname = \"{name}\"\ncells_file = \"{id}.cells\"\n\
            assets_file = \"{id}.geojson\"\n"
        );
    }
    for (lab, key) in keys {
        let _ = write!(
            text,
            "\n[[lab]] # signs with {LABS}/{lab}.key\nid = \"{lab}\"\nkeys = [\"{key}\"]\n"
        );
    }
    for (quarter, plugin) in PLUGINS {
        let path = components.map(|folder| folder.join(plugin));
        if let Some(path) = path.filter(|path| path.join("manifest.toml").is_file()) {
            let path = toml::Value::from(path.to_string_lossy().into_owned());
            let _ = write!(
                text,
                "\n[[plugin]]\nquarter = \"{quarter}\"\npath = {path}\n"
            );
        }
    }
    text
}

/// A disk around the centre: the real borders are not part of the project.
fn cells(centre: Place) -> String {
    let Ok(centre) = LatLng::new(centre.lat(), centre.lon()) else {
        return String::new();
    };
    let disk: Vec<_> = centre.to_cell(Resolution::Nine).grid_disk(RINGS);
    disk.iter()
        .fold(String::new(), |text, cell| format!("{text}{cell}\n"))
}

/// The first few simulated devices, and what they belong to, so that every lab's rules find work.
fn assets(quarter: &str, centre: Place) -> String {
    let fleet = Fleet::new(quarter, centre, REGISTERED, SEED);
    let of_kind = |kinds: &[&str]| -> Vec<&str> {
        let devices = fleet.devices().iter();
        let wanted = devices.filter(|device| kinds.contains(&device.kind.name()));
        wanted.map(|device| device.id.as_str()).collect()
    };
    let mut features: Vec<_> = fleet
        .devices()
        .iter()
        .map(|device| {
            let kind = device.kind.name();
            let facts = match kind {
                "feeder" => json!({
                    "rated_kva": 400,
                    "relations": { "feeds": of_kind(&["meter", "wallbox", "pv"]) },
                }),
                "wallbox" => json!({ "rated_kw": 11 }),
                _ => json!({}),
            };
            feature(&device.id, kind, device.place, facts)
        })
        .collect();
    let belongs = [
        (
            "sim-connection-001",
            "connection_point",
            json!({ "connects": of_kind(&["wallbox"]) }),
        ),
        (
            "sim-community-001",
            "sharing_community",
            json!({ "supplies": of_kind(&["meter"]), "generates": of_kind(&["pv"]) }),
        ),
        (
            "sim-quarter-001",
            "quarter",
            json!({ "contains": of_kind(&["feeder"]) }),
        ),
        (
            "sim-tree-001",
            "city_tree",
            json!({ "measured_by": of_kind(&["sensor_box"]) }),
        ),
    ];
    features.extend(
        belongs.map(|(id, kind, relations)| {
            feature(id, kind, centre, json!({ "relations": relations }))
        }),
    );
    format!(
        "{:#}\n",
        json!({ "type": "FeatureCollection", "features": features })
    )
}

/// `facts`: properties beside kind and name.
fn feature(id: &str, kind: &str, place: Place, mut facts: Value) -> Value {
    if let Some(properties) = facts.as_object_mut() {
        properties.insert("kind".to_owned(), json!(kind));
        let name = format!("Simulated {}", kind.replace('_', " "));
        properties.insert("name".to_owned(), json!(name));
    }
    json!({
        "type": "Feature",
        "id": id,
        "geometry": { "type": "Point", "coordinates": [place.lon(), place.lat()] },
        "properties": facts,
    })
}

#[cfg(test)]
mod tests {
    use super::{Ports, prepare};
    use crate::config::Config;
    use crate::registry::{load_assets, load_cells};

    fn ports(mqtt: u16) -> Ports {
        let (mqtts, http) = (mqtt + 1, mqtt + 2);
        Ports { mqtt, mqtts, http }
    }

    #[test]
    fn what_the_demo_writes_is_right_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let prepared = prepare(folder.path(), ports(4100)).unwrap();
        let config = Config::load(&prepared.config).unwrap();
        assert_eq!(
            (config.mqtt.listen.port(), config.http.listen.port()),
            (4100, 4102)
        );
        assert_eq!(config.mqtt.anonymous, "operator");
        assert_eq!(config.mqtt.tls_listen.unwrap().port(), 4101);
        assert!(config.mqtt.cert_file.unwrap().is_file());
        assert_eq!(config.quarters.len(), 3);
        for quarter in &config.quarters {
            assert_eq!(
                load_cells(quarter.cells_file.as_deref().unwrap())
                    .unwrap()
                    .len(),
                37
            );
            let assets = load_assets(quarter.assets_file.as_deref().unwrap(), &quarter.id).unwrap();
            assert_eq!(assets.len(), 16 + 4);
            assert!(assets.iter().any(|asset| asset.relations.len() > 5));
        }
        let mine = format!(
            "# mine\n{}",
            std::fs::read_to_string(&prepared.config).unwrap()
        );
        std::fs::write(&prepared.config, &mine).unwrap();
        prepare(folder.path(), ports(4200)).unwrap();
        assert_eq!(std::fs::read_to_string(&prepared.config).unwrap(), mine);
    }
}
