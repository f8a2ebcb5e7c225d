//! TLS towards a broker elsewhere: TLS 1.2 and 1.3 by rustls, the broker's certificate always
//! verified.

use std::path::Path;
use std::sync::Arc;

use rumqttc::tokio_rustls::rustls::client::WebPkiServerVerifier;
use rumqttc::tokio_rustls::rustls::crypto::ring;
use rumqttc::tokio_rustls::rustls::pki_types::pem::PemObject as _;
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rumqttc::tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::by_clock::by_clock;
use super::options::FileError;
use crate::clock::Clock;

/// The certificates that Debian trusts; for a broker with a certificate of a public authority.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Files of a client, all PEM, with the section and the beginning of the keys that name them.
#[derive(Debug, Clone, Copy)]
pub struct ClientFiles<'a> {
    /// `mqtt.external_`, `uplink.`.
    pub prefix: &'static str,
    /// Authorities to trust, instead of the system's.
    pub ca: Option<&'a Path>,
    /// Certificate chain and key to show.
    pub identity: Option<(&'a Path, &'a Path)>,
}

/// TLS of a client.
///
/// # Errors
/// A file cannot be read or does not hold what it should.
pub fn client_config(files: ClientFiles<'_>) -> Result<Arc<ClientConfig>, FileError> {
    let key = |name: &str| format!("{}{name}", files.prefix);
    let ca = files.ca.unwrap_or(Path::new(SYSTEM));
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(ca, key("ca_file"), error))?
        .with_root_certificates(roots(files)?);
    let config = match files.identity {
        None => builder.with_no_client_auth(),
        Some((chain, private)) => {
            let certificates = certificates(chain, key("cert_file"))?;
            let der = PrivateKeyDer::from_pem_file(private)
                .map_err(|error| wrong(private, key("key_file"), format!("no key: {error}")))?;
            builder
                .with_client_auth_cert(certificates, der)
                .map_err(|error| wrong(private, key("key_file"), error))?
        }
    };
    Ok(Arc::new(config))
}

/// TLS of a client that knows the time by the node's clock: see [`by_clock`](super::by_clock).
///
/// # Errors
/// As of [`client_config`].
pub fn client_config_by_clock(
    files: ClientFiles<'_>,
    clock: Arc<Clock>,
) -> Result<Arc<ClientConfig>, FileError> {
    let config = client_config(files)?;
    let (roots, provider) = (roots(files)?, Arc::new(ring::default_provider()));
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| {
        let ca = files.ca.unwrap_or(Path::new(SYSTEM));
        wrong(ca, format!("{}ca_file", files.prefix), error)
    })?;
    Ok(by_clock(&config, verifier, clock))
}

fn roots(files: ClientFiles<'_>) -> Result<RootCertStore, FileError> {
    let key = format!("{}ca_file", files.prefix);
    let mut roots = RootCertStore::empty();
    let ca = files.ca.unwrap_or(Path::new(SYSTEM));
    // Of the system's certificates some may be of a kind that rustls does not know.
    let (added, ignored) = roots.add_parsable_certificates(certificates(ca, key.clone())?);
    if added == 0 {
        let why = format!("none of its {ignored} certificates is one of an authority");
        return Err(wrong(ca, key, why));
    }
    Ok(roots)
}

fn certificates(path: &Path, key: String) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found =
        read.map_err(|error| wrong(path, key.clone(), format!("cannot be read: {error}")))?;
    if found.is_empty() {
        return Err(wrong(path, key, "there is no certificate in it"));
    }
    Ok(found)
}

fn wrong(path: &Path, key: String, why: impl ToString) -> FileError {
    let (path, why) = (path.to_owned(), why.to_string());
    FileError { path, key, why }
}
