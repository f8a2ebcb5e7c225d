//! What the sink has to know, checked before it starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

/// How to reach the server and how to treat it.
#[derive(Debug, Clone)]
pub struct InfluxConfig {
    /// `http://127.0.0.1:8086`, or https.
    pub url: String,
    /// Which of the two write interfaces, and where in it.
    pub api: InfluxApi,
    /// Lines a request at most; [`InfluxConfig::new`] says 5,000.
    pub batch_lines: usize,
    /// How long a line waits for others to come along; 1 s.
    pub batch_delay: Duration,
    /// A request may take this long; 30 s.
    pub timeout: Duration,
    /// A connection may take this long to come about; 5 s.
    pub connect_timeout: Duration,
    /// Ceiling of the pause after the first failure; 0.25 s.
    pub retry_first: Duration,
    /// Ceiling of the pause after many failures; 60 s.
    pub retry_longest: Duration,
    /// Pause between tries while the server refuses login, path or database; 30 s.
    pub retry_misconfigured: Duration,
    /// On shutdown the request under way and what remains may take this long; 5 s.
    pub drain: Duration,
}

/// The write interface of the server.
#[derive(Debug, Clone)]
pub enum InfluxApi {
    /// `/api/v2/write`: InfluxDB 2 and later, VictoriaMetrics.
    V2 {
        /// Name of the organization.
        org: String,
        /// Name of the bucket; it is created where it is missing and the token may do so.
        bucket: String,
        /// File that holds the token; none: no login.
        token_file: Option<PathBuf>,
    },
    /// `/write`: InfluxDB 1.x.
    V1 {
        /// Name of the database, which must exist.
        database: String,
        /// Name to log in with; none: no login.
        user: Option<String>,
        /// File that holds the password.
        password_file: Option<PathBuf>,
    },
}

/// What is wrong with the configuration, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The address is none.
    #[error("influx.url `{url}` is no http or https address ({reason}); write http://host:8086")]
    Url {
        /// As configured.
        url: String,
        /// What the parser says.
        reason: String,
    },
    /// The v2 client replaces the path of the address.
    #[error("influx.url `{0}` has a path, which api \"v2\" cannot keep; leave the path away")]
    Path(String),
    /// A value that must not be empty or zero.
    #[error("influx.{0} is empty; set it")]
    Empty(&'static str),
    /// The file with the token or password cannot be used.
    #[error("influx.{key} {path} cannot be used: {reason}")]
    Secret {
        /// `token_file` or `password_file`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client for InfluxDB cannot be made: {0}")]
    Client(String),
}

impl InfluxConfig {
    /// The usual batches, time limits and pauses.
    pub fn new(url: impl Into<String>, api: InfluxApi) -> Self {
        Self {
            url: url.into(),
            api,
            batch_lines: 5_000,
            batch_delay: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            retry_first: Duration::from_millis(250),
            retry_longest: Duration::from_secs(60),
            retry_misconfigured: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }

    /// Everything that can be known to be wrong without asking the server.
    ///
    /// # Errors
    /// An address that is none, an empty name, an unreadable or empty file of a secret.
    pub fn check(&self) -> Result<(), ConfigError> {
        let url = self.parsed_url()?;
        if self.batch_lines == 0 {
            return Err(ConfigError::Empty("batch_lines"));
        }
        match &self.api {
            InfluxApi::V2 {
                org,
                bucket,
                token_file,
            } => {
                if url.path() != "/" {
                    return Err(ConfigError::Path(self.url.clone()));
                }
                named("org", org)?;
                named("bucket", bucket)?;
                read_secret("token_file", token_file.as_deref())?;
            }
            InfluxApi::V1 {
                database,
                password_file,
                ..
            } => {
                named("database", database)?;
                read_secret("password_file", password_file.as_deref())?;
            }
        }
        Ok(())
    }

    pub(super) fn parsed_url(&self) -> Result<Url, ConfigError> {
        let fault = |reason: String| ConfigError::Url {
            url: self.url.clone(),
            reason,
        };
        let url = Url::parse(&self.url).map_err(|error| fault(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault(format!("its scheme is {}", url.scheme())));
        }
        Ok(url)
    }
}

fn named(key: &'static str, name: &str) -> Result<(), ConfigError> {
    if name.is_empty() {
        Err(ConfigError::Empty(key))
    } else {
        Ok(())
    }
}

/// The secret in a file, without white space around it; empty where there is no file.
pub(super) fn read_secret(key: &'static str, path: Option<&Path>) -> Result<String, ConfigError> {
    let Some(path) = path else {
        return Ok(String::new());
    };
    let fault = |reason: String| ConfigError::Secret {
        key,
        path: path.to_owned(),
        reason,
    };
    let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(fault("it is empty; put the secret into it".into()));
    }
    if secret.chars().any(char::is_control) {
        return Err(fault(
            "it has more than one line; put only the secret into it".into(),
        ));
    }
    Ok(secret.to_owned())
}
