//! The registry's files: a quarter's cells and its assets, as GeoJSON or TOML.
//!
//! GeoJSON: a FeatureCollection of points; the feature's id (or the property `id`) is the asset's,
//! the properties `kind`, `name` and `relations` (`{"feeds": ["meter-1"]}`) have their meaning,
//! every other property becomes an attribute. TOML: `[[asset]]` with `id`, `kind`, `name`, `lat`,
//! `lon`, `attributes`, `relations`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use geojson::{Feature, FeatureCollection, GeometryValue};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::grid::{CellSet, CellSetError};
use crate::model::{AssetRecord, Place, is_name};

/// A registry file that cannot be used; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The cells are wrong; the message names the line.
    #[error("{}: {source}", path.display())]
    Cells {
        /// The file.
        path: PathBuf,
        /// Which line and why.
        source: CellSetError,
    },
    /// The assets are wrong.
    #[error("{}: {what}", path.display())]
    Assets {
        /// The file.
        path: PathBuf,
        /// Which asset and why.
        what: String,
    },
}

/// A quarter's cells from a file with one H3 cell a line.
///
/// # Errors
/// The file cannot be read, or a line is not a cell.
pub fn load_cells(path: &Path) -> Result<Vec<u64>, RegistryError> {
    let set = CellSet::parse(&read(path)?).map_err(|source| RegistryError::Cells {
        path: path.to_owned(),
        source,
    })?;
    Ok(set.cells().iter().map(|&cell| u64::from(cell)).collect())
}

/// A quarter's assets, in the order of the file.
///
/// # Errors
/// The file cannot be read, or an asset is wrong: its id, its place, or there twice.
pub fn load_assets(path: &Path, quarter: &str) -> Result<Vec<AssetRecord>, RegistryError> {
    let text = read(path)?;
    let toml = path.extension().is_some_and(|e| e == "toml");
    let parsed = if toml {
        from_toml(&text, quarter)
    } else {
        from_geojson(&text, quarter)
    };
    let assets = parsed.and_then(unique);
    assets.map_err(|what| RegistryError::Assets {
        path: path.to_owned(),
        what,
    })
}

fn read(path: &Path) -> Result<String, RegistryError> {
    fs::read_to_string(path).map_err(|source| RegistryError::Read {
        path: path.to_owned(),
        source,
    })
}

fn unique(assets: Vec<AssetRecord>) -> Result<Vec<AssetRecord>, String> {
    let mut seen = hashbrown::HashSet::new();
    for asset in &assets {
        if !is_name(&asset.id) {
            return Err(format!(
                "asset {:?}: the id must be one topic level",
                asset.id
            ));
        }
        if !seen.insert(asset.id.clone()) {
            return Err(format!("asset {:?} is there twice", asset.id));
        }
    }
    Ok(assets)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlFile {
    #[serde(default)]
    asset: Vec<TomlAsset>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlAsset {
    id: String,
    #[serde(default = "unknown")]
    kind: String,
    #[serde(default)]
    name: String,
    lat: Option<f64>,
    lon: Option<f64>,
    #[serde(default)]
    attributes: BTreeMap<String, toml::Value>,
    #[serde(default)]
    relations: BTreeMap<String, Vec<String>>,
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn from_toml(text: &str, quarter: &str) -> Result<Vec<AssetRecord>, String> {
    let file: TomlFile = toml::from_str(text).map_err(|error| error.to_string())?;
    let asset = |asset: TomlAsset| {
        let place = match (asset.lat, asset.lon) {
            (None, None) => None,
            (Some(lat), Some(lon)) => Some(
                Place::new(lat, lon)
                    .ok_or_else(|| format!("asset {:?}: {lat}, {lon} is no place", asset.id))?,
            ),
            _ => return Err(format!("asset {:?}: lat and lon go together", asset.id)),
        };
        let text = |value: toml::Value| match value {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(AssetRecord {
            quarter: quarter.to_owned(),
            id: asset.id,
            kind: asset.kind,
            name: asset.name,
            place,
            attributes: asset
                .attributes
                .into_iter()
                .map(|(k, v)| (k, text(v)))
                .collect(),
            relations: edges(asset.relations),
            automatic: false,
        })
    };
    file.asset.into_iter().map(asset).collect()
}

fn edges(relations: BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    let mut edges: Vec<_> = relations
        .into_iter()
        .flat_map(|(kind, targets)| targets.into_iter().map(move |t| (kind.clone(), t)))
        .collect();
    edges.sort();
    edges
}

fn from_geojson(text: &str, quarter: &str) -> Result<Vec<AssetRecord>, String> {
    let collection: FeatureCollection = text
        .parse()
        .map_err(|error: geojson::Error| error.to_string())?;
    (1..)
        .zip(collection.features)
        .map(|(number, feature)| {
            from_feature(feature, quarter).map_err(|what| format!("feature {number}: {what}"))
        })
        .collect()
}

fn from_feature(feature: Feature, quarter: &str) -> Result<AssetRecord, String> {
    let mut properties = feature.properties.unwrap_or_default();
    let own = feature.id.map(|id| match id {
        geojson::feature::Id::String(id) => id,
        geojson::feature::Id::Number(id) => id.to_string(),
    });
    let property = take_text(&mut properties, "id");
    let id = own.or(property).ok_or("has no id")?;
    let place = match feature.geometry.map(|geometry| geometry.value) {
        None => None,
        Some(GeometryValue::Point { coordinates }) => match coordinates.as_slice() {
            [lon, lat, ..] => Some(
                Place::new(*lat, *lon)
                    .ok_or_else(|| format!("asset {id:?}: {lat}, {lon} is no place"))?,
            ),
            _ => {
                return Err(format!(
                    "asset {id:?}: a point needs longitude and latitude"
                ));
            }
        },
        Some(_) => return Err(format!("asset {id:?}: the geometry must be a Point")),
    };
    let kind = take_text(&mut properties, "kind").unwrap_or_else(unknown);
    let name = take_text(&mut properties, "name").unwrap_or_default();
    let relations = match properties.remove("relations") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(relations) => serde_json::from_value(relations)
            .map_err(|error| format!("asset {id:?}: relations: {error}"))?,
    };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut attributes: Vec<_> = properties
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key, text(value)))
        .collect();
    attributes.sort();
    Ok(AssetRecord {
        quarter: quarter.to_owned(),
        id,
        kind,
        name,
        place,
        attributes,
        relations: edges(relations),
        automatic: false,
    })
}

fn take_text(properties: &mut Map<String, Value>, key: &str) -> Option<String> {
    match properties.remove(key)? {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{from_geojson, from_toml, unique};

    #[test]
    fn geojson_and_toml_say_the_same() {
        let geojson = r#"{"type":"FeatureCollection","features":[{"type":"Feature","id":"f-1",
            "geometry":{"type":"Point","coordinates":[13.77,51.05]},
            "properties":{"kind":"feeder","name":"F 1","rated_kva":630,
            "relations":{"feeds":["m-2","m-1"]}}}]}"#;
        let toml = "[[asset]]\nid = \"f-1\"\nkind = \"feeder\"\nname = \"F 1\"\nlat = 51.05\nlon = 13.77\n\
            attributes = { rated_kva = 630 }\nrelations = { feeds = [\"m-2\", \"m-1\"] }\n";
        assert_eq!(
            from_geojson(geojson, "q").unwrap(),
            from_toml(toml, "q").unwrap()
        );
    }

    #[test]
    fn a_wrong_asset_is_named() {
        let twice = "[[asset]]\nid = \"a\"\n[[asset]]\nid = \"a\"\n";
        let error = from_toml(twice, "q").and_then(unique).unwrap_err();
        assert_eq!(error, "asset \"a\" is there twice");
        let error = from_toml("[[asset]]\nid = \"a\"\nlat = 91.0\nlon = 0.0\n", "q").unwrap_err();
        assert!(error.contains("asset \"a\": 91, 0 is no place"), "{error}");
        let none = r#"{"type":"FeatureCollection","features":[{"type":"Feature","geometry":null,"properties":{}}]}"#;
        assert_eq!(from_geojson(none, "q").unwrap_err(), "feature 1: has no id");
    }
}
