//! Reads, overrides and checks a configuration.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or a value that is not known.
    #[error("{}:{line}: {message}{hint}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
        /// The key that was probably meant.
        hint: String,
    },
    /// A variable of the environment does not fit.
    #[error("environment: {message}{hint}")]
    Environment {
        /// What is wrong.
        message: String,
        /// The key that was probably meant.
        hint: String,
    },
    /// The values do not go together.
    #[error("{}{}: {key}: {message}", path.display(), colon(*line))]
    Value {
        /// The file.
        path: PathBuf,
        /// Line, from 1; `None` for a key that the file does not have.
        line: Option<usize>,
        /// Which key.
        key: String,
        /// What is wrong and what to do.
        message: String,
    },
}

impl Config {
    /// Reads `path`, lets the environment override it, and checks it.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let environment = std::env::vars().filter(|(name, _)| name.starts_with(PREFIX));
        Self::load_with(path, environment)
    }

    pub(super) fn load_with(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut config: Self =
            toml::from_str(&text).map_err(|error| syntax(path, &text, &error))?;
        let overrides: Vec<_> = environment
            .filter(|(name, _)| name.contains("__"))
            .collect();
        if !overrides.is_empty() {
            let table: Table =
                toml::from_str(&text).map_err(|error| syntax(path, &text, &error))?;
            config = overridden(table, overrides)?;
        }
        config.check().map_err(|wrong| ConfigError::Value {
            path: path.to_owned(),
            line: wrong.line(&text),
            key: wrong.key(),
            message: wrong.message,
        })?;
        config.file = path.to_owned();
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn resolve(&mut self, folder: &Path) {
        let mut join = |path: &mut PathBuf| *path = folder.join(&*path);
        join(&mut self.node.data);
        join(&mut self.node.time_synchronised_file);
        let mqtt = &mut self.mqtt;
        for file in [
            &mut mqtt.cert_file,
            &mut mqtt.key_file,
            &mut mqtt.client_ca_file,
            &mut mqtt.external_password_file,
            &mut mqtt.external_ca_file,
            &mut mqtt.external_cert_file,
            &mut mqtt.external_key_file,
        ] {
            file.iter_mut().for_each(&mut join);
        }
        for quarter in &mut self.quarters {
            quarter.cells_file.iter_mut().for_each(&mut join);
            quarter.assets_file.iter_mut().for_each(&mut join);
        }
        for plugin in &mut self.plugins {
            join(&mut plugin.path);
        }
        if let Some(uplink) = &mut self.uplink {
            for file in [
                &mut uplink.ca_file,
                &mut uplink.cert_file,
                &mut uplink.key_file,
            ] {
                file.iter_mut().for_each(&mut join);
            }
        }
        self.edge.ca_dir.iter_mut().for_each(&mut join);
        if let Some(influx) = &mut self.influx {
            influx.token_file.iter_mut().for_each(&mut join);
            influx.password_file.iter_mut().for_each(&mut join);
        }
    }
}

const PREFIX: &str = "QUARTIER_";

/// `QUARTIER_MQTT__LISTEN=..` sets `mqtt.listen`; a value that is no TOML is a string.
fn overridden(mut table: Table, overrides: Vec<(String, String)>) -> Result<Config, ConfigError> {
    for (name, value) in overrides {
        let path = name.trim_start_matches(PREFIX).to_lowercase();
        let mut keys: Vec<&str> = path.split("__").collect();
        let Some(last) = keys.pop() else { continue };
        let mut place = &mut table;
        for key in keys {
            let entry = place
                .entry(key)
                .or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = entry else {
                return Err(ConfigError::Environment {
                    message: format!("{name}: {key} is not a section"),
                    hint: String::new(),
                });
            };
            place = inner;
        }
        let parsed = toml::from_str::<Table>(&format!("v = {value}")).ok();
        let value = parsed
            .and_then(|mut t| t.remove("v"))
            .unwrap_or(Value::String(value));
        place.insert(last.to_owned(), value);
    }
    table
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Environment {
            message: error.message().to_owned(),
            hint: suggestion(error.message()),
        })
}

fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError::Syntax {
        path: path.to_owned(),
        line: line_at(text, error.span().map_or(0, |span| span.start)),
        message: error.message().trim_end().replace('\n', "; "),
        hint: suggestion(error.message()),
    }
}

fn colon(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}

/// Line of a byte of `text`, from 1.
pub(super) fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&b| b == b'\n').count() + 1
}

/// serde says "unknown field `x`, expected one of `a`, `b`": the nearest of them, if any is near.
fn suggestion(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return String::new();
    };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next() else {
        return String::new();
    };
    quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(unknown.len()) / 2)
        .map_or_else(String::new, |(_, known)| {
            format!("; did you mean `{known}`?")
        })
}
