//! The client's side of TLS: TLS 1.3, X25519, AES-128 first, nothing verified.

use crate::tickets::Tickets;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::{Arc, Mutex};

/// Accepts everything and remembers how the server signed.
#[derive(Debug, Default)]
pub struct Blind {
    scheme: Mutex<Option<SignatureScheme>>,
}

impl Blind {
    /// Scheme of the last signature, nothing where every handshake was resumed.
    pub fn scheme(&self) -> Option<SignatureScheme> {
        *self.scheme.lock().expect("one thread")
    }
}

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        *self.scheme.lock().expect("one thread") = Some(signed.scheme);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}

/// What the configurations of a run have in common.
pub struct Parts {
    provider: Arc<CryptoProvider>,
    /// Shared, to ask it afterwards.
    pub blind: Arc<Blind>,
}

impl Parts {
    /// For the whole run.
    pub fn new() -> Parts {
        let provider = CryptoProvider {
            cipher_suites: vec![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_AES_256_GCM_SHA384,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            kx_groups: vec![kx_group::X25519, kx_group::SECP256R1],
            ..aws_lc_rs::default_provider()
        };
        Parts {
            provider: Arc::new(provider),
            blind: Arc::default(),
        }
    }

    /// A configuration with a ticket store of its own, or without resumption.
    pub fn config(&self, tickets: Option<Arc<Tickets>>) -> Result<Arc<ClientConfig>, Error> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.blind.clone())
            .with_no_client_auth();
        config.resumption =
            tickets.map_or_else(Resumption::disabled, |store| Resumption::store(store));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
