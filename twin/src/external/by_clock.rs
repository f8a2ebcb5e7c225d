//! Certificates held against the node's clock instead of the wall clock, which on a box may be
//! anywhere.
//!
//! While the time is guessed, a certificate that is not valid yet shows that the guess is behind:
//! it is looked at as of its first moment. Everything else about it counts as always; one that has
//! expired by the guess is refused. So a box that was without power for months finds to its city,
//! which tells it the time.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rumqttc::tokio_rustls::rustls::time_provider::TimeProvider;
use rumqttc::tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};

use crate::clock::Clock;

/// Certificates of a chain that may each be not valid yet.
const CHAIN: usize = 4;

/// `config` with the node's clock; `verifier`: what it verifies certificates with.
pub(super) fn by_clock(
    config: &ClientConfig,
    verifier: Arc<dyn ServerCertVerifier>,
    clock: Arc<Clock>,
) -> Arc<ClientConfig> {
    let mut config = config.clone();
    let by_clock = Arc::new(ByClock { verifier, clock });
    config.time_provider = Arc::clone(&by_clock) as Arc<dyn TimeProvider>;
    config.dangerous().set_certificate_verifier(by_clock);
    Arc::new(config)
}

struct ByClock {
    verifier: Arc<dyn ServerCertVerifier>,
    clock: Arc<Clock>,
}

impl std::fmt::Debug for ByClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByClock").finish_non_exhaustive()
    }
}

impl TimeProvider for ByClock {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.clock.time().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

impl ServerCertVerifier for ByClock {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let at = |time| {
            let verifier = &self.verifier;
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, time)
        };
        let mut verified = at(now);
        for _ in 0..CHAIN {
            match verified {
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) if self.clock.report().known.is_none() => verified = at(not_before),
                _ => break,
            }
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
