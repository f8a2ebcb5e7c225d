//! Commands that ask a running node: where it is, who asks, and its answers as JSON.
//!
//! One request after the other, without redirections and without a proxy: a token goes to the node
//! that was named and nowhere else.

use std::time::Duration;

use clap::Args;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, Response, Url, redirect};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::{Failure, Outcome, because};

/// Longest wait for the connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer: a node compiles a plugin before it says yes.
const ANSWER: Duration = Duration::from_secs(120);
/// Characters that are shown of an answer that is no JSON.
const SHOWN: usize = 200;

/// Which node, and as whom.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// Address of the node's API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    node: Url,
    /// Bearer token of `quartier token issue`.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "QUARTIER_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

/// What goes with a request.
pub(super) enum Content {
    /// Nothing.
    Empty,
    /// A JSON value.
    Json(Value),
    /// A form with files.
    Form(reqwest::multipart::Form),
}

/// A node that answers one request after the other.
pub(super) struct NodeClient {
    runtime: Runtime,
    client: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl NodeArgs {
    /// Address of the node's API.
    pub(super) fn url(&self) -> &Url {
        &self.node
    }

    /// A client of that node; nothing is sent yet.
    pub(super) fn client(&self) -> Result<NodeClient, Failure> {
        if self.node.cannot_be_a_base() || !matches!(self.node.scheme(), "http" | "https") {
            let wrong = anyhow::anyhow!("--node {}: write http://HOST:PORT", self.node);
            return Err(Failure::usage(wrong));
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("quartier/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(NodeClient {
            runtime: runtime.map_err(Failure::fault)?,
            client: client.map_err(Failure::fault)?,
            base: self.node.clone(),
            token: self.token.clone(),
        })
    }
}

impl NodeClient {
    /// GET of a path, given by its parts, with `query`.
    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.send(Method::GET, path, query, Content::Empty)
    }

    /// POST of a JSON value.
    pub(super) fn post(&self, path: &[&str], body: Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, &[], Content::Json(body))
    }

    /// Sends a request; the JSON of a good answer, null where it has none. What the node finds
    /// wrong becomes the message of the failure.
    pub(super) fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        content: Content,
    ) -> Result<Value, Failure> {
        let url = self.url(path, query);
        let what = format!("{method} {url}");
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request = match content {
            Content::Empty => request,
            Content::Json(value) => request
                .header(CONTENT_TYPE, "application/json")
                .body(value.to_string()),
            Content::Form(form) => request.multipart(form),
        };
        self.runtime.block_on(async {
            let answer = request.send().await;
            let answer = answer.map_err(|error| Failure::fault(because(&what)(causes(&error))))?;
            read(&what, answer).await
        })
    }

    /// GET of a stream of server-sent events: each one's name and data until the stream or the
    /// caller ends. There is no longest wait: a rule may be silent for hours.
    pub(super) fn follow(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        mut each: impl FnMut(&str, &str),
    ) -> Outcome {
        let url = self.url(path, query);
        let what = format!("GET {url}");
        let mut request = self.client.get(url).timeout(Duration::MAX);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.runtime.block_on(async {
            let failed = |error: reqwest::Error| Failure::fault(because(&what)(causes(&error)));
            let mut answer = request.send().await.map_err(failed)?;
            if !answer.status().is_success() {
                return read(&what, answer).await.map(|_| ());
            }
            let mut events = Events::default();
            while let Some(bytes) = answer.chunk().await.map_err(failed)? {
                events.take(&bytes, &mut each);
            }
            Ok(())
        })
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// Server-sent events out of pieces of a stream.
#[derive(Default)]
struct Events {
    line: Vec<u8>,
    name: String,
    data: String,
}

impl Events {
    fn take(&mut self, bytes: &[u8], each: &mut impl FnMut(&str, &str)) {
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.line.clear();
            match line.trim_end_matches('\r').split_once(':') {
                Some(("event", name)) => self.name = name.trim().to_owned(),
                Some(("data", data)) => self.data.push_str(data.strip_prefix(' ').unwrap_or(data)),
                None if line.trim().is_empty() => {
                    if !self.data.is_empty() {
                        each(&self.name, &self.data);
                    }
                    self.name.clear();
                    self.data.clear();
                }
                _ => {}
            }
        }
    }
}

async fn read(what: &str, answer: Response) -> Result<Value, Failure> {
    let status = answer.status();
    let text = answer.text().await;
    let text = text.map_err(|error| Failure::fault(because(what)(causes(&error))))?;
    let json = serde_json::from_str::<Value>(&text);
    if status.is_success() {
        return match json {
            Ok(value) => Ok(value),
            Err(_) if text.is_empty() => Ok(Value::Null),
            Err(error) => Err(Failure::fault(because(what)(error))),
        };
    }
    let detail = json
        .ok()
        .and_then(|problem| Some(problem["detail"].as_str()?.to_owned()));
    let shown = || text.trim().chars().take(SHOWN).collect();
    let message = format!("the node says {status}: {}", detail.unwrap_or_else(shown));
    Err(Failure::fault(anyhow::Error::msg(message)))
}

/// The error with what is behind it: reqwest's own text stops at the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = if text.is_empty() {
            inner.to_string()
        } else {
            format!("{text}: {inner}")
        };
        cause = inner.source();
    }
    if text.is_empty() {
        error.to_string()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::NodeArgs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        node: NodeArgs,
    }

    fn client(node: &str) -> super::NodeClient {
        let line = Line::try_parse_from(["x", "--node", node]).unwrap_or_else(|e| panic!("{e}"));
        line.node.client().unwrap_or_else(|e| panic!("{e:?}"))
    }

    #[test]
    fn a_part_of_a_path_cannot_become_another_path_or_a_query() {
        let url = client("http://h:1").url(&["api", "a/../b?c=d"], &[("q", "x&y")]);
        assert_eq!(url.as_str(), "http://h:1/api/a%2F..%2Fb%3Fc=d?q=x%26y");
        assert_eq!(
            client("http://h:1/city/").url(&["api"], &[]).as_str(),
            "http://h:1/city/api"
        );
    }

    #[test]
    fn an_address_that_is_no_web_address_is_wrong_usage() {
        let line =
            Line::try_parse_from(["x", "--node", "mqtt://h:1"]).unwrap_or_else(|e| panic!("{e}"));
        assert!(matches!(line.node.client(), Err(super::Failure::Usage(_))));
    }

    #[test]
    fn events_come_whole_however_the_stream_is_cut() {
        let stream = "event: line\ndata: {\"a\":1}\n\n: alive\n\nevent: missed\ndata: 3\n\n";
        for cut in 0..stream.len() {
            let mut found = Vec::new();
            let mut each = |name: &str, data: &str| found.push(format!("{name} {data}"));
            let mut events = super::Events::default();
            events.take(&stream.as_bytes()[..cut], &mut each);
            events.take(&stream.as_bytes()[cut..], &mut each);
            assert_eq!(found, ["line {\"a\":1}", "missed 3"]);
        }
    }
}
