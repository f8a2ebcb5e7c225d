//! HTTP/1.1 over a plain socket: enough for local servers, and nothing of the product in it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Longest wait for an answer: a node on a busy machine compiles a plugin before it says yes.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines, as sent.
    pub headers: String,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// GET.
///
/// # Errors
/// No connection, or what came was no HTTP.
pub fn get(server: SocketAddr, path: &str) -> Result<Answer> {
    request(server, "GET", path, "", &[])
}

/// Any request, with header fields beside those that every request has.
///
/// # Errors
/// No connection, or what came was no HTTP.
pub fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let lines = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    request(server, method, path, &lines.collect::<String>(), body)
}

/// POST of a form or of line protocol.
///
/// # Errors
/// No connection, or what came was no HTTP.
pub fn post(server: SocketAddr, path: &str, body: &[u8]) -> Result<Answer> {
    request(
        server,
        "POST",
        path,
        "Content-Type: application/x-www-form-urlencoded\r\n",
        body,
    )
}

/// GET of JSON; panics where there is none.
pub fn get_json(server: SocketAddr, path: &str) -> Value {
    let answer = get(server, path).unwrap_or_else(|error| panic!("GET {path}: {error:#}"));
    assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
    answer
        .json()
        .unwrap_or_else(|error| panic!("GET {path}: {error:#}"))
}

fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    more: &str,
    body: &[u8],
) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{more}Content-Length: {length}\r\n\r\n"
    );
    // A server that refuses a body need not read it to its end.
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
    let mut raw = Vec::new();
    let read = stream.read_to_end(&mut raw);
    if raw.is_empty() {
        sent?;
        read?;
    }
    let end = raw
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("no header")?;
    let headers = String::from_utf8_lossy(raw.get(..end).unwrap_or_default()).into_owned();
    let body = raw.get(end + 4..).unwrap_or_default();
    let status = headers
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("no status")?;
    let chunked = headers
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunk(body)?
    } else {
        body.to_vec()
    };
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|w| w == b"\r\n")
            .context("chunk without size")?;
        let (size, tail) = rest.split_at(end);
        let size = std::str::from_utf8(size)?
            .split(';')
            .next()
            .unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16)?;
        if size == 0 {
            return Ok(body);
        }
        let Some(chunk) = tail.get(2..2 + size) else {
            bail!("the body ends within a chunk")
        };
        body.extend_from_slice(chunk);
        rest = tail
            .get(4 + size..)
            .context("the body ends behind a chunk")?;
    }
}
