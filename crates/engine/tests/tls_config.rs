//! Contexts from specifications, tried on each other in memory: what they agree
//! on, whom they trust, what they resume, and how a failure is called.

use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, HandshakeKind,
    NamedGroup, ProtocolVersion, ServerConfig, ServerConnection, SignatureScheme,
};
use sluice_engine::tls::config::{
    self, CertificateSpec, ClientCert, CommonSpec, DownstreamSpec, UpstreamSpec, Version,
};
use sluice_engine::tls::contexts::{Context, Contexts};
use sluice_engine::tls::error::{Failure, classify};
use sluice_engine::tls::sessions::SessionGroups;
use sluice_wire::errors::code;

const CA: &str = include_str!("fixtures/tls/ca.pem");
const CRL: &str = include_str!("fixtures/tls/crl.pem");

fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    std::fs::read_to_string(format!("{folder}/{name}")).expect("a fixture")
}

fn certificate(name: &str) -> CertificateSpec {
    CertificateSpec {
        chain: fixture(&format!("{name}.pem")),
        key: fixture(&format!("{name}.key")),
        ocsp: Vec::new(),
    }
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|&it| it.to_owned()).collect()
}

fn common() -> CommonSpec {
    CommonSpec {
        alpn: Vec::new(),
        min_version: Version::Tls12,
        max_version: Version::Tls13,
        ciphers: Vec::new(),
        groups: Vec::new(),
        ca: String::new(),
        crl: String::new(),
    }
}

fn server_spec() -> DownstreamSpec {
    DownstreamSpec {
        common: common(),
        certificates: vec![certificate("server-ec")],
        client_cert: ClientCert::None,
        session_group: "group".to_owned(),
        tickets: true,
        ticket_rotation: 3_600_000,
        session_cache: 100,
    }
}

fn client_spec() -> UpstreamSpec {
    UpstreamSpec {
        common: CommonSpec {
            ca: CA.to_owned(),
            ..common()
        },
        verify: true,
        certificate: None,
        session_cache: 100,
    }
}

fn server(change: impl FnOnce(&mut DownstreamSpec)) -> Arc<ServerConfig> {
    let mut spec = server_spec();
    change(&mut spec);
    config::downstream(&spec, &mut SessionGroups::default()).expect("a downstream context")
}

fn client(change: impl FnOnce(&mut UpstreamSpec)) -> Arc<ClientConfig> {
    let mut spec = client_spec();
    change(&mut spec);
    config::upstream(&spec).expect("an upstream context")
}

/// Both ends of a handshake, and how it went for each.
struct Met {
    client: Connection,
    server: Connection,
    at_client: Option<Failure>,
    at_server: Option<Failure>,
}

impl Met {
    fn well(self) -> Self {
        assert_eq!((self.at_client, self.at_server), (None, None));
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
        self
    }

    /// The client's fault, told by the server; the client hears an alert.
    fn server_says(self, code: i32) {
        assert_eq!(self.at_server, Some(at_peer(code)));
        let heard = self.at_client.expect("an alert");
        assert_eq!(heard.code, code::TLS_ALERT);
        assert!(heard.alert > 0 && heard.by_peer);
    }

    /// The server's fault, told by the client; the server hears an alert.
    fn client_says(self, code: i32) {
        assert_eq!(self.at_client, Some(at_peer(code)));
        let heard = self.at_server.expect("an alert");
        assert_eq!(heard.code, code::TLS_ALERT);
        assert!(heard.alert > 0 && heard.by_peer);
    }

    fn suite(&self) -> CipherSuite {
        let suite = self.server.negotiated_cipher_suite().expect("a suite");
        suite.suite()
    }

    fn group(&self) -> NamedGroup {
        let group = self.server.negotiated_key_exchange_group();
        group.expect("a group").name()
    }

    fn shown(&self) -> CertificateDer<'static> {
        let shown = self.client.peer_certificates().expect("a certificate");
        shown[0].clone().into_owned()
    }

    fn resumed(&self) -> bool {
        self.server.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

fn at_peer(code: i32) -> Failure {
    Failure {
        code,
        alert: 0,
        by_peer: true,
    }
}

fn meet(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Met {
    meet_as(client, server, "a.example", true)
}

fn meet_as(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
    verify: bool,
) -> Met {
    let name = config::server_name(name, verify).expect("a name");
    let client = ClientConnection::new(client.clone(), name).expect("a client");
    let server = ServerConnection::new(server.clone()).expect("a server");
    let mut met = Met {
        client: client.into(),
        server: server.into(),
        at_client: None,
        at_server: None,
    };
    loop {
        let there = carry(&mut met.client, &mut met.server, &mut met.at_server);
        let back = carry(&mut met.server, &mut met.client, &mut met.at_client);
        if !there && !back {
            return met;
        }
    }
}

/// Carries what one end says to the other. True where there was something.
fn carry(from: &mut Connection, to: &mut Connection, failure: &mut Option<Failure>) -> bool {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("to memory");
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() && failure.is_none() {
        to.read_tls(&mut rest).expect("from memory");
        if let Err(error) = to.process_new_packets() {
            *failure = Some(classify(&error));
        }
    }
    !bytes.is_empty()
}

fn only(version: Version) -> impl Fn(&mut CommonSpec) {
    move |spec| (spec.min_version, spec.max_version) = (version, version)
}

const BOTH: [(Version, ProtocolVersion); 2] = [
    (Version::Tls12, ProtocolVersion::TLSv1_2),
    (Version::Tls13, ProtocolVersion::TLSv1_3),
];

#[test]
fn versions() {
    let met = meet(&client(|_| {}), &server(|_| {})).well();
    assert_eq!(
        met.server.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    for (version, said) in BOTH {
        let limited = server(|spec| only(version)(&mut spec.common));
        let met = meet(&client(|_| {}), &limited).well();
        assert_eq!(met.server.protocol_version(), Some(said));
        let limited = client(|spec| only(version)(&mut spec.common));
        let met = meet(&limited, &server(|_| {})).well();
        assert_eq!(met.server.protocol_version(), Some(said));
    }
    let old = client(|spec| only(Version::Tls12)(&mut spec.common));
    let new = server(|spec| only(Version::Tls13)(&mut spec.common));
    meet(&old, &new).server_says(code::TLS_VERSION);
    let new = client(|spec| only(Version::Tls13)(&mut spec.common));
    let old = server(|spec| only(Version::Tls12)(&mut spec.common));
    meet(&new, &old).server_says(code::TLS_VERSION);
}

#[test]
fn ciphers_and_groups() {
    let weak_first = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"];
    let strong_first = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"];
    let choosy = client(|spec| spec.common.ciphers = strings(&strong_first));
    // The client's order, unless the server has one.
    let met = meet(&choosy, &server(|_| {})).well();
    assert_eq!(met.suite(), CipherSuite::TLS13_AES_256_GCM_SHA384);
    let ordered = server(|spec| spec.common.ciphers = strings(&weak_first));
    let met = meet(&choosy, &ordered).well();
    assert_eq!(met.suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);

    let chacha = client(|spec| {
        spec.common.ciphers = strings(&["TLS_CHACHA20_POLY1305_SHA256"]);
    });
    meet(&chacha, &ordered).server_says(code::TLS_CIPHER);

    for (name, group) in [
        ("x25519", NamedGroup::X25519),
        ("secp256r1", NamedGroup::secp256r1),
        ("secp384r1", NamedGroup::secp384r1),
        ("X25519MLKEM768", NamedGroup::X25519MLKEM768),
    ] {
        let limited = server(|spec| spec.common.groups = strings(&[name]));
        assert_eq!(meet(&client(|_| {}), &limited).well().group(), group);
    }
    let one = client(|spec| spec.common.groups = strings(&["secp384r1"]));
    let other = server(|spec| spec.common.groups = strings(&["x25519"]));
    meet(&one, &other).server_says(code::TLS_CIPHER);
}

#[test]
fn alpn() {
    let both = server(|spec| spec.common.alpn = strings(&["h2", "http/1.1"]));
    for offered in [&["http/1.1"][..], &["http/1.1", "h2"], &["h2"]] {
        let offering = client(|spec| spec.common.alpn = strings(offered));
        let met = meet(&offering, &both).well();
        // The server's order.
        let first = if offered.contains(&"h2") {
            "h2"
        } else {
            "http/1.1"
        };
        assert_eq!(met.client.alpn_protocol(), Some(first.as_bytes()));
    }
    let met = meet(&client(|_| {}), &both).well();
    assert_eq!(met.server.alpn_protocol(), None);
    let other = client(|spec| spec.common.alpn = strings(&["imap"]));
    meet(&other, &both).server_says(code::TLS_ALPN);
    let met = meet(&other, &server(|_| {})).well();
    assert_eq!(met.client.alpn_protocol(), None);
}

fn der(pem: &str) -> CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

#[test]
fn rsa_and_ecdsa_side_by_side() {
    let (ec, rsa) = (fixture("server-ec.pem"), fixture("server-rsa.pem"));
    let both = server(|spec| {
        spec.certificates = vec![certificate("server-ec"), certificate("server-rsa")];
    });
    let with = |name: &str| client(|spec| spec.common.ciphers = strings(&[name]));
    let shown = |client: &Arc<ClientConfig>| meet(client, &both).well().shown();
    let aes = with("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(shown(&aes), der(&ec));
    let aes = with("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(shown(&aes), der(&rsa));
    assert_eq!(shown(&client(|_| {})), der(&ec));
    // A client that cannot use the one certificate there is.
    let only_rsa = server(|spec| spec.certificates = vec![certificate("server-rsa")]);
    let aes = with("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    meet(&aes, &only_rsa).server_says(code::TLS_CIPHER);
}

#[test]
fn servers_are_verified() {
    for (version, _) in BOTH {
        let trusting = |ca: &str, crl: &str| {
            client(|spec| {
                only(version)(&mut spec.common);
                spec.common.ca = ca.to_owned();
                spec.common.crl = crl.to_owned();
            })
        };
        let showing = |certificate| server(|spec| spec.certificates = vec![certificate]);
        let good = showing(certificate("server-ec"));
        let trusts = trusting(CA, "");
        meet_as(&trusts, &good, "127.0.0.1", true).well();
        meet_as(&trusts, &good, "b.example", true).client_says(code::TLS_CERT_NAME);
        meet_as(&trusts, &good, "127.0.0.2", true).client_says(code::TLS_CERT_NAME);
        let other = trusting(&fixture("other-ca.pem"), "");
        meet(&other, &good).client_says(code::TLS_CERT_UNTRUSTED);
        let expired = showing(certificate("expired"));
        meet(&trusts, &expired).client_says(code::TLS_CERT_EXPIRED);

        let revoked = showing(certificate("revoked"));
        meet(&trusts, &revoked).well();
        let informed = trusting(CA, CRL);
        meet(&informed, &good).well();
        meet(&informed, &revoked).client_says(code::TLS_CERT_REVOKED);
        let outdated = trusting(CA, &fixture("crl-expired.pem"));
        meet(&outdated, &good).client_says(code::TLS_CERT_INVALID);

        // A client's certificate is no server's.
        let misused = showing(certificate("client"));
        meet(&trusts, &misused).client_says(code::TLS_CERT_INVALID);
    }
}

#[test]
fn self_signed_servers() {
    let shown = server(|spec| spec.certificates = vec![certificate("self-signed")]);
    let expired = server(|spec| spec.certificates = vec![certificate("self-expired")]);
    meet(&client(|_| {}), &shown).client_says(code::TLS_CERT_UNTRUSTED);
    meet(&client(|_| {}), &expired).client_says(code::TLS_CERT_EXPIRED);
    let trusts = client(|spec| {
        let all = [
            CA,
            &fixture("self-signed.pem"),
            &fixture("self-expired.pem"),
        ];
        spec.common.ca = all.concat();
    });
    meet(&trusts, &shown).well();
    meet_as(&trusts, &shown, "127.0.0.1", true).well();
    meet_as(&trusts, &shown, "b.example", true).client_says(code::TLS_CERT_NAME);
    meet(&trusts, &expired).client_says(code::TLS_CERT_EXPIRED);
}

#[test]
fn verification_off() {
    let lenient = client(|spec| {
        spec.verify = false;
        spec.common.ca.clear();
    });
    for certificate in [
        certificate("self-signed"),
        certificate("expired"),
        certificate("server-rsa"),
    ] {
        for (version, _) in BOTH {
            let shown = server(|spec| {
                only(version)(&mut spec.common);
                spec.certificates = vec![certificate.clone()];
            });
            let met = meet_as(&lenient, &shown, "b.example", false).well();
            assert_eq!(name_asked(&met), Some("b.example"));
            assert_eq!(
                name_asked(&meet_as(&lenient, &shown, "", false).well()),
                None
            );
        }
    }
}

fn name_asked(met: &Met) -> Option<&str> {
    match &met.server {
        Connection::Server(server) => server.server_name(),
        Connection::Client(_) => unreachable!("it is the server"),
    }
}

#[test]
fn names() {
    assert!(config::server_name("", true).is_err());
    assert!(config::server_name("not a name", true).is_err());
    assert!(config::server_name("not a name", false).is_err());
    // Unnamed servers do not share sessions.
    assert_ne!(
        config::server_name("", false).unwrap(),
        config::server_name("", false).unwrap()
    );
    let name = config::server_name("::1", true).unwrap();
    assert!(matches!(name, ServerName::IpAddress(_)));
}

#[test]
fn clients_are_verified() {
    for (version, _) in BOTH {
        let asking = |demand| {
            server(|spec| {
                only(version)(&mut spec.common);
                spec.client_cert = demand;
                spec.common.ca = [CA, &fixture("self-signed.pem")].concat();
                // Nobody revokes for a self-signed certificate: it needs no list.
                spec.common.crl = CRL.to_owned();
            })
        };
        let showing = |certificate| client(|spec| spec.certificate = certificate);
        let nobody = showing(None);
        let good = showing(Some(certificate("client")));
        let revoked = showing(Some(certificate("client-revoked")));
        let unknown = showing(Some(certificate("stranger")));
        let pinned = showing(Some(certificate("self-signed")));

        let none = asking(ClientCert::None);
        for client in [&nobody, &good, &revoked] {
            let met = meet(client, &none).well();
            assert_eq!(met.server.peer_certificates(), None);
        }
        let required = asking(ClientCert::Required);
        let optional = asking(ClientCert::Optional);
        for server in [&required, &optional] {
            let met = meet(&good, server).well();
            let shown = met.server.peer_certificates().expect("a certificate");
            assert_eq!(shown[0], der(&fixture("client.pem")));
            meet(&pinned, server).well();
            meet(&revoked, server).server_says(code::TLS_CERT_REVOKED);
            meet(&unknown, server).server_says(code::TLS_CERT_UNTRUSTED);
        }
        let met = meet(&nobody, &optional).well();
        assert_eq!(met.server.peer_certificates(), None);
        meet(&nobody, &required).server_says(code::TLS_CERT_MISSING);
    }
}

#[test]
fn sessions_resume_within_their_group() {
    for (version, _) in BOTH {
        for (tickets, session_cache) in [(true, 0), (false, 100), (true, 100)] {
            let mut groups = SessionGroups::default();
            let mut make = |group: &str, certificate| {
                let mut spec = server_spec();
                spec.certificates = vec![certificate];
                (spec.tickets, spec.session_cache) = (tickets, session_cache);
                spec.session_group = group.to_owned();
                config::downstream(&spec, &mut groups).expect("a downstream context")
            };
            let first = make("one", certificate("server-ec"));
            let client = client(|spec| only(version)(&mut spec.common));
            assert!(!meet(&client, &first).well().resumed());
            assert!(meet(&client, &first).well().resumed());
            // A context that replaces another, as after a reload.
            let second = make("one", certificate("revoked"));
            drop(first);
            assert!(meet(&client, &second).well().resumed());
            let other = make("other", certificate("server-ec"));
            assert!(!meet(&client, &other).well().resumed());
        }
        let neither = server(|spec| (spec.tickets, spec.session_cache) = (false, 0));
        let client = client(|spec| only(version)(&mut spec.common));
        for _ in 0..3 {
            assert!(!meet(&client, &neither).well().resumed());
        }
    }
    let forgetful = client(|spec| spec.session_cache = 0);
    let server = server(|_| {});
    for _ in 0..3 {
        assert!(!meet(&forgetful, &server).well().resumed());
    }
}

#[test]
fn a_client_keeps_the_sessions_of_so_many_servers() {
    let server = server(|spec| spec.certificates = vec![certificate("self-signed")]);
    let client = client(|spec| (spec.verify, spec.session_cache) = (false, 2));
    let resumes = |name| meet_as(&client, &server, name, false).well().resumed();
    assert!(!resumes("a.example") && !resumes("b.example"));
    assert!(resumes("a.example") && resumes("b.example"));
    // The first is forgotten.
    assert!(!resumes("c.example"));
    assert!(resumes("c.example") && resumes("b.example") && !resumes("a.example"));
}

#[test]
fn no_early_data() {
    let server = server(|_| {});
    assert_eq!(server.max_early_data_size, 0);
    assert!(!server.send_half_rtt_data);
    assert!(!client(|_| {}).enable_early_data);
}

/// Keeps what was stapled.
#[derive(Debug)]
struct Staple(Arc<dyn ServerCertVerifier>, Mutex<Vec<u8>>);

impl ServerCertVerifier for Staple {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.1.lock().unwrap() = ocsp.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[test]
fn ocsp_is_stapled() {
    use rustls::client::WebPkiServerVerifier;
    let mut config = (*client(|spec| spec.session_cache = 0)).clone();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der(CA)).unwrap();
    let provider = config.crypto_provider().clone();
    let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .unwrap();
    let staple = Arc::new(Staple(inner, Mutex::default()));
    config.dangerous().set_certificate_verifier(staple.clone());
    let config = Arc::new(config);
    for (version, _) in BOTH {
        for ocsp in [&b"a response"[..], b""] {
            let stapling = server(|spec| {
                only(version)(&mut spec.common);
                spec.certificates[0].ocsp = ocsp.to_vec();
            });
            meet(&config, &stapling).well();
            assert_eq!(*staple.1.lock().unwrap(), ocsp);
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let refused = |change: &dyn Fn(&mut DownstreamSpec)| {
        let mut spec = server_spec();
        change(&mut spec);
        let made = config::downstream(&spec, &mut SessionGroups::default());
        made.expect_err("no context")
    };
    let says = |error: String, words: &[&str]| {
        for word in words {
            assert!(error.contains(word), "{error:?} says nothing of {word:?}");
        }
        assert!(!error.contains("PRIVATE"), "{error}");
    };
    says(
        refused(&|spec| spec.common.ciphers = strings(&["RC4"])),
        &["RC4", "TLS_AES_128_GCM_SHA256"],
    );
    says(
        refused(&|spec| spec.common.groups = strings(&["sect163k1"])),
        &["sect163k1", "x25519", "X25519MLKEM768"],
    );
    says(
        refused(&|spec| {
            only(Version::Tls12)(&mut spec.common);
            spec.common.ciphers = strings(&["TLS_AES_128_GCM_SHA256"]);
        }),
        &["ciphers", "versions"],
    );
    says(
        refused(&|spec| {
            (spec.common.min_version, spec.common.max_version) = (Version::Tls13, Version::Tls12);
        }),
        &["minVersion"],
    );
    says(
        refused(&|spec| spec.common.alpn = strings(&[""])),
        &["ALPN"],
    );
    says(refused(&|spec| spec.certificates.clear()), &["certificate"]);
    says(
        refused(&|spec| spec.certificates[0].key = certificate("client").key),
        &["key does not belong to the first certificate"],
    );
    says(
        refused(&|spec| spec.certificates[0].chain.clear()),
        &["no certificate"],
    );
    says(
        refused(&|spec| spec.certificates[0].key.clear()),
        &["no private key"],
    );
    says(
        refused(&|spec| {
            spec.certificates[0].key = spec.certificates[0]
                .key
                .replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        }),
        &["encrypted"],
    );
    says(
        refused(&|spec| {
            spec.certificates[0].key = spec.certificates[0].key.replace("\nM", "\n!M");
        }),
        &["private key", "base64"],
    );
    says(
        refused(&|spec| {
            let chain = &mut spec.certificates[0].chain;
            chain.truncate(chain.len() - 30);
        }),
        &["chain", "end line"],
    );
    says(
        refused(&|spec| spec.client_cert = ClientCert::Required),
        &["no authority"],
    );
    says(
        refused(&|spec| {
            spec.client_cert = ClientCert::Required;
            spec.common.ca = "nothing".to_owned();
        }),
        &["no certificate in ca"],
    );
    says(
        refused(&|spec| {
            spec.client_cert = ClientCert::Required;
            (spec.common.ca, spec.common.crl) = (CA.to_owned(), CA.to_owned());
        }),
        &["no revocation list in crl"],
    );
    let mut spec = client_spec();
    spec.common.ca.clear();
    says(
        config::upstream(&spec).expect_err("no context"),
        &["no authority"],
    );
}

#[test]
fn what_is_the_same_exists_once() {
    let (one, other) = (server(|_| {}), server(|_| {}));
    assert!(Arc::ptr_eq(one.crypto_provider(), other.crypto_provider()));
    let client = client(|_| {});
    assert!(Arc::ptr_eq(one.crypto_provider(), client.crypto_provider()));
    let special = server(|spec| spec.common.groups = strings(&["x25519"]));
    assert!(!Arc::ptr_eq(
        one.crypto_provider(),
        special.crypto_provider()
    ));
}

#[test]
fn contexts_by_number() {
    let contexts = Contexts::default();
    let client = Context::Upstream {
        config: client(|_| {}),
        verify: true,
    };
    let first = contexts.add(Context::Downstream(server(|_| {})));
    let second = contexts.add(client);
    assert!(contexts.downstream(first).is_some());
    assert!(contexts.downstream(second).is_none() && contexts.get(second).is_some());
    for wrong in [-1, second + 1, i32::MAX, i32::MIN] {
        assert!(contexts.get(wrong).is_none());
        contexts.remove(wrong);
    }
    contexts.remove(first);
    assert!(contexts.downstream(first).is_none());
    // A number is not used again.
    let third = contexts.add(Context::Downstream(server(|_| {})));
    assert!(third > second);
}
