//! The TLS layer takes whatever comes: records of real handshakes that are
//! changed, cut, repeated and mixed, in pieces of any size, never make it panic.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use sluice_engine::stream::buffer::BufferPool;
use sluice_engine::tls::config::{
    self, CertificateSpec, ClientCert, CommonSpec, DownstreamSpec, UpstreamSpec, Version,
};
use sluice_engine::tls::layer::Tls;
use sluice_engine::tls::sessions::SessionGroups;

const CHAIN: &str = include_str!("fixtures/localhost.crt");
const KEY: &str = include_str!("fixtures/localhost.key");
const ROUNDS: u32 = 1500;

/// xorshift32: the same numbers in every run.
struct Random(u32);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % below.max(1)
    }
}

fn common(version: Version) -> CommonSpec {
    CommonSpec {
        alpn: Vec::new(),
        min_version: version,
        max_version: version,
        ciphers: Vec::new(),
        groups: Vec::new(),
        ca: CHAIN.to_owned(),
        crl: String::new(),
    }
}

fn server(version: Version) -> Arc<ServerConfig> {
    let spec = DownstreamSpec {
        common: common(version),
        certificates: vec![CertificateSpec {
            chain: CHAIN.to_owned(),
            key: KEY.to_owned(),
            ocsp: Vec::new(),
        }],
        client_cert: ClientCert::Optional,
        session_group: String::new(),
        tickets: true,
        ticket_rotation: 3_600_000,
        session_cache: 16,
    };
    config::downstream(&spec, &mut SessionGroups::default()).expect("server")
}

fn far_client() -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(CHAIN.as_bytes()).expect("certificate");
    roots.add(root).expect("root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), "localhost".try_into().expect("name")).expect("client")
}

/// Gives `bytes` to the layer in pieces, as connection/data.rs does.
fn feed(tls: &mut Tls, bytes: &[u8], random: &mut Random, buffers: &mut BufferPool) -> bool {
    let mut at = 0;
    let mut into = vec![0; 1024];
    while at < bytes.len() {
        let count = (1 + random.next(600)).min(bytes.len() - at);
        let mut records = buffers.take_records();
        let begun = tls.begin(&mut records, buffers);
        records[begun..begun + count].copy_from_slice(&bytes[at..at + count]);
        let room = random.next(into.len());
        let opened = tls.open(&mut records[..begun + count], &mut into[..room], buffers);
        buffers.put_records(records);
        at += count;
        if opened.is_err() {
            return false;
        }
        if !tls.is_handshaking() && random.next(3) == 0 {
            let mut records = buffers.take_records();
            let _ = tls.seal(b"answer", random.next(9) == 0, &mut records, buffers);
            buffers.put_records(records);
        }
    }
    true
}

fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.next(3) {
        let at = random.next(bytes.len());
        match random.next(6) {
            0 => bytes[at] ^= 1 << random.next(8),
            1 => bytes.truncate(at),
            2 => bytes.insert(at, random.next(256) as u8),
            3 => {
                let copy = bytes[at..].to_vec();
                bytes.extend(copy);
            }
            // The beginning of a handshake message in a whole record.
            4 => drop(bytes.splice(at..at, [22, 3, 3, 0, 9, 16, 0, 0, 37, 3, 3, 0, 0, 0])),
            _ => drop(bytes.splice(0..0, [22, 3, 3, 0, 5, random.next(25) as u8, 0, 0, 99, 3])),
        }
        if bytes.is_empty() {
            bytes.push(22);
        }
    }
}

/// A layer and its client with a complete handshake between them.
fn secured(buffers: &mut BufferPool) -> Tls {
    let mut tls = Tls::accept(server(Version::Tls13)).expect("server");
    let mut client = far_client();
    while tls.is_handshaking() || client.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("write");
        }
        tls.open(&mut bytes, &mut [], buffers).expect("records");
        if let Some(out) = tls.outgoing.take() {
            client.read_tls(&mut out.bytes()).expect("read");
            client.process_new_packets().expect("records");
            buffers.give_back(&mut Some(out));
        }
    }
    tls
}

/// A record that no key has encrypted.
const NONSENSE: [u8; 25] = [
    23, 3, 3, 0, 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
];

#[test]
fn a_failure_has_one_alert_and_is_the_last_that_happens() {
    let mut buffers = BufferPool::default();
    let mut tls = secured(&mut buffers);
    let failure = tls.open(&mut NONSENSE.clone(), &mut [], &mut buffers);
    let failure = failure.expect_err("nonsense");
    assert!(tls.outgoing.is_some(), "the alert");
    buffers.give_back(&mut tls.outgoing);
    for _ in 0..2 {
        let again = tls.open(&mut NONSENSE.clone(), &mut [], &mut buffers);
        assert_eq!(again.expect_err("failed").code, failure.code);
        let mut cipher = buffers.take_records();
        assert!(
            tls.seal(b"answer", true, &mut cipher, &mut buffers)
                .is_err()
        );
        buffers.put_records(cipher);
        assert!(tls.outgoing.is_none(), "nothing is said behind the alert");
    }
    assert_eq!(buffers.borrowed(), 0);
}

#[test]
fn no_alert_follows_our_close_notify() {
    let mut buffers = BufferPool::default();
    let mut tls = secured(&mut buffers);
    let mut cipher = buffers.take_records();
    tls.seal(b"", true, &mut cipher, &mut buffers)
        .expect("close_notify");
    buffers.put_records(cipher);
    let outcome = tls.open(&mut NONSENSE.clone(), &mut [], &mut buffers);
    assert!(outcome.is_err());
    assert!(tls.outgoing.is_none());
    assert_eq!(buffers.borrowed(), 0);
}

#[test]
fn clients_that_send_anything_never_make_it_panic() {
    let configs = [server(Version::Tls12), server(Version::Tls13)];
    let mut random = Random(0x2545_f491);
    let mut buffers = BufferPool::default();
    let mut ends = [0, 0];
    for round in 0..ROUNDS {
        let config = configs[random.next(2)].clone();
        let mut tls = Tls::accept(config).expect("server");
        let mut client = far_client();
        // Some are spoilt in their first flight, some later, some behind the handshake.
        let spoilt = random.next(4);
        let mut alive = true;
        for flight in 0..4 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).expect("write");
            }
            if flight == 2 {
                let _ = std::io::Write::write_all(&mut client.writer(), b"payload");
            }
            if flight == spoilt && !bytes.is_empty() {
                spoil(&mut bytes, &mut random);
            }
            alive = alive && feed(&mut tls, &bytes, &mut random, &mut buffers);
            let Some(out) = tls.outgoing.take() else {
                continue;
            };
            let mut rest = out.bytes();
            while !rest.is_empty() && client.read_tls(&mut rest).is_ok() {
                if client.process_new_packets().is_err() {
                    break;
                }
            }
            buffers.give_back(&mut Some(out));
        }
        tls.release(&mut buffers);
        ends[usize::from(alive)] += 1;
        assert_eq!(buffers.borrowed(), 0, "round {round}");
    }
    // Both happen, or nothing was tested.
    assert!(ends[0] > 100 && ends[1] > 100, "{ends:?}");
}

#[test]
fn servers_that_send_anything_never_make_it_panic() {
    let config = config::upstream(&UpstreamSpec {
        common: CommonSpec {
            min_version: Version::Tls12,
            ..common(Version::Tls13)
        },
        verify: true,
        certificate: None,
        session_cache: 0,
    })
    .expect("client");
    let servers = [server(Version::Tls12), server(Version::Tls13)];
    let mut random = Random(0x9e37_79b9);
    let mut buffers = BufferPool::default();
    let mut failed = 0;
    for round in 0..ROUNDS {
        let mut tls = Tls::connect(config.clone(), "localhost".try_into().expect("name"), true)
            .expect("client");
        let mut far = rustls::ServerConnection::new(servers[random.next(2)].clone()).expect("far");
        let spoilt = random.next(3);
        let mut alive = tls.open(&mut [], &mut [], &mut buffers).is_ok();
        for flight in 0..3 {
            if let Some(out) = tls.outgoing.take() {
                let mut rest = out.bytes();
                while !rest.is_empty() && far.read_tls(&mut rest).is_ok() {
                    if far.process_new_packets().is_err() {
                        break;
                    }
                }
                buffers.give_back(&mut Some(out));
            }
            let mut bytes = Vec::new();
            while far.wants_write() {
                far.write_tls(&mut bytes).expect("write");
            }
            if flight == spoilt && !bytes.is_empty() {
                spoil(&mut bytes, &mut random);
            }
            alive = alive && feed(&mut tls, &bytes, &mut random, &mut buffers);
        }
        failed += u32::from(!alive);
        tls.release(&mut buffers);
        assert_eq!(buffers.borrowed(), 0, "round {round}");
    }
    assert!(failed > 100, "{failed}");
}
