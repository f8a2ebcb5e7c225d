//! A mock of an InfluxDB: HTTP on a port of its own, answers by a function, remembers requests.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use flate2::read::GzDecoder;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came, its body decompressed.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn is_write(&self) -> bool {
        self.target.contains("/write")
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.body.lines()
    }
}

/// What the mock answers.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Status(u16, &'static str),
    Header(u16, &'static str),
    Hang,
}

type Script = Box<dyn FnMut(&Request) -> Reply + Send>;

struct Inner {
    script: Script,
    seen: Vec<Request>,
    stored: Vec<String>,
}

/// The mock; gone when dropped.
pub(super) struct MockServer {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    task: JoinHandle<()>,
}

impl MockServer {
    pub(super) async fn start(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub(super) async fn start_on(
        address: SocketAddr,
        script: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Script = Box::new(script);
        let inner = Arc::new(Mutex::new(Inner {
            script,
            seen: Vec::new(),
            stored: Vec::new(),
        }));
        let shared = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            inner,
            task,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.inner.lock().seen.clone()
    }

    pub(super) fn writes(&self) -> usize {
        self.inner
            .lock()
            .seen
            .iter()
            .filter(|request| request.is_write())
            .count()
    }

    /// Lines of the writes that were answered by 2xx, in the order they came.
    pub(super) fn stored(&self) -> Vec<String> {
        self.inner.lock().stored.clone()
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, inner: Arc<Mutex<Inner>>) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let reply = {
        let mut inner = inner.lock();
        let reply = (inner.script)(&request);
        if request.is_write() && matches!(reply, Reply::Status(200..=299, _)) {
            inner.stored.extend(request.lines().map(str::to_owned));
        }
        inner.seen.push(request);
        reply
    };
    let (status, header, body) = match reply {
        Reply::Status(status, body) => (status, "x-mock: yes", body),
        Reply::Header(status, header) => (status, header, ""),
        Reply::Hang => return std::future::pending().await,
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} scripted\r\ncontent-length: {length}\r\n\
         content-type: application/json\r\nconnection: close\r\n{header}\r\n\r\n{body}"
    );
    let _client_may_be_gone = stream.write_all(answer.as_bytes()).await;
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok()?;
    let target = first.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((key, value)) = line.trim().split_once(": ") else {
            break;
        };
        headers.push((key.to_ascii_lowercase(), value.to_owned()));
    }
    let mut request = Request {
        target,
        headers,
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = match request.header("content-encoding") {
        Some("gzip") => {
            let mut text = String::new();
            GzDecoder::new(body.as_slice())
                .read_to_string(&mut text)
                .unwrap();
            text
        }
        _ => String::from_utf8(body).unwrap(),
    };
    Some(request)
}
