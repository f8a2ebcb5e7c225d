//! MQTT over TLS: versions, client certificates, exchange of the files, and who is kept out.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quartier_broker::{Client, Config, Gate, Granted, Login, Refused, Rights, Tls, TlsFiles};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};

use crate::authority::{Authority, Pair};
use crate::harness::{Door, soon};
use crate::wire::{Connect, Wire};

/// Lets in by certificate or password, and notes which certificate it saw.
struct CertificateGate {
    seen: Mutex<Vec<Option<String>>>,
    changes: watch::Sender<u64>,
}

impl Gate for CertificateGate {
    fn login(&self, login: &Login<'_>) -> Result<Granted, Refused> {
        let name = login.peer.certificate.clone();
        self.seen
            .lock()
            .push(name.as_ref().map(|shown| shown.name.to_string()));
        match (name, login.password) {
            (None, None) => Err(Refused::NotAuthorized),
            (shown, _) => Ok(Granted {
                user: shown.map(|shown| shown.name),
                credential: None,
                roles: Arc::from([]),
                rights: Rights::all(),
            }),
        }
    }

    fn rights(&self, _: &Client) -> Option<Rights> {
        Some(Rights::all())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A broker with a port for TLS, and both authorities.
struct Secured {
    door: Door,
    port: u16,
    tls: Arc<Tls>,
    files: TlsFiles,
    servers: Authority,
    clients: Authority,
    dir: TempDir,
}

impl Secured {
    async fn open() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        Self::over(Door::with(config, vec![]).await).await
    }

    async fn over(door: Door) -> Self {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let dir = TempDir::new().unwrap();
        let files = servers.files(dir.path(), Some(&clients));
        let tls = Arc::new(Tls::load(files.clone()).unwrap());
        Self {
            port: door.serve_tls(tls.clone()).await,
            door,
            tls,
            files,
            servers,
            clients,
            dir,
        }
    }

    fn client(&self, certificate: Option<&Pair>) -> ClientConfig {
        client(&self.servers, certificate, &TLS13)
    }
}

fn client(
    servers: &Authority,
    certificate: Option<&Pair>,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(servers.der.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(pair) => builder
            .with_client_auth_cert(vec![pair.der.clone()], pair.key_der())
            .unwrap(),
    };
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    config
}

async fn secure(
    port: u16,
    config: impl Into<Arc<ClientConfig>>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = "localhost".try_into().unwrap();
    soon(
        "a handshake",
        TlsConnector::from(config.into()).connect(name, stream),
    )
    .await
}

async fn join(port: u16, config: ClientConfig, connect: Connect) -> Wire<TlsStream<TcpStream>> {
    let wire = Wire::over(secure(port, config).await.unwrap(), connect).await;
    assert_eq!(wire.connack.get(1), Some(&0), "refused");
    wire
}

/// The end of a stream on which nothing more comes.
async fn expect_closed(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let mut rest = vec![];
    // A reset is an end as well.
    let _ = soon("the end", stream.read_to_end(&mut rest)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_spoken_over_both_versions_of_tls() {
    let secured = Secured::open().await;
    for (version, connect) in [
        (&TLS12, Connect::v3("a")),
        (&TLS13, Connect::v3("b")),
        (&TLS12, Connect::v5("c")),
        (&TLS13, Connect::v5("d")),
    ] {
        let config = client(&secured.servers, None, version);
        let mut wire = join(secured.port, config, connect).await;
        wire.subscribe(1, "x/+", 1).await;
        // More than TLS takes at a time, and more than a buffer.
        let payload = "ä".repeat(250_000);
        for pkid in 1..=3 {
            wire.publish("x/y", &payload, 1, pkid).await;
        }
        let mut got = 0;
        while got < 6 {
            let (first, body) = wire.packet().await.unwrap();
            got += 1;
            if first & 0xF0 == 0x30 {
                assert!(body.ends_with(payload.as_bytes()));
            }
        }
        wire.leave().await;
    }
    secured.door.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_a_name_and_its_absence_is_not_an_error() {
    let gate = Arc::new(CertificateGate {
        seen: Mutex::default(),
        changes: watch::Sender::new(0),
    });
    let secured = Secured::over(Door::behind(gate.clone(), Config::default(), vec![]).await).await;
    let pair = secured.clients.issue("meter-1", 4000);
    join(secured.port, secured.client(Some(&pair)), Connect::v5("a")).await;
    let login = Connect::v5("b").login("u", "p");
    join(secured.port, secured.client(None), login).await;
    let stream = secure(secured.port, secured.client(None)).await.unwrap();
    assert_eq!(Wire::over(stream, Connect::v5("c")).await.connack[1], 0x87);
    let seen = gate.seen.lock().clone();
    assert_eq!(seen, [Some("meter-1".to_owned()), None, None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_or_of_the_past_keeps_its_client_out() {
    let secured = Secured::open().await;
    let foreign = Authority::new("clients").issue("meter-1", 4000);
    let expired = secured.clients.issue("meter-1", 2020);
    for (refused, pair) in [(1, foreign), (2, expired)] {
        // With TLS 1.3 the client's side of the handshake ends before its certificate is seen.
        if let Ok(stream) = secure(secured.port, secured.client(Some(&pair))).await {
            let wire = Wire::over(stream, Connect::v5("a")).await;
            assert!(wire.connack.is_empty());
        }
        secured
            .door
            .until("it is counted", |d| d.stats().tls_refused == refused)
            .await;
    }
    assert_eq!(secured.door.stats().accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_protocol_on_a_port_is_closed_at_once() {
    let secured = Secured::open().await;
    let mut plain = TcpStream::connect(("127.0.0.1", secured.port))
        .await
        .unwrap();
    plain.write_all(&Connect::v5("a").bytes()).await.unwrap();
    expect_closed(plain).await;
    assert!(
        secure(secured.door.port, secured.client(None))
            .await
            .is_err()
    );
    let mut http = secured.client(None);
    http.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert!(
        secure(secured.port, http).await.is_err(),
        "a browser has no business here"
    );
    secured
        .door
        .until("all are counted", |d| {
            let stats = d.stats();
            (stats.refused, stats.tls_refused, stats.connections) == (3, 2, 0)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handshake_ends_in_time_and_delays_nobody() {
    let config = Config {
        connect_timeout: Duration::from_millis(600),
        ..Config::default()
    };
    let secured = Secured::with(config).await;
    let hello = client_hello(secured.client(None)).await;
    let mut crawling = vec![];
    for silent in [false, true].repeat(50) {
        let mut stream = TcpStream::connect(("127.0.0.1", secured.port))
            .await
            .unwrap();
        let hello = hello.clone();
        crawling.push(tokio::spawn(async move {
            let start = std::time::Instant::now();
            let mut byte = [0];
            for next in hello {
                let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte));
                if let Ok(Ok(0) | Err(_)) = read.await {
                    break;
                }
                if !silent && stream.write_all(&[next]).await.is_err() {
                    break;
                }
            }
            start.elapsed()
        }));
    }
    // In the meantime everybody else is served.
    let mut other = join(secured.port, secured.client(None), Connect::v5("other")).await;
    other.expect_silence().await;
    assert!(
        secured.door.stats().connections > 90,
        "{:?}",
        secured.door.stats()
    );
    for crawler in crawling {
        let took = soon("the end of a slow client", crawler).await.unwrap();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    // Nor does one last that is through with TLS and sends its CONNECT byte by byte.
    let mut stream = secure(secured.port, secured.client(None)).await.unwrap();
    let bytes = Connect::v5("crawls").bytes();
    stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    expect_closed(stream).await;
    other.expect_silence().await;
}

/// The first bytes of a client.
async fn client_hello(config: ClientConfig) -> Vec<u8> {
    let (client, mut server) = tokio::io::duplex(64 << 10);
    let connecting =
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), client);
    let reading = tokio::spawn(async move {
        let mut bytes = vec![0; 16 << 10];
        let len = server.read(&mut bytes).await.unwrap();
        bytes.truncate(len);
        bytes
    });
    assert!(connecting.await.is_err());
    reading.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_exchanged_without_a_restart_and_only_for_better_ones() {
    let mut secured = Secured::open().await;
    let mut before = join(secured.port, secured.client(None), Connect::v5("before")).await;
    let old = secured.client(None);
    secured.servers = Authority::new("new servers");
    secured
        .servers
        .files(secured.dir.path(), Some(&secured.clients));
    secured.tls.reload().unwrap();
    assert!(
        secure(secured.port, old).await.is_err(),
        "the old certificate is gone"
    );
    join(secured.port, secured.client(None), Connect::v5("after")).await;
    before.expect_silence().await;

    std::fs::write(&secured.files.key, "nonsense").unwrap();
    secured.tls.reload().unwrap_err();
    join(secured.port, secured.client(None), Connect::v5("still")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_does_not_outlive_the_authority_of_its_client() {
    let mut secured = Secured::open().await;
    let pair = secured.clients.issue("meter-1", 4000);
    let config = Arc::new(secured.client(Some(&pair)));
    let resumed = async |port| {
        let stream = secure(port, config.clone()).await.ok()?;
        let mut wire = Wire::over(stream, Connect::v5("a")).await;
        (!wire.connack.is_empty()).then_some(())?;
        wire.expect_silence().await;
        wire.stream.get_ref().get_ref().1.handshake_kind()
    };
    assert_eq!(resumed(secured.port).await, Some(HandshakeKind::Full));
    assert_eq!(resumed(secured.port).await, Some(HandshakeKind::Resumed));
    secured.clients = Authority::new("new clients");
    std::fs::write(secured.dir.path().join("ca.pem"), &secured.clients.pem).unwrap();
    secured.tls.reload().unwrap();
    assert_eq!(resumed(secured.port).await, None);
}

#[test]
fn an_error_names_the_file_and_what_is_wrong_with_it() {
    let authority = Authority::new("servers");
    let dir = TempDir::new().unwrap();
    let files = authority.files(dir.path(), Some(&authority));
    let good = |file: &std::path::Path| std::fs::read(file).unwrap();
    let (cert, key, ca) = (
        files.cert.clone(),
        files.key.clone(),
        dir.path().join("ca.pem"),
    );
    let expired = authority.issue("server", 2020);
    let other = authority.issue("server", 4000);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (file, content, named, said) in [
        (&cert, "", "cert.pem", "no certificate in it"),
        (&cert, broken, "cert.pem", "no X.509"),
        (
            &cert,
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
            "cert.pem",
            "not PEM",
        ),
        (&cert, &expired.pem, "cert.pem", "2020"),
        (
            &cert,
            &other.pem,
            "key.pem",
            "does not fit the first certificate of",
        ),
        (&key, &other.pem, "key.pem", "no key in it"),
        (&ca, "", "ca.pem", "no certificate in it"),
        (&ca, broken, "ca.pem", "BadEncoding"),
    ] {
        let kept = good(file);
        std::fs::write(file, content).unwrap();
        let error = Tls::load(files.clone()).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains(said), "{error}");
        std::fs::write(file, kept).unwrap();
    }
    Tls::load(files.clone()).unwrap();
    std::fs::remove_file(&key).unwrap();
    let error = Tls::load(files).unwrap_err().to_string();
    assert!(error.contains("key.pem: cannot be read"), "{error}");
}

#[test]
fn keys_of_the_older_formats_are_read() {
    let authority = Authority::new("servers");
    let dir = TempDir::new().unwrap();
    let files = authority.files(dir.path(), None);
    let server = authority.issue("server", 4000);
    let pkcs8 = server.key.serialize_der();
    // The key of SEC1 is the octet string in that of PKCS #8.
    let at = pkcs8.windows(2).position(|w| w == [0x04, 0x6D]).unwrap() + 2;
    let sec1 = pem("EC PRIVATE KEY", &pkcs8[at..]);
    std::fs::write(&files.cert, &server.pem).unwrap();
    std::fs::write(&files.key, sec1).unwrap();
    Tls::load(files).unwrap();
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            text.push(match digit <= chunk.len() {
                true => DIGITS[(bits >> (18 - 6 * digit)) as usize & 63].into(),
                false => '=',
            });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
