//! What TLS contexts are made from. Nothing of it is ever printed: it holds keys.

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use sluice_engine::tls::config::{
    CertificateSpec, ClientCert, CommonSpec, DownstreamSpec, UpstreamSpec, Version,
};

use crate::specs::invalid;

/// See `TlsCertificate` in src/engine/engine.ts.
#[napi(object, object_to_js = false)]
pub struct NativeTlsCertificate {
    /// PEM.
    pub chain: String,
    /// PEM.
    pub key: String,
    /// DER.
    pub ocsp: Option<Uint8Array>,
}

/// See `DownstreamTlsSpec` in src/engine/engine.ts.
#[napi(object, object_to_js = false)]
pub struct NativeDownstreamTlsSpec {
    /// ALPN protocols.
    pub alpn: Vec<String>,
    /// TLSv1.2 or TLSv1.3.
    pub min_version: String,
    /// TLSv1.2 or TLSv1.3.
    pub max_version: String,
    /// IANA names.
    pub ciphers: Vec<String>,
    /// IANA names.
    pub groups: Vec<String>,
    /// PEM.
    pub ca: String,
    /// PEM.
    pub crl: String,
    /// One for each key type.
    pub certificates: Vec<NativeTlsCertificate>,
    /// none, optional or required.
    pub client_cert: String,
    /// Whose sessions are resumed.
    pub session_group: String,
    /// Resume by tickets.
    pub tickets: bool,
    /// ms.
    pub ticket_rotation: f64,
    /// Sessions.
    pub session_cache: u32,
}

/// See `UpstreamTlsSpec` in src/engine/engine.ts.
#[napi(object, object_to_js = false)]
pub struct NativeUpstreamTlsSpec {
    /// ALPN protocols.
    pub alpn: Vec<String>,
    /// TLSv1.2 or TLSv1.3.
    pub min_version: String,
    /// TLSv1.2 or TLSv1.3.
    pub max_version: String,
    /// IANA names.
    pub ciphers: Vec<String>,
    /// IANA names.
    pub groups: Vec<String>,
    /// PEM.
    pub ca: String,
    /// PEM.
    pub crl: String,
    /// False accepts every certificate.
    pub verify: bool,
    /// For servers that ask for one.
    pub certificate: Option<NativeTlsCertificate>,
    /// Servers.
    pub session_cache: u32,
}

impl TryFrom<NativeDownstreamTlsSpec> for DownstreamSpec {
    type Error = napi::Error;

    fn try_from(spec: NativeDownstreamTlsSpec) -> napi::Result<Self> {
        Ok(Self {
            common: CommonSpec {
                alpn: spec.alpn,
                min_version: version(&spec.min_version)?,
                max_version: version(&spec.max_version)?,
                ciphers: spec.ciphers,
                groups: spec.groups,
                ca: spec.ca,
                crl: spec.crl,
            },
            certificates: spec.certificates.into_iter().map(Into::into).collect(),
            client_cert: match spec.client_cert.as_str() {
                "none" => ClientCert::None,
                "optional" => ClientCert::Optional,
                "required" => ClientCert::Required,
                other => return Err(invalid(&format!("clientCert '{other}'"))),
            },
            session_group: spec.session_group,
            tickets: spec.tickets,
            // Saturates; NaN is 0.
            ticket_rotation: spec.ticket_rotation as u64,
            session_cache: spec.session_cache as usize,
        })
    }
}

impl TryFrom<NativeUpstreamTlsSpec> for UpstreamSpec {
    type Error = napi::Error;

    fn try_from(spec: NativeUpstreamTlsSpec) -> napi::Result<Self> {
        Ok(Self {
            common: CommonSpec {
                alpn: spec.alpn,
                min_version: version(&spec.min_version)?,
                max_version: version(&spec.max_version)?,
                ciphers: spec.ciphers,
                groups: spec.groups,
                ca: spec.ca,
                crl: spec.crl,
            },
            verify: spec.verify,
            certificate: spec.certificate.map(Into::into),
            session_cache: spec.session_cache as usize,
        })
    }
}

impl From<NativeTlsCertificate> for CertificateSpec {
    fn from(spec: NativeTlsCertificate) -> Self {
        Self {
            chain: spec.chain,
            key: spec.key,
            ocsp: spec.ocsp.map(|bytes| bytes.to_vec()).unwrap_or_default(),
        }
    }
}

fn version(name: &str) -> napi::Result<Version> {
    match name {
        "TLSv1.2" => Ok(Version::Tls12),
        "TLSv1.3" => Ok(Version::Tls13),
        other => Err(invalid(&format!("TLS version '{other}'"))),
    }
}
