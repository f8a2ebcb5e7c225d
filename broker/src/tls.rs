//! TLS 1.2 and 1.3 for listeners, from PEM files that may be exchanged while it runs.
//!
//! Invariants: what is in use is always a whole, valid set of files (one that cannot be used is an
//! error, and the set before it stays); a client certificate counts only where it was verified and
//! is valid today. Session tickets do not outlive an exchange of the files, so that no client
//! resumes under an authority that was taken away.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{Error as RustlsError, InconsistentKeys, RootCertStore, ServerConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::gate::Certificate;

/// A stream after its TLS handshake.
pub type TlsStream<S = TcpStream> = tokio_rustls::server::TlsStream<S>;

/// Where certificates and key are, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate of the server, then those between it and its authority.
    pub cert: PathBuf,
    /// Key of the first certificate: PKCS #8, PKCS #1 or SEC1, not encrypted.
    pub key: PathBuf,
    /// Authorities of client certificates. Without the file clients are not asked for one; with
    /// it they may show one, which is verified, or log in otherwise.
    pub client_ca: Option<PathBuf>,
}

/// The files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Missing, or no right to read it.
    #[error("{}: cannot be read: {error}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Of the operating system.
        error: io::Error,
    },
    /// Readable, and not what it should be.
    #[error("{}: {why}", file.display())]
    Unusable {
        /// Which file.
        file: PathBuf,
        /// What is wrong, and what is expected.
        why: String,
    },
    /// Certificate and key are not a pair.
    #[error("{}: the key does not fit the first certificate of {}", key.display(), cert.display())]
    Mismatch {
        /// File of the key.
        key: PathBuf,
        /// File of the certificate.
        cert: PathBuf,
    },
    /// The server's certificate is not valid today.
    #[error("{}: the certificate is valid from {from} to {to} only; renew it", file.display())]
    NotValidNow {
        /// Which file.
        file: PathBuf,
        /// Start, UTC.
        from: String,
        /// End, UTC.
        to: String,
    },
}

/// Configurations of one reading of the files; they differ in what ALPN offers, so that no client
/// of one protocol is talked into the other.
struct Configs {
    mqtt: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

/// TLS for listeners.
pub struct Tls {
    files: TlsFiles,
    configs: RwLock<Configs>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is wrong, and what is.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let configs = RwLock::new(Configs::read(&files)?);
        Ok(Self { files, configs })
    }

    /// Reads the files again, for handshakes from now on; connections stay as they are.
    ///
    /// # Errors
    /// Which file is wrong, and what is; everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let configs = Configs::read(&self.files)?;
        *self.configs.write() = configs;
        Ok(())
    }

    /// The handshake of an HTTP connection (ALPN `http/1.1`); the stream, and the client's
    /// certificate if it showed one. Has no time limit of its own.
    ///
    /// # Errors
    /// The client speaks no TLS or no common version, or its certificate is not valid.
    pub async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<Certificate>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.configs.read().http.clone();
        handshake(config, stream).await
    }

    /// The same for an MQTT connection (ALPN `mqtt`).
    pub(crate) async fn accept_mqtt<S>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, Option<Certificate>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.configs.read().mqtt.clone();
        handshake(config, stream).await
    }
}

async fn handshake<S>(
    config: Arc<ServerConfig>,
    stream: S,
) -> io::Result<(TlsStream<S>, Option<Certificate>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let certificate = stream.get_ref().1.peer_certificates();
    let certificate = match certificate.and_then(|chain| chain.first()) {
        Some(der) => common_name(der)?.map(|name| Certificate {
            name,
            sha256: Sha256::digest(der).into(),
        }),
        None => None,
    };
    Ok((stream, certificate))
}

/// The one common name of a verified certificate; `None` where it has none or several.
fn common_name(der: &CertificateDer<'_>) -> io::Result<Option<Arc<str>>> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|_| invalid("the client certificate is no X.509"))?;
    // A resumed session was verified when its ticket was made.
    if !certificate.validity().is_valid() {
        return Err(invalid("the client certificate has expired"));
    }
    let mut names = certificate.subject().iter_common_name();
    let only = names.next().filter(|_| names.next().is_none());
    Ok(only.and_then(|name| name.as_str().ok()).map(Into::into))
}

impl Configs {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let chain = certificates(&files.cert)?;
        check_validity(&files.cert, &chain)?;
        let key = key(&files.key)?;
        let provider = Arc::new(ring::default_provider());
        let cert_error = |error: RustlsError| unusable(&files.cert, error);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(cert_error)?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let roots = Arc::new(authorities(file)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| unusable(file, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    TlsError::Mismatch {
                        key: files.key.clone(),
                        cert: files.cert.clone(),
                    }
                }
                RustlsError::InvalidCertificate(_) => cert_error(error),
                _ => unusable(&files.key, error),
            })?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = ring::Ticketer::new().map_err(cert_error)?;
        let with_protocol = |name: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![name.to_vec()];
            Arc::new(config)
        };
        Ok(Self {
            mqtt: with_protocol(b"mqtt"),
            http: with_protocol(b"http/1.1"),
        })
    }
}

fn unusable(file: &Path, why: impl Display) -> TlsError {
    TlsError::Unusable {
        file: file.to_owned(),
        why: why.to_string(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::Unreadable {
        file: file.to_owned(),
        error,
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(file)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(file, format_args!("not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(unusable(
            file,
            "no certificate in it; expected -----BEGIN CERTIFICATE-----",
        ));
    }
    Ok(chain)
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| match error {
        PemError::NoItemsFound => unusable(
            file,
            "no key in it; expected -----BEGIN PRIVATE KEY-----, not encrypted",
        ),
        error => unusable(file, format_args!("not PEM: {error}")),
    })
}

fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(file, error))?;
    }
    Ok(roots)
}

/// Of the first certificate: it is the one that clients reject.
fn check_validity(file: &Path, chain: &[CertificateDer<'_>]) -> Result<(), TlsError> {
    let Some(Ok((_, first))) = chain.first().map(|der| X509Certificate::from_der(der)) else {
        return Err(unusable(file, "the first certificate is no X.509"));
    };
    let validity = first.validity();
    if validity.is_valid() {
        return Ok(());
    }
    Err(TlsError::NotValidNow {
        file: file.to_owned(),
        from: validity.not_before.to_string(),
        to: validity.not_after.to_string(),
    })
}
