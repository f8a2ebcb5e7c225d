//! TLS towards the external broker: TLS 1.2 and 1.3 by rustls, the broker's certificate always
//! verified.

use std::path::Path;
use std::sync::Arc;

use rumqttc::tokio_rustls::rustls::crypto::ring;
use rumqttc::tokio_rustls::rustls::pki_types::pem::PemObject as _;
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rumqttc::tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::options::FileError;

/// The certificates that Debian trusts; for a broker with a certificate of a public authority.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// `ca`: authorities to trust, instead of the system's. `identity`: files of the certificate chain
/// and the key that the node shows.
pub(super) fn client_config(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, FileError> {
    let mut roots = RootCertStore::empty();
    let ca = ca.unwrap_or(Path::new(SYSTEM));
    // Of the system's certificates some may be of a kind that rustls does not know.
    let (added, ignored) = roots.add_parsable_certificates(certificates(ca, "external_ca_file")?);
    if added == 0 {
        let why = format!("none of its {ignored} certificates is one of an authority");
        return Err(wrong(ca, "external_ca_file", why));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(ca, "external_ca_file", error))?
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let certificates = certificates(chain, "external_cert_file")?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| wrong(key, "external_key_file", format!("no key: {error}")))?;
            builder
                .with_client_auth_cert(certificates, private)
                .map_err(|error| wrong(key, "external_key_file", error))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path, key: &'static str) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| wrong(path, key, format!("cannot be read: {error}")))?;
    if found.is_empty() {
        return Err(wrong(path, key, "there is no certificate in it"));
    }
    Ok(found)
}

fn wrong(path: &Path, key: &'static str, why: impl ToString) -> FileError {
    let (path, why) = (path.to_owned(), why.to_string());
    FileError { path, key, why }
}
