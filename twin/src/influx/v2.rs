//! InfluxDB 2 and VictoriaMetrics: POST `/api/v2/write` through the crate influxdb2.
//!
//! That crate says neither headers nor any 2xx but 204 as success, and panics on an address that
//! is none; hence [`InfluxConfig::check`] before and [`judge`] behind it. It cannot show
//! `Retry-After`.

use std::path::PathBuf;

use influxdb2::api::organization::ListOrganizationRequest;
use influxdb2::api::write::TimestampPrecision;
use influxdb2::models::PostBucketRequest;
use influxdb2::{Client, ClientBuilder, RequestError};
use reqwest::Url;

use super::config::{ConfigError, InfluxConfig, read_secret};
use super::post::{Answer, Post, gzip_builder, judge, judge_failure, ping, plain_builder};

/// The `/api/v2/write` interface.
pub(super) struct V2 {
    config: InfluxConfig,
    base: Url,
    org: String,
    bucket: String,
    token_file: Option<PathBuf>,
    token: String,
    /// Says of every body that it is compressed, so it serves for lines only.
    lines: Client,
    /// For everything else.
    admin: Client,
    plain: reqwest::Client,
}

impl V2 {
    /// Reads the token; does not ask the server.
    pub(super) fn new(
        config: &InfluxConfig,
        org: String,
        bucket: String,
        token_file: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let base = config.parsed_url()?;
        let token = read_secret("token_file", token_file.as_deref())?;
        let plain = plain_builder(config)
            .build()
            .map_err(|error| ConfigError::Client(error.to_string()))?;
        let (lines, admin) = clients(config, &base, &org, &token)?;
        let config = config.clone();
        Ok(Self {
            config,
            base,
            org,
            bucket,
            token_file,
            token,
            lines,
            admin,
            plain,
        })
    }

    /// Makes the bucket, where the organization can be seen and the token may.
    async fn create_bucket(&self) -> Result<(), RequestError> {
        let wanted = ListOrganizationRequest {
            org: Some(self.org.clone()),
            ..Default::default()
        };
        let found = self.admin.list_organizations(wanted).await?;
        let id = found
            .orgs
            .into_iter()
            .find(|org| org.name == self.org)
            .and_then(|org| org.id);
        let Some(id) = id else {
            let text = format!("organization `{}` is not to be seen", self.org);
            return Err(RequestError::Deserializing { text });
        };
        self.admin
            .create_bucket(Some(PostBucketRequest::new(id, self.bucket.clone())))
            .await
    }
}

impl Post for V2 {
    async fn post(&self, body: Vec<u8>) -> Answer {
        let precision = TimestampPrecision::Milliseconds;
        let sent = self
            .lines
            .write_line_protocol_with_precision(&self.org, &self.bucket, body, precision)
            .await;
        match sent {
            Ok(()) => Answer::Accepted,
            Err(RequestError::Http { status, text }) => judge(status, &text, None),
            Err(RequestError::ReqwestProcessing { source }) => judge_failure(&source),
            Err(error) => Answer::Later {
                reason: error.to_string(),
                wish: None,
                broken: false,
            },
        }
    }

    async fn ping(&self) -> bool {
        ping(&self.plain, &self.base).await
    }

    fn reload(&mut self) -> Result<bool, ConfigError> {
        let token = read_secret("token_file", self.token_file.as_deref())?;
        if token == self.token {
            return Ok(false);
        }
        (self.lines, self.admin) = clients(&self.config, &self.base, &self.org, &token)?;
        self.token = token;
        Ok(true)
    }

    async fn mend(&self, status: u16, reason: &str) -> bool {
        if status != 404 || !reason.contains("bucket") {
            return false;
        }
        match self.create_bucket().await {
            Ok(()) => {
                tracing::info!(
                    bucket = self.bucket,
                    "created the missing bucket in InfluxDB"
                );
                true
            }
            Err(error) => {
                tracing::warn!(bucket = self.bucket, %error, "cannot create the missing bucket");
                false
            }
        }
    }
}

/// The client for lines and the one for everything else.
fn clients(
    config: &InfluxConfig,
    base: &Url,
    org: &str,
    token: &str,
) -> Result<(Client, Client), ConfigError> {
    let make = |builder| {
        ClientBuilder::with_builder(builder, base.as_str(), org, token)
            .build()
            .map_err(|error| ConfigError::Client(error.to_string()))
    };
    Ok((make(gzip_builder(config))?, make(plain_builder(config))?))
}
