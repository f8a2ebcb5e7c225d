//! The demo's data folder: a configuration, cells and assets for each quarter.
//!
//! A configuration that is there already is kept, so that it can be read, changed and served.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use h3o::{LatLng, Resolution};
use serde_json::json;

use crate::cli::cert;
use crate::cli::simulate::{CENTRES, Fleet, centre_of};
use crate::model::Place;

/// Cells around the centre, rings at resolution 9: 37 cells, about 4 km2.
const RINGS: u32 = 3;
/// Devices of each quarter that the registry knows; the others register themselves.
const REGISTERED: usize = 16;
/// The same devices at each start.
pub(super) const SEED: u64 = 1;
/// Where the plugins' build puts the health plugin.
const HEALTH: &str = "plugins/target/components/health";

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
    let plugin = health();
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
        let text = configuration(ports, plugin.as_deref());
        fs::write(&config, &text)?;
        text
    };
    let note = match plugin {
        _ if written.contains("[[plugin]]") => None,
        None => Some(format!(
            "no plugin runs: build them with plugins/build, remove {}, and start again",
            config.display()
        )),
        Some(plugin) => Some(format!(
            "no plugin runs: {} names none; remove it to get {}",
            config.display(),
            plugin.display()
        )),
    };
    Ok(Prepared { config, note })
}

/// The folder of the health plugin: from the environment, the current folder, or that of the
/// executable and those above it.
fn health() -> Option<PathBuf> {
    let named =
        std::env::var_os("QUARTIER_PLUGINS").map(|folder| PathBuf::from(folder).join("health"));
    let here = std::env::current_dir()
        .ok()
        .map(|folder| folder.join(HEALTH));
    let executable = std::env::current_exe().unwrap_or_default();
    let above = executable.ancestors().map(|folder| folder.join(HEALTH));
    let found = named
        .into_iter()
        .chain(here)
        .chain(above)
        .find(|f| f.join("manifest.toml").is_file())?;
    fs::canonicalize(found).ok()
}

fn configuration(ports: Ports, plugin: Option<&Path>) -> String {
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
    for (id, _, _, _) in CENTRES {
        if let Some(plugin) = plugin {
            let path = toml::Value::from(plugin.to_string_lossy().into_owned());
            let _ = write!(text, "\n[[plugin]]\nquarter = \"{id}\"\npath = {path}\n");
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

fn assets(quarter: &str, centre: Place) -> String {
    let fleet = Fleet::new(quarter, centre, REGISTERED, SEED);
    let fed: Vec<&str> = fleet
        .devices()
        .iter()
        .filter(|device| matches!(device.kind.name(), "meter" | "wallbox" | "pv"))
        .map(|device| device.id.as_str())
        .collect();
    let features = fleet.devices().iter().map(|device| {
        let kind = device.kind.name();
        let mut properties =
            json!({ "kind": kind, "name": format!("Simulated {}", kind.replace('_', " ")) });
        if kind == "feeder"
            && let Some(properties) = properties.as_object_mut()
        {
            properties.insert("rated_kva".to_owned(), json!(400));
            properties.insert("relations".to_owned(), json!({ "feeds": fed }));
        }
        let coordinates = [device.place.lon(), device.place.lat()];
        json!({
            "type": "Feature",
            "id": device.id,
            "geometry": { "type": "Point", "coordinates": coordinates },
            "properties": properties,
        })
    });
    let features: Vec<_> = features.collect();
    format!(
        "{:#}\n",
        json!({ "type": "FeatureCollection", "features": features })
    )
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
            assert_eq!(assets.len(), 16);
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
