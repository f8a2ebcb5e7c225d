//! The seam to the server: one request in, one of five answers out.

use std::future::Future;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{ClientBuilder, StatusCode, redirect};

use super::config::{ConfigError, InfluxConfig};

/// Bytes of a server's explanation that are kept.
const LONGEST_REASON: usize = 500;

/// What became of a request, in words of what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server has it.
    Accepted,
    /// Nothing is wrong with the lines; try later.
    Later {
        /// For people.
        reason: String,
        /// Pause the server asked for.
        wish: Option<Duration>,
        /// The server said 500, which can also mean that a line breaks it.
        broken: bool,
    },
    /// Something is wrong with at least one of the lines.
    Refused(String),
    /// The body is too long.
    TooLarge(String),
    /// Login, path, organization, bucket or database are wrong.
    Misconfigured {
        /// For people.
        reason: String,
        /// What the server answered, where it did.
        status: u16,
    },
}

impl Answer {
    /// Whether it can say something of the lines, and not only of the server.
    pub(super) fn is_about_lines(&self) -> bool {
        match self {
            Self::Accepted | Self::Refused(_) | Self::TooLarge(_) => true,
            Self::Later { broken, .. } => *broken,
            Self::Misconfigured { .. } => false,
        }
    }
}

/// One write interface of one server.
pub(super) trait Post: Send + Sync {
    /// Sends lines, already compressed.
    fn post(&self, body: Vec<u8>) -> impl Future<Output = Answer> + Send;

    /// Whether the server says it is well.
    fn ping(&self) -> impl Future<Output = bool> + Send;

    /// Reads the token or password again; `true` where it has changed.
    ///
    /// # Errors
    /// The file cannot be read; the old secret stays.
    fn reload(&mut self) -> Result<bool, ConfigError>;

    /// Tries to mend what a [`Answer::Misconfigured`] complains of; `true` where it did.
    fn mend(&self, status: u16, reason: &str) -> impl Future<Output = bool> + Send;
}

/// What an HTTP status means for the lines that were sent.
pub(super) fn judge(status: StatusCode, text: &str, wish: Option<Duration>) -> Answer {
    let reason = format!("{}: {}", status.as_u16(), shorten(text));
    match status.as_u16() {
        200..=299 => Answer::Accepted,
        408 | 429 => Answer::Later {
            reason,
            wish,
            broken: false,
        },
        code @ 500..=599 => Answer::Later {
            reason,
            wish,
            broken: code == 500,
        },
        400 | 422 => Answer::Refused(reason),
        413 => Answer::TooLarge(reason),
        // A redirection would turn the POST into a GET, so it is not followed either.
        status => Answer::Misconfigured { reason, status },
    }
}

/// What a request that got no answer means.
pub(super) fn judge_failure(error: &reqwest::Error) -> Answer {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    if error.is_builder() {
        return Answer::Misconfigured {
            reason: shorten(&reason),
            status: 0,
        };
    }
    Answer::Later {
        reason: shorten(&reason),
        wish: None,
        broken: false,
    }
}

/// Time limits for every request; redirections are not followed.
pub(super) fn plain_builder(config: &InfluxConfig) -> ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(config.connect_timeout)
        .timeout(config.timeout)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("quartier/", env!("CARGO_PKG_VERSION")))
}

/// Says of every body that it is compressed.
pub(super) fn gzip_builder(config: &InfluxConfig) -> ClientBuilder {
    let gzip = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    plain_builder(config).default_headers(gzip)
}

/// Whether `/ping` of the server at `url` answers well.
pub(super) async fn ping(client: &reqwest::Client, url: &reqwest::Url) -> bool {
    let Ok(ping) = url.join("ping") else {
        return false;
    };
    client
        .get(ping)
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    let cut = text.floor_char_boundary(LONGEST_REASON);
    text.get(..cut).unwrap_or_default().to_owned()
}
