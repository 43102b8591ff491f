//! Parts of contexts, from text. What is the same in many contexts exists once:
//! a thousand certificates with one list of authorities hold one such list.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::RootCertStore;
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider, kx_group as group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// What is known by its content: a SHA-256.
pub type Digest = [u8; 32];

/// Values that live as long as somebody uses them, by what they were made from.
pub struct Shared<V: ?Sized>(Mutex<Vec<(Digest, Weak<V>)>>);

impl<V: ?Sized> Shared<V> {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The value of `key`, made now where nobody has it.
    pub fn get(
        &self,
        key: Digest,
        make: impl FnOnce() -> Result<Arc<V>, String>,
    ) -> Result<Arc<V>, String> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = values.iter().find(|(it, _)| *it == key);
        if let Some(value) = known.and_then(|(_, value)| value.upgrade()) {
            return Ok(value);
        }
        let value = make()?;
        values.retain(|(_, value)| value.strong_count() > 0);
        values.push((key, Arc::downgrade(&value)));
        Ok(value)
    }
}

/// Digest of texts, told apart by their lengths.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Suites by IANA name, in the order in which a client offers them by default:
/// AES-128 is as safe in practice and cheaper to move bytes with.
const SUITES: [(&str, SupportedCipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        suite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Groups by IANA name, in the order in which a client offers them by default;
/// it sends a share for the first.
const GROUPS: [(&str, &dyn SupportedKxGroup); 4] = [
    ("x25519", group::X25519),
    ("secp256r1", group::SECP256R1),
    ("secp384r1", group::SECP384R1),
    ("X25519MLKEM768", group::X25519MLKEM768),
];

/// The cryptography: rustls with aws-lc-rs and these suites and groups.
pub fn provider(ciphers: &[String], groups: &[String]) -> Result<Arc<CryptoProvider>, String> {
    static PROVIDERS: Shared<CryptoProvider> = Shared::new();
    let names = ciphers.iter().chain(groups).map(String::as_bytes);
    let count = [ciphers.len() as u8];
    let key = digest(std::iter::once(&count[..]).chain(names));
    PROVIDERS.get(key, || {
        Ok(Arc::new(CryptoProvider {
            cipher_suites: chosen(ciphers, &SUITES, "cipher suite")?,
            kx_groups: chosen(groups, &GROUPS, "group")?,
            ..default_provider()
        }))
    })
}

fn chosen<T: Copy>(names: &[String], known: &[(&str, T)], what: &str) -> Result<Vec<T>, String> {
    if names.is_empty() {
        return Ok(known.iter().map(|&(_, value)| value).collect());
    }
    let find = |name: &String| {
        let found = known.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map(|&(_, value)| value).ok_or_else(|| {
            let known: Vec<_> = known.iter().map(|&(name, _)| name).collect();
            format!("unknown {what} '{name}'; known are {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Certificates of a PEM text, at least one. `what` names it in errors.
pub fn certificates(text: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{what} is not PEM: {}", pem_error(&error)))?;
    if all.is_empty() {
        return Err(format!("no certificate in {what}"));
    }
    Ok(all)
}

/// The first private key of a PEM text. The error says nothing of the text.
pub fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if text.contains("ENCRYPTED") => {
            "the private key is encrypted".to_owned()
        }
        pem::Error::NoItemsFound => "no private key".to_owned(),
        error => format!("the private key is not PEM: {}", pem_error(&error)),
    })
}

/// Revocation lists of a PEM text; '' has none.
pub fn revocation_lists(text: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists = CertificateRevocationListDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("crl is not PEM: {}", pem_error(&error)))?;
    if lists.is_empty() && !text.trim().is_empty() {
        return Err("no revocation list in crl".to_owned());
    }
    Ok(lists)
}

/// Without what stands in the text: it may be a key.
fn pem_error(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "an end line is missing",
        pem::Error::IllegalSectionStart { .. } => "a begin line is malformed",
        pem::Error::Base64Decode(_) => "the base64 is malformed",
        _ => "it cannot be read",
    }
}

/// Authorities, and the digests of their certificates.
#[derive(Debug)]
pub struct Trusted {
    /// For chains.
    pub roots: Arc<RootCertStore>,
    /// For peers that show one of them as their own certificate.
    pub digests: Box<[Digest]>,
}

/// The authorities of a PEM text. One that cannot be an authority is passed over
/// as long as there are others: the list may be the system's.
pub fn trusted(ca: &str) -> Result<Arc<Trusted>, String> {
    static TRUSTED: Shared<Trusted> = Shared::new();
    TRUSTED.get(digest([ca.as_bytes()]), || {
        let all = certificates(ca, "ca")?;
        let mut roots = RootCertStore::empty();
        let mut digests = Vec::with_capacity(all.len());
        let mut wrong = None;
        for certificate in all {
            digests.push(digest([certificate.as_ref()]));
            if let Err(error) = roots.add(certificate) {
                wrong = Some(error);
            }
        }
        if let (true, Some(error)) = (roots.is_empty(), wrong) {
            return Err(format!("no certificate in ca can be an authority: {error}"));
        }
        roots.roots.shrink_to_fit();
        Ok(Arc::new(Trusted {
            roots: Arc::new(roots),
            digests: digests.into(),
        }))
    })
}
