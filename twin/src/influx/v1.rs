//! InfluxDB 1.x: POST `/write`, basic authentication.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, Url};

use super::config::{ConfigError, InfluxConfig, read_secret};
use super::post::{Answer, Post, gzip_builder, judge, judge_failure, ping, plain_builder};

/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 4096;

/// The `/write` interface.
pub(super) struct V1 {
    client: Client,
    plain: Client,
    base: Url,
    write: Url,
    user: Option<String>,
    password: String,
    password_file: Option<PathBuf>,
}

impl V1 {
    /// Reads the password; does not ask the server.
    pub(super) fn new(
        config: &InfluxConfig,
        database: &str,
        user: Option<String>,
        password_file: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let fault = |error: reqwest::Error| ConfigError::Client(error.to_string());
        let mut base = config.parsed_url()?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let bad = |error| ConfigError::Url {
            url: config.url.clone(),
            reason: format!("{error}"),
        };
        let mut write = base.join("write").map_err(bad)?;
        write
            .query_pairs_mut()
            .append_pair("db", database)
            .append_pair("precision", "ms");
        Ok(Self {
            client: gzip_builder(config).build().map_err(fault)?,
            plain: plain_builder(config).build().map_err(fault)?,
            base,
            write,
            user,
            password: read_secret("password_file", password_file.as_deref())?,
            password_file,
        })
    }
}

impl Post for V1 {
    async fn post(&self, body: Vec<u8>) -> Answer {
        let mut request = self.client.post(self.write.clone()).body(body);
        if let Some(user) = &self.user {
            request = request.basic_auth(user, Some(&self.password));
        }
        match request.send().await {
            Ok(answer) => {
                let (status, wish) = (answer.status(), retry_after(answer.headers()));
                let text = if status.is_success() {
                    String::new()
                } else {
                    start_of(answer).await
                };
                judge(status, &text, wish)
            }
            Err(error) => judge_failure(&error),
        }
    }

    async fn ping(&self) -> bool {
        ping(&self.plain, &self.base).await
    }

    fn reload(&mut self) -> Result<bool, ConfigError> {
        let password = read_secret("password_file", self.password_file.as_deref())?;
        let changed = password != self.password;
        self.password = password;
        Ok(changed)
    }

    async fn mend(&self, _status: u16, _reason: &str) -> bool {
        false
    }
}

/// The beginning of an answer; what goes wrong while reading only makes it shorter.
async fn start_of(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < LONGEST_ANSWER {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(LONGEST_ANSWER);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let pause = date
        .as_second()
        .saturating_sub(jiff::Timestamp::now().as_second());
    Some(Duration::from_secs(u64::try_from(pause).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        retry_after(&HeaderMap::from_iter([(
            RETRY_AFTER,
            text.parse().unwrap(),
        )]))
    }

    #[test]
    fn a_wish_for_a_pause_is_understood_in_seconds_and_as_a_date() {
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let in_a_minute = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
        let date = jiff::fmt::rfc2822::to_string(&in_a_minute.to_zoned(jiff::tz::TimeZone::UTC));
        let pause = asked(&date.unwrap()).unwrap().as_secs();
        assert!((58..=60).contains(&pause), "{pause}");
        assert_eq!(asked("soon"), None);
    }
}
