//! What TLS contexts are made from, and rustls configurations made from that.
//!
//! Choices that a specification leaves open, here and nowhere else:
//!
//! - Suites are tried in the client's order unless `ciphers` says one: clients know
//!   whether AES is fast for them. With `ciphers` the server's order wins.
//! - A version for which `ciphers` has no suite is off.
//! - Among the groups that both have, rustls takes the client's first.
//! - No early data (0-RTT) in either direction, and no half-RTT data: payload
//!   starts when the handshake is complete.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, InconsistentKeys, ServerConfig, SupportedProtocolVersion};

use super::parts::{self, certificates, private_key};
use super::sessions::SessionGroups;
use super::verify;

/// rustls divides the size of its cache by this, to get servers.
const SESSIONS_PER_SERVER: usize = 8;

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCert {
    /// Not asked.
    None,
    /// Asked; one that comes must verify.
    Optional,
    /// Asked; one must come and verify.
    Required,
}

/// A chain and its key.
#[derive(Clone)]
pub struct CertificateSpec {
    /// PEM: the end-entity certificate first.
    pub chain: String,
    /// PEM, not encrypted.
    pub key: String,
    /// OCSP response in DER to staple; empty for none.
    pub ocsp: Vec<u8>,
}

/// What both sides have. See `TlsCommonSpec` in src/engine/engine.ts.
#[derive(Clone)]
pub struct CommonSpec {
    /// Protocols in order of preference.
    pub alpn: Vec<String>,
    /// Lowest version.
    pub min_version: Version,
    /// Highest version.
    pub max_version: Version,
    /// IANA names; empty for the default.
    pub ciphers: Vec<String>,
    /// IANA names; empty for the default.
    pub groups: Vec<String>,
    /// PEM certificates to trust.
    pub ca: String,
    /// PEM revocation lists.
    pub crl: String,
}

/// What a context towards clients is made from. See `DownstreamTlsSpec` in src/engine/engine.ts.
#[derive(Clone)]
pub struct DownstreamSpec {
    /// What both sides have.
    pub common: CommonSpec,
    /// One for each key type.
    pub certificates: Vec<CertificateSpec>,
    /// Whether clients are asked for theirs.
    pub client_cert: ClientCert,
    /// Whose sessions are resumed.
    pub session_group: String,
    /// Resume by tickets.
    pub tickets: bool,
    /// Age at which ticket keys are rotated, ms.
    pub ticket_rotation: u64,
    /// Most sessions in the cache; 0 for none.
    pub session_cache: usize,
}

/// What a context towards servers is made from. See `UpstreamTlsSpec` in src/engine/engine.ts.
#[derive(Clone)]
pub struct UpstreamSpec {
    /// What both sides have.
    pub common: CommonSpec,
    /// False accepts every certificate.
    pub verify: bool,
    /// For servers that ask for one.
    pub certificate: Option<CertificateSpec>,
    /// Most servers whose sessions are kept; 0 for none.
    pub session_cache: usize,
}

/// Makes the configuration towards clients.
///
/// # Errors
///
/// What is wrong with the specification, for the operator to read.
pub fn downstream(
    spec: &DownstreamSpec,
    groups: &mut SessionGroups,
) -> Result<Arc<ServerConfig>, String> {
    let common = &spec.common;
    let provider = parts::provider(&common.ciphers, &common.groups)?;
    let versions = versions(common, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?;
    let builder = match spec.client_cert {
        ClientCert::None => builder.with_no_client_auth(),
        demand => builder.with_client_cert_verifier(verify::clients(
            &common.ca,
            &common.crl,
            demand == ClientCert::Optional,
            &provider,
        )?),
    };
    if spec.certificates.is_empty() {
        return Err("no certificate".to_owned());
    }
    let keys = spec
        .certificates
        .iter()
        .map(|certificate| Ok(Arc::new(certified_key(certificate, &provider)?)))
        .collect::<Result<Box<[_]>, String>>()?;
    let mut config = builder.with_cert_resolver(Arc::new(Certificates(keys)));
    config.alpn_protocols = alpn(common)?;
    config.ignore_client_order = !common.ciphers.is_empty();
    if spec.tickets {
        config.ticketer = groups.ticketer(&spec.session_group, spec.ticket_rotation)?;
    }
    config.session_storage = match spec.session_cache {
        0 => Arc::new(NoServerSessionStorage {}),
        size => groups.cache(&spec.session_group, size),
    };
    if !spec.tickets && spec.session_cache == 0 {
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// Makes the configuration towards servers.
///
/// # Errors
///
/// What is wrong with the specification, for the operator to read.
pub fn upstream(spec: &UpstreamSpec) -> Result<Arc<ClientConfig>, String> {
    let common = &spec.common;
    let provider = parts::provider(&common.ciphers, &common.groups)?;
    let versions = versions(common, &provider)?;
    let verifier = if spec.verify {
        verify::servers(&common.ca, &common.crl, &provider)?
    } else {
        verify::anything(&provider)
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?
        // "Dangerous" is only that any verifier can be set.
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &spec.certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let key = SingleCertAndKey::from(certified_key(certificate, &provider)?);
            builder.with_client_cert_resolver(Arc::new(key) as Arc<dyn ResolvesClientCert>)
        }
    };
    config.alpn_protocols = alpn(common)?;
    config.resumption = match spec.session_cache {
        0 => Resumption::disabled(),
        size => Resumption::in_memory_sessions(size.saturating_mul(SESSIONS_PER_SERVER)),
    };
    Ok(Arc::new(config))
}

/// What a client side calls its server: a DNS name or an IP address. `''` is allowed
/// where nothing is verified: rustls wants a name, and sends no SNI for an address.
/// It gets one of the discard prefix (RFC 6666), another at each call, so that
/// sessions of different servers are not taken for each other's.
///
/// # Errors
///
/// Where it is neither, or missing.
pub fn server_name(name: &str, verify: bool) -> Result<ServerName<'static>, String> {
    static UNNAMED: AtomicU64 = AtomicU64::new(0);
    if name.is_empty() {
        if verify {
            return Err("a server whose certificate is verified needs a name".to_owned());
        }
        let number = u128::from(UNNAMED.fetch_add(1, Ordering::Relaxed));
        return Ok(IpAddr::from(Ipv6Addr::from_bits(0x100 << 112 | number)).into());
    }
    ServerName::try_from(name)
        .map(|name| name.to_owned())
        .map_err(|_| format!("'{name}' is neither a DNS name nor an IP address"))
}

/// Certificates of one name, one for each key type.
#[derive(Debug)]
struct Certificates(Box<[Arc<CertifiedKey>]>);

impl ResolvesServerCert for Certificates {
    /// The first that can sign what the client verifies. With none the handshake fails
    /// here: in TLS 1.2 rustls would find it out too late for an alert.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        self.0
            .iter()
            .find(|certified| certified.key.choose_scheme(schemes).is_some())
            .cloned()
    }
}

fn certified_key(
    spec: &CertificateSpec,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let chain = certificates(&spec.chain, "the certificate chain")?;
    let key = provider
        .key_provider
        .load_private_key(private_key(&spec.key)?)
        .map_err(|error| format!("the private key cannot be used: {error}"))?;
    let mut certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => {
            return Err(
                "the private key does not belong to the first certificate of the chain".to_owned(),
            );
        }
        Err(error) => return Err(format!("the certificate cannot be used: {error}")),
    }
    if !spec.ocsp.is_empty() {
        certified.ocsp = Some(spec.ocsp.clone());
    }
    Ok(certified)
}

fn versions(
    spec: &CommonSpec,
    provider: &CryptoProvider,
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let wanted = spec.min_version..=spec.max_version;
    if wanted.is_empty() {
        return Err("minVersion is above maxVersion".to_owned());
    }
    let known = [
        (Version::Tls13, &rustls::version::TLS13),
        (Version::Tls12, &rustls::version::TLS12),
    ];
    let usable: Vec<_> = known
        .into_iter()
        .filter(|(version, _)| wanted.contains(version))
        .map(|(_, version)| version)
        .filter(|version| {
            let suites = &provider.cipher_suites;
            suites.iter().any(|suite| suite.version() == *version)
        })
        .collect();
    if usable.is_empty() {
        return Err("ciphers has no suite for the versions that are allowed".to_owned());
    }
    Ok(usable)
}

fn alpn(spec: &CommonSpec) -> Result<Vec<Vec<u8>>, String> {
    spec.alpn
        .iter()
        .map(|protocol| match protocol.len() {
            1..=255 => Ok(protocol.clone().into_bytes()),
            length => Err(format!(
                "an ALPN protocol of {length} bytes: there are 1 to 255"
            )),
        })
        .collect()
}
