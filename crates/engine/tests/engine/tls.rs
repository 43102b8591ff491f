//! TLS of both sides, against rustls's own blocking client.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sluice_engine::listener::ListenSpec;
use sluice_engine::route::{Destination, Route};
use sluice_engine::tls::config::{
    CertificateSpec, ClientCert, CommonSpec, DownstreamSpec, UpstreamSpec, Version,
};
use sluice_wire::commands::{command, proceed_flag};
use sluice_wire::errors::{by, code, phase};
use sluice_wire::events::{event, hello_status};
use sluice_wire::flags::conn_flag;
use sluice_wire::handshakes::handshake;
use sluice_wire::ring_layout::{field, layout};
use sluice_wire::states::conn_state;

use crate::support::{
    Answer, Commands, Echo, Harness, Pattern, Told, accept, assert_reason, byte_counts, dial,
    expect, expect_reset, listen_spec, lock, reset, route_to, shared,
};

const CHAIN: &str = include_str!("../fixtures/localhost.crt");
const KEY: &str = include_str!("../fixtures/localhost.key");

pub fn common(max_version: Version) -> CommonSpec {
    CommonSpec {
        alpn: vec!["echo".to_owned()],
        min_version: Version::Tls12,
        max_version,
        ciphers: Vec::new(),
        groups: Vec::new(),
        ca: CHAIN.to_owned(),
        crl: String::new(),
    }
}

/// An engine whose policy terminates TLS of every client that speaks it.
pub struct Secure {
    pub h: Harness,
    pub context: Arc<AtomicI32>,
    /// Of PROCEED.
    flags: Arc<AtomicI32>,
}

impl Secure {
    pub fn start(max_version: Version) -> Self {
        Self::asking(max_version, ClientCert::None)
    }

    fn asking(max_version: Version, client_cert: ClientCert) -> Self {
        let pass = Box::new(|told: &Told, commands: &Commands| commands.pass(told));
        Self::with(max_version, client_cert, pass)
    }

    /// `answer` decides everything behind TLS.
    pub fn with(max_version: Version, client_cert: ClientCert, mut answer: Answer) -> Self {
        let context: Arc<AtomicI32> = Arc::new(AtomicI32::new(-1));
        let flags: Arc<AtomicI32> = Arc::default();
        let (chosen, asked) = (context.clone(), flags.clone());
        let h = Harness::with(
            1,
            Box::new(move |told, commands| {
                let terminate = told.kind == event::HANDSHAKE
                    && told.bit() == handshake::TLS
                    && chosen.load(Ordering::SeqCst) >= 0;
                if terminate {
                    let context = chosen.load(Ordering::SeqCst);
                    commands.send(
                        told,
                        command::PROCEED,
                        [0, 0, 0, context, asked.load(Ordering::SeqCst)],
                    );
                } else {
                    answer(told, commands);
                }
            }),
        );
        let spec = DownstreamSpec {
            common: common(max_version),
            certificates: vec![CertificateSpec {
                chain: CHAIN.to_owned(),
                key: KEY.to_owned(),
                ocsp: Vec::new(),
            }],
            client_cert,
            session_group: "test".to_owned(),
            tickets: true,
            ticket_rotation: 3_600_000,
            session_cache: 16,
        };
        let number = lock(&h.engine)
            .as_mut()
            .expect("engine")
            .downstream_tls(&spec)
            .expect("context");
        context.store(number, Ordering::SeqCst);
        Self { h, context, flags }
    }

    pub fn listen(&self) -> SocketAddr {
        let asked = handshake::TLS | handshake::ACCEPT_SESSION;
        let (_, address) = self.h.listen(ListenSpec {
            handshakes: asked,
            ask: asked,
            ..listen_spec()
        });
        address
    }

    /// A route that speaks TLS.
    pub fn route_tls(&self, address: SocketAddr) -> Route {
        let mut engine = lock(&self.h.engine);
        let engine = engine.as_mut().expect("engine");
        let context = engine
            .upstream_tls(&UpstreamSpec {
                common: common(Version::Tls13),
                verify: true,
                certificate: None,
                session_cache: 16,
            })
            .expect("context");
        let target = engine.tls_target(context, "localhost").expect("target");
        Route {
            tls: Some(target),
            ..route_to(Destination::Tcp(address))
        }
    }
}

pub fn client() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(CHAIN.as_bytes()).expect("certificate");
    roots.add(root).expect("root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"echo".to_vec()];
    Arc::new(config)
}

pub type Stream<S = TcpStream> = StreamOwned<ClientConnection, S>;

pub fn secure<S: Read + Write>(stream: S, config: Arc<ClientConfig>) -> Stream<S> {
    let name = "localhost".try_into().expect("name");
    let session = ClientConnection::new(config, name).expect("client");
    StreamOwned::new(session, stream)
}

/// close_notify and FIN.
pub fn say_end<S: Read + Write + AsFd>(stream: &mut Stream<S>) {
    stream.conn.send_close_notify();
    while stream.conn.wants_write() {
        stream
            .conn
            .write_tls(&mut stream.sock)
            .expect("close_notify");
    }
    rustix::net::shutdown(&stream.sock, rustix::net::Shutdown::Write).expect("FIN");
}

/// close_notify and FIN, then everything that still comes.
pub fn finish(mut stream: Stream) -> Vec<u8> {
    say_end(&mut stream);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("a clean end");
    rest
}

fn echoes(version: Version) {
    let _shared = shared();
    let s = Secure::start(version);
    let echo = Echo::start();
    s.h.route(route_to(Destination::Tcp(echo.address)));
    let address = s.listen();
    let mut stream = secure(dial(address), client());
    stream.write_all(b"hello").expect("write");
    expect(&mut stream, b"hello");
    let asked = s.h.next(event::HANDSHAKE);
    assert_eq!(asked.bit(), handshake::TLS);
    assert_eq!(asked.operands[4], hello_status::COMPLETE);
    assert_eq!(asked.bytes[0], 1, "a ClientHello message");
    let secured = s.h.next(event::SECURED);
    let wire = if version == Version::Tls13 {
        0x304
    } else {
        0x303
    };
    assert_eq!(secured.operands[0], handshake::TLS);
    assert_eq!(secured.operands[1] >> 16, wire);
    assert_eq!(secured.bytes, b"\x04echo");
    assert_eq!(finish(stream), b"");
    let closed = s.h.next(event::CLOSED);
    assert_reason(closed.reason(), by::CLIENT, phase::DATA, code::DONE);
    assert_eq!(byte_counts(&s.h, &closed), (5, 5), "payload, not records");
    s.h.settle();
}

#[test]
fn terminates_tls_1_3() {
    echoes(Version::Tls13);
}

#[test]
fn terminates_tls_1_2() {
    echoes(Version::Tls12);
}

#[test]
fn tls_on_both_sides_carries_bulk_both_ways_at_once() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let echo = Echo::start();
    let inner = s.h.route(route_to(Destination::Tcp(echo.address)));
    let far = Secure::start(Version::Tls12);
    let beyond = far.h.route(route_to(Destination::Tcp(echo.address)));
    assert_ne!((inner, beyond), (-1, -1));
    let through = s.route_tls(far.listen());
    s.h.route(through);
    let address = s.listen();
    let pattern = Pattern::new();
    let total = 3_000_000;
    let mut stream = secure(dial(address), client());
    stream.write_all(b"x").expect("write");
    expect(&mut stream, b"x");
    // Read and write turn by turn: the echo holds what is on its way.
    let chunk = 50_000;
    let mut sent = 0;
    while sent < total {
        let bytes: Vec<u8> = pattern.at(sent, chunk).to_vec();
        stream.write_all(&bytes).expect("write");
        expect(&mut stream, &bytes);
        sent += bytes.len();
    }
    assert_eq!(finish(stream), b"");
    let closed = s.h.next(event::CLOSED);
    assert_reason(closed.reason(), by::CLIENT, phase::DATA, code::DONE);
    assert_eq!(
        s.h.all(event::SECURED)
            .iter()
            .map(|told| told.operands[0])
            .collect::<Vec<_>>(),
        [handshake::TLS, handshake::TLS_OUT]
    );
    s.h.settle();
    far.h.settle();
}

#[test]
fn a_context_that_does_not_exist_fails_the_data_layer() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    s.context.store(1000, Ordering::SeqCst);
    let mut session = secure(dial(s.listen()), client());
    let refused = session.conn.complete_io(&mut session.sock);
    assert!(refused.is_err(), "{refused:?}");
    let closed = s.h.next(event::CLOSED);
    assert_reason(closed.reason(), by::PROXY, phase::TLS, code::INTERNAL);
    let flags = conn_flag::ERR | conn_flag::DATA_FAILED;
    assert_eq!(s.h.record(&closed, field::FLAGS) & flags, flags);
    assert_eq!(s.h.record(&closed, field::STATE), conn_state::ERROR);
    s.h.settle();
}

#[test]
fn a_client_that_leaves_without_close_notify_is_told_apart() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("upstream");
    s.h.route(route_to(Destination::Tcp(
        upstream.local_addr().expect("address"),
    )));
    let address = s.listen();
    let mut stream = secure(dial(address), client());
    stream.write_all(b"cut").expect("write");
    let mut server = accept(&upstream);
    expect(&mut server, b"cut");
    stream.sock.shutdown(Shutdown::Write).expect("FIN");
    // Only a reset tells a server without TLS that something may be missing.
    expect_reset(&mut server);
    drop(server);
    let closed = s.h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::CLIENT,
        phase::DATA,
        code::TLS_TRUNCATED,
    );
    s.h.settle();
}

#[test]
fn a_hello_that_is_not_terminated_goes_through_untouched() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let far = Secure::start(Version::Tls13);
    let echo = Echo::start();
    far.h.route(route_to(Destination::Tcp(echo.address)));
    s.h.route(route_to(Destination::Tcp(far.listen())));
    s.context.store(-1, Ordering::SeqCst);
    let mut stream = secure(dial(s.listen()), client());
    stream.write_all(b"through").expect("write");
    expect(&mut stream, b"through");
    assert_eq!(s.h.all(event::SECURED).len(), 0);
    assert_eq!(finish(stream), b"");
    s.h.settle();
    far.h.settle();
}

fn first_flight() -> (ClientConnection, Vec<u8>) {
    let mut session =
        ClientConnection::new(client(), "localhost".try_into().expect("name")).expect("client");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("hello");
    (session, hello)
}

#[test]
fn a_hello_may_come_a_byte_at_a_time() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let echo = Echo::start();
    s.h.route(route_to(Destination::Tcp(echo.address)));
    let address = s.listen();
    let (session, hello) = first_flight();
    let mut stream = dial(address);
    stream.set_nodelay(true).expect("no delay");
    for byte in &hello[..hello.len() - 1] {
        stream.write_all(&[*byte]).expect("write");
    }
    assert_eq!(s.h.all(event::HANDSHAKE).len(), 0);
    stream.write_all(&hello[hello.len() - 1..]).expect("write");
    let mut stream = StreamOwned::new(session, stream);
    stream.write_all(b"slow").expect("write");
    expect(&mut stream, b"slow");
    assert_eq!(s.h.next(event::HANDSHAKE).bytes, hello[5..]);
    assert_eq!(finish(stream), b"");
    s.h.settle();
}

#[test]
fn a_hello_in_a_few_pieces_costs_no_buffer() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let address = s.listen();
    let (_, hello) = first_flight();
    let mut stream = dial(address);
    for piece in hello[..90].chunks(30) {
        stream.write_all(piece).expect("write");
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(s.h.stats().buffers, 0);
    }
    drop(stream);
    let _ = s.h.next(event::CLOSED);
    s.h.settle();
}

#[test]
fn a_hello_in_too_many_pieces_is_told() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    // More of it than the scratch memory of a worker holds, in records of three bytes.
    let mut bytes = vec![22, 3, 1, 0, 4, 1, 0, 60, 0];
    for _ in 0..layout::MAX_HELLO_PIECES {
        bytes.extend([22, 3, 1, 0, 3, 0, 0, 0]);
    }
    let mut stream = dial(s.listen());
    stream.write_all(&bytes).expect("write");
    let asked = s.h.next(event::HANDSHAKE);
    assert_eq!(asked.operands[4], hello_status::DRIPPED);
    assert_eq!(asked.bytes, bytes[..1024]);
    drop(stream);
    let _ = s.h.next(event::CLOSED);
    s.h.settle();
}

#[test]
fn of_what_is_no_hello_only_that_is_shown() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let address = s.listen();
    for (n, bytes) in [&[22, 3, 1, 0xff, 0xff, 1][..], b"x"]
        .into_iter()
        .enumerate()
    {
        let mut stream = dial(address);
        stream.write_all(bytes).expect("write");
        assert_eq!(s.h.nth(event::HANDSHAKE, n).bytes, bytes);
        drop(stream);
        let _ = s.h.nth(event::CLOSED, n);
    }
    s.h.settle();
}

#[test]
fn garbage_inside_a_handshake_is_answered_with_an_alert() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let address = s.listen();
    let mut session =
        ClientConnection::new(client(), "localhost".try_into().expect("name")).expect("client");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("hello");
    let mut stream = dial(address);
    stream.write_all(&hello).expect("write");
    stream
        .write_all(&[23, 3, 3, 0, 4, 1, 2, 3, 4])
        .expect("write");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("an alert and the end");
    // Encrypted already: two bytes, their type and the tag.
    assert_eq!(answer[answer.len() - 24..][..5], [23, 3, 3, 0, 19]);
    drop(stream);
    let closed = s.h.next(event::CLOSED);
    assert_reason(closed.reason(), by::CLIENT, phase::TLS, code::TLS_MALFORMED);
    s.h.settle();
}

#[test]
fn an_end_or_a_reset_within_a_handshake_is_the_clients() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let address = s.listen();
    let mut session =
        ClientConnection::new(client(), "localhost".try_into().expect("name")).expect("client");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("hello");
    for (n, sent) in [0, 3, 40, hello.len()].into_iter().enumerate() {
        let mut stream = dial(address);
        stream.write_all(&hello[..sent]).expect("write");
        // A close would reset where the ServerHello has come and is not read.
        stream.shutdown(Shutdown::Write).expect("FIN");
        let closed = s.h.nth(event::CLOSED, 2 * n);
        assert_reason(closed.reason(), by::CLIENT, phase::TLS, code::ABORTED);
        let mut stream = dial(address);
        stream.write_all(&hello[..sent]).expect("write");
        if sent == hello.len() {
            let mut first = [0; 1];
            stream.read_exact(&mut first).expect("ServerHello");
        }
        reset(stream);
        let closed = s.h.nth(event::CLOSED, 2 * n + 1);
        assert_reason(closed.reason(), by::CLIENT, phase::TLS, code::RESET);
    }
    s.h.settle();
}

/// A handshake record with the beginning of a message of `length` bytes.
fn begun(kind: u8, length: u8) -> Vec<u8> {
    vec![22, 3, 3, 0, 9, kind, 0, 0, length, 3, 3, 0, 0, 0]
}

#[test]
fn a_message_that_is_split_over_records_and_never_ends_is_the_peers_failure() {
    let _shared = shared();
    let s = Secure::start(Version::Tls12);
    let address = s.listen();
    // What rustls keeps of the first record must be there when more comes.
    for (n, rest) in [&[21, 3, 3, 0, 2, 2, 42][..], b"garbage of any kind", &[]]
        .into_iter()
        .enumerate()
    {
        let mut session =
            ClientConnection::new(client(), "localhost".try_into().expect("name")).expect("client");
        let mut hello = Vec::new();
        session.write_tls(&mut hello).expect("hello");
        let mut stream = dial(address);
        stream.write_all(&hello).expect("write");
        let mut first = [0; 1];
        stream.read_exact(&mut first).expect("ServerHello");
        stream.write_all(&begun(16, 37)).expect("write");
        std::thread::sleep(std::time::Duration::from_millis(50));
        stream.write_all(rest).expect("write");
        if rest.is_empty() {
            stream.shutdown(Shutdown::Write).expect("FIN");
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        drop(stream);
        let closed = s.h.nth(event::CLOSED, n);
        let code = if rest.is_empty() {
            code::ABORTED
        } else {
            code::TLS_MALFORMED
        };
        assert_reason(closed.reason(), by::CLIENT, phase::TLS, code);
    }
    s.h.settle();
}

#[test]
fn a_server_that_splits_its_hello_and_sends_nonsense_fails_the_connect() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("upstream");
    let route = s.route_tls(upstream.local_addr().expect("address"));
    s.h.route(route);
    let (_, address) = s.h.listen(listen_spec());
    let stream = dial(address);
    let mut server = accept(&upstream);
    let mut first = [0; 1];
    server.read_exact(&mut first).expect("ClientHello");
    server.write_all(&begun(2, 90)).expect("write");
    std::thread::sleep(std::time::Duration::from_millis(50));
    server.write_all(b"garbage of any kind").expect("write");
    let failed = s.h.next(event::CONNECT_FAILED);
    assert_reason(
        failed.reason(),
        by::SERVER,
        phase::TLS_OUT,
        code::TLS_MALFORMED,
    );
    drop((stream, server));
    s.h.settle();
}

#[test]
fn a_handshake_message_that_grows_without_end_is_the_peers_failure() {
    let _shared = shared();
    let s = Secure::start(Version::Tls12);
    let mut session =
        ClientConnection::new(client(), "localhost".try_into().expect("name")).expect("client");
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).expect("hello");
    // One message of 65535 bytes, a byte a record.
    bytes.extend([22, 3, 3, 0, 4, 16, 0, 255, 255]);
    for _ in 0..20_000 {
        bytes.extend([22, 3, 3, 0, 1, 0]);
    }
    let mut stream = dial(s.listen());
    stream.write_all(&bytes).expect("write");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    drop(stream);
    let closed = s.h.next(event::CLOSED);
    assert_reason(closed.reason(), by::CLIENT, phase::TLS, code::TLS_MALFORMED);
    s.h.settle();
}

/// What a handshake with a client like this fails with.
fn refused(address: SocketAddr, config: Arc<ClientConfig>) -> rustls::Error {
    let mut stream = secure(dial(address), config);
    let error = stream.read(&mut [0; 1]).expect_err("a refusal");
    let inner = error.into_inner().expect("an error of TLS");
    *inner.downcast().expect("rustls's")
}

#[test]
fn the_alert_behind_a_server_hello_goes_out() {
    let _shared = shared();
    for version in [Version::Tls12, Version::Tls13] {
        let s = Secure::start(version);
        let address = s.listen();
        let mut config = ClientConfig::clone(&client());
        config.alpn_protocols = vec![b"other".to_vec()];
        assert_eq!(
            refused(address, Arc::new(config)),
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        );
        let closed = s.h.next(event::CLOSED);
        assert_reason(closed.reason(), by::CLIENT, phase::TLS, code::TLS_ALPN);
        s.h.settle();
    }
}

#[test]
fn a_client_that_verifies_no_signature_of_our_key_fails_its_handshake() {
    let _shared = shared();
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = &mut provider.signature_verification_algorithms;
    let rsa = algorithms.mapping.iter().position(|(scheme, _)| {
        // What both versions have.
        *scheme == rustls::SignatureScheme::RSA_PSS_SHA256
    });
    let rsa = rsa.expect("RSA");
    algorithms.mapping = &algorithms.mapping[rsa..=rsa];
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let config = Arc::new(config);
    for version in [Version::Tls12, Version::Tls13] {
        let s = Secure::start(version);
        assert_eq!(
            refused(s.listen(), config.clone()),
            rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)
        );
        let closed = s.h.next(event::CLOSED);
        assert_reason(closed.reason(), by::CLIENT, phase::TLS, code::TLS_CIPHER);
        s.h.settle();
    }
}

#[test]
fn a_certificate_of_which_the_client_has_no_key_is_a_malformed_handshake() {
    let _shared = shared();
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let other = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &rng,
    )
    .expect("a key");
    let other = PrivateKeyDer::Pkcs8(other.as_ref().to_vec().into());
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&other).expect("a key");
    let chain = vec![CertificateDer::from_pem_slice(CHAIN.as_bytes()).expect("certificate")];
    let mut config = ClientConfig::clone(&client());
    config.client_auth_cert_resolver =
        Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
    let config = Arc::new(config);
    for version in [Version::Tls12, Version::Tls13] {
        let s = Secure::asking(version, ClientCert::Required);
        assert_eq!(
            refused(s.listen(), config.clone()),
            rustls::Error::AlertReceived(AlertDescription::DecryptError)
        );
        let closed = s.h.next(event::CLOSED);
        assert_reason(closed.reason(), by::CLIENT, phase::TLS, code::TLS_MALFORMED);
        s.h.settle();
    }
}

#[test]
fn a_handshake_that_waits_for_its_client_is_told_where_it_is_asked_for() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let echo = Echo::start();
    s.h.route(route_to(Destination::Tcp(echo.address)));
    let address = s.listen();
    for (n, flags) in [0, proceed_flag::TELL_WAITING].into_iter().enumerate() {
        s.flags.store(flags, Ordering::SeqCst);
        let (session, hello) = first_flight();
        let mut stream = dial(address);
        stream.write_all(&hello).expect("write");
        stream.peek(&mut [0; 1]).expect("ServerHello");
        if n == 1 {
            // Before the client has answered.
            let _ = s.h.next(event::HANDSHAKE_WAITS);
        }
        let mut stream = StreamOwned::new(session, stream);
        stream.write_all(b"x").expect("write");
        expect(&mut stream, b"x");
        assert_eq!(s.h.all(event::HANDSHAKE_WAITS).len(), n);
        assert_eq!(finish(stream), b"");
    }
    s.h.settle();
}

/// So many records of one byte each.
fn crumbs(stream: &mut Stream, count: usize) -> Vec<u8> {
    let mut records = Vec::new();
    for _ in 0..count {
        stream.conn.writer().write_all(b"y").expect("a record");
        stream.conn.write_tls(&mut records).expect("bytes");
    }
    records
}

/// Decrypting records of one byte costs a thousand times what their payload says.
#[test]
fn a_client_with_records_of_one_byte_takes_no_longer_turns_than_others() {
    let _shared = shared();
    /// Bytes of records that a client of this kind gets in one turn.
    const TURN: usize = 8 * 1024;
    /// The turn in which the other's message is forwarded, and those beside it.
    const TURNS: usize = 4;
    const FIRST: usize = 4_000;
    const BACKLOG: usize = 20_000;
    let s = Secure::start(Version::Tls13);
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let target = upstream.local_addr().expect("address");
    s.h.route(route_to(Destination::Tcp(target)));
    let (_, plain) = s.h.listen(listen_spec());
    let mut stream = secure(dial(s.listen()), client());
    stream.write_all(b"x").expect("write");
    let mut sink = accept(&upstream);
    let of_crumbs = s.h.next(event::CONNECTED);
    let mut other = dial(plain);
    let mut server = accept(&upstream);
    let bytes_in = |h: &Harness| byte_counts(h, &of_crumbs).0 as usize;
    // It is known for what it sends.
    let first = crumbs(&mut stream, FIRST);
    stream.sock.write_all(&first).expect("write");
    sink.read_exact(&mut [0; FIRST + 1]).expect("payload");
    s.h.until("the count is told", |h| bytes_in(h) == FIRST + 1);
    // The worker is held, and finds all of this at once: a backlog of records, a
    // message of the other one, and somebody new, so that it rings again.
    s.h.gate.close();
    let new = dial(plain);
    s.h.until("the worker is held at its doorbell", |h| h.gate.holds());
    s.h.until("policy has read of it", |h| {
        h.all(event::HANDSHAKE).len() == 4
    });
    let stops = s.h.gate.stops();
    let record = first.len() / FIRST;
    let backlog = crumbs(&mut stream, BACKLOG);
    stream.sock.set_nonblocking(true).expect("nonblocking");
    let waits = stream.sock.write(&backlog).expect("write") / record;
    other.write_all(b"message").expect("write");
    let newer = dial(plain);
    s.h.gate.step();
    s.h.until("the worker is held again", |h| h.gate.stops() > stops);
    expect(&mut server, b"message");
    let read = bytes_in(&s.h) - FIRST - 1;
    assert!(read > 0, "both had their turn");
    assert!(
        read <= TURNS * TURN / record,
        "{read} of {waits} records in the turns of one message"
    );
    assert!(waits > TURNS * TURN / record, "more than that did wait");
    s.h.gate.open();
    reset(stream.sock);
    drop((sink, other, server, new, newer, upstream));
    s.h.settle();
}
