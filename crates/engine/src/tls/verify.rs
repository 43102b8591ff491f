//! Verification of peers' certificates: rustls's verifiers over the authorities of
//! a context, and what operators expect of OpenSSL beside that.
//!
//! - A self-signed certificate that is itself among the authorities is good, also
//!   where it says that it is one (as `openssl req -x509` writes it).
//! - With revocation lists, every certificate of a chain needs one of its issuer
//!   that has not expired.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::parts::{Shared, Trusted, digest, revocation_lists, trusted};

/// Verifies servers' certificates against the authorities and lists of PEM texts.
pub fn servers(
    ca: &str,
    crl: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    static VERIFIERS: Shared<Servers> = Shared::new();
    if ca.trim().is_empty() {
        return Err("no authority to verify servers against".to_owned());
    }
    let verifier = VERIFIERS.get(digest([ca.as_bytes(), crl.as_bytes()]), || {
        let trusted = trusted(ca)?;
        let roots = trusted.roots.clone();
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .with_crls(revocation_lists(crl)?)
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Arc::new(Servers { inner, trusted }))
    })?;
    Ok(verifier)
}

/// Verifies clients' certificates, of those that send one where it is optional.
pub fn clients(
    ca: &str,
    crl: &str,
    optional: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    static VERIFIERS: Shared<Clients> = Shared::new();
    if ca.trim().is_empty() {
        return Err("no authority to verify clients against".to_owned());
    }
    let key = digest([ca.as_bytes(), crl.as_bytes(), &[u8::from(optional)]]);
    let verifier = VERIFIERS.get(key, || {
        let trusted = trusted(ca)?;
        let roots = trusted.roots.clone();
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
            .with_crls(revocation_lists(crl)?)
            .enforce_revocation_expiration();
        if optional {
            builder = builder.allow_unauthenticated();
        }
        let inner = builder.build().map_err(|error| error.to_string())?;
        Ok(Arc::new(Clients { inner, trusted }))
    })?;
    Ok(verifier)
}

/// Accepts every certificate; the peer must still have its key.
pub fn anything(provider: &CryptoProvider) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Anything(provider.signature_verification_algorithms))
}

/// A signature of the handshake that cannot be right for the certificate's key is as
/// wrong as one that does not verify; of a chain that would be another matter.
fn of_handshake(error: Error) -> Error {
    use CertificateError::{
        BadSignature, UnsupportedSignatureAlgorithmContext,
        UnsupportedSignatureAlgorithmForPublicKeyContext,
    };
    match error {
        Error::InvalidCertificate(
            UnsupportedSignatureAlgorithmContext { .. }
            | UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => BadSignature.into(),
        error => error,
    }
}

impl Trusted {
    /// Corrects `error` where it says that a certificate may not be a peer's since it
    /// is an authority's. That is found after its dates are, and before its issuer is.
    fn or_itself(&self, error: Error, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let other = match &error {
            Error::InvalidCertificate(CertificateError::Other(other)) => other,
            // An issuer of the right name with another key is another issuer.
            Error::InvalidCertificate(CertificateError::BadSignature) => {
                return Err(CertificateError::UnknownIssuer.into());
            }
            _ => return Err(error),
        };
        // The type of what is inside is in no crate that is at hand here.
        if other.to_string() != "CaUsedAsEndEntity" {
            return Err(error);
        }
        if self.digests.contains(&digest([certificate.as_ref()])) {
            return Ok(());
        }
        Err(CertificateError::UnknownIssuer.into())
    }
}

#[derive(Debug)]
struct Servers {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Arc<Trusted>,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner
            .verify_server_cert(certificate, intermediates, name, ocsp, now)
            .or_else(|error| {
                self.trusted.or_itself(error, certificate)?;
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
            .map_err(of_handshake)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
            .map_err(of_handshake)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    trusted: Arc<Trusted>,
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.inner
            .verify_client_cert(certificate, intermediates, now)
            .or_else(|error| {
                self.trusted.or_itself(error, certificate)?;
                Ok(ClientCertVerified::assertion())
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
            .map_err(of_handshake)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
            .map_err(of_handshake)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct Anything(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0).map_err(of_handshake)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0).map_err(of_handshake)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
