//! Certificates: an authority in a folder, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::{ToSpan as _, Zoned};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// The longest that common clients accept of a server; a box renews by enrolling anew.
pub const DAYS: i64 = 825;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file of the authority.
    #[error("{}: cannot be read; `quartier cert ca` makes it: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not an authority.
    #[error("{}: not a certificate authority: {why}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The request.
    #[error("the request for a certificate cannot be used: {0}")]
    Request(String),
    /// Signing or the calendar.
    #[error("{0}")]
    Sign(String),
}

/// An authority, with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
}

impl Authority {
    /// Of a folder with `ca.crt` and `ca.key`.
    ///
    /// # Errors
    /// A file is missing or wrong.
    pub fn read(folder: &Path) -> Result<Self, PkiError> {
        let read = |file: &str| {
            let path = folder.join(file);
            fs::read_to_string(&path).map_err(|source| PkiError::Read { path, source })
        };
        let unusable = |error: rcgen::Error| PkiError::Unusable {
            path: folder.to_owned(),
            why: error.to_string(),
        };
        let key = KeyPair::from_pem(&read("ca.key")?).map_err(unusable)?;
        let pem = read("ca.crt")?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(unusable)?;
        Ok(Self { issuer, pem })
    }

    /// A certificate for the holder of `key`, PEM.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn sign(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
        key: &KeyPair,
    ) -> Result<String, PkiError> {
        restrict(&mut params, purpose);
        let signed = params.signed_by(key, &self.issuer);
        let signed = signed.map_err(|error| PkiError::Sign(error.to_string()))?;
        Ok(signed.pem())
    }

    /// A client's certificate with the common name `name`, for the key of a request; PEM and DER.
    /// Of the request only its key counts.
    ///
    /// # Errors
    /// The request is none, or is not signed by its own key.
    pub fn sign_request(
        &self,
        csr: &str,
        name: &str,
        days: i64,
    ) -> Result<(String, Vec<u8>), PkiError> {
        let request = CertificateSigningRequestParams::from_pem(csr);
        let mut request = request.map_err(|error| PkiError::Request(error.to_string()))?;
        request.params = params(name, days, &[])?;
        restrict(&mut request.params, ExtendedKeyUsagePurpose::ClientAuth);
        let signed = request.signed_by(&self.issuer);
        let signed = signed.map_err(|error| PkiError::Sign(error.to_string()))?;
        Ok((signed.pem(), signed.der().to_vec()))
    }
}

fn restrict(params: &mut CertificateParams, purpose: ExtendedKeyUsagePurpose) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
}

/// Of a certificate for `name` that is reached as `hosts`. Valid from yesterday on, because clocks
/// differ.
///
/// # Errors
/// A host that is none, or a day beyond the calendar.
pub fn params(name: &str, days: i64, hosts: &[String]) -> Result<CertificateParams, PkiError> {
    let wrong = |error: &dyn std::fmt::Display| PkiError::Sign(error.to_string());
    let mut params = CertificateParams::new(hosts)
        .map_err(|error| wrong(&format_args!("--host {}: {error}", hosts.join(", "))))?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let today = Zoned::now().date();
    let day = |date: Result<Date, jiff::Error>| -> Result<_, PkiError> {
        let date = date.map_err(|error| wrong(&error))?;
        let month = u8::try_from(date.month()).map_err(|error| wrong(&error))?;
        let day = u8::try_from(date.day()).map_err(|error| wrong(&error))?;
        Ok(date_time_ymd(date.year().into(), month, day))
    };
    params.not_before = day(today.checked_sub(1.day()))?;
    params.not_after = day(today.checked_add(days.days()))?;
    Ok(params)
}
