//! What must hold of the parsers whatever bytes they get. Shared by the fuzz
//! targets and by `tests/parsers_mutation.rs`.
#![allow(dead_code, reason = "each fuzz target calls one of the checks")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sluice_engine::handshake::{
    client_hello,
    proxy_in::{self, Addresses, Endpoint, Header, Status, TLV_CRC32C},
    proxy_out,
    socks::{Config, Error, Host, MAX_REPLY, State, Version},
};

/// Checks the PROXY parser on `data`.
pub fn proxy_in(data: &[u8]) {
    let whole = proxy_in::parse(data, proxy_in::MAX_V2);
    match whole {
        Ok(Status::Complete(header)) => proxy_complete(data, &header),
        Ok(Status::Partial) => {
            // A caller's buffer of this size is never full and still waiting.
            let limit = match data.first() {
                Some(b'P') => proxy_in::MAX_V1,
                _ => proxy_in::FIXED_V2 + proxy_in::MAX_V2,
            };
            assert!(data.len() < limit);
        }
        Err(error) => {
            // An error is final.
            let mut longer = data.to_vec();
            longer.extend_from_slice(b"\r\n\0more");
            assert_eq!(proxy_in::parse(&longer, proxy_in::MAX_V2), Err(error));
        }
    }
    // Fewer bytes are partial, or what all of them are.
    for end in cuts(data.len()) {
        let part = proxy_in::parse(&data[..end], proxy_in::MAX_V2);
        assert!(
            part == Ok(Status::Partial) || part == whole,
            "{part:?}, then {whole:?}"
        );
    }
}

fn proxy_complete(data: &[u8], header: &Header<'_>) {
    assert!(header.length > 0 && header.length <= data.len());
    let exact = &data[..header.length];
    assert_eq!(
        proxy_in::parse(exact, proxy_in::MAX_V2),
        Ok(Status::Complete(*header))
    );
    assert_eq!(
        proxy_in::parse(&exact[..header.length - 1], proxy_in::MAX_V2),
        Ok(Status::Partial)
    );
    let walked: usize = proxy_in::tlvs(header.tlvs)
        .map(|(_, value)| 3 + value.len())
        .sum();
    assert_eq!(walked, header.tlvs.len());

    // What is built from it says the same.
    let (src, dst) = match header.addresses {
        Some(Addresses { src, dst }) => (src, dst),
        None => (Endpoint::Unix, Endpoint::Unix),
    };
    let expected = match (src, dst) {
        (Endpoint::Inet(_), Endpoint::Inet(_)) => header.addresses,
        _ => None,
    };
    let mut out = Vec::new();
    proxy_out::build_v1(&mut out, &src, &dst);
    let Ok(Status::Complete(again)) = proxy_in::parse(&out, proxy_in::MAX_V2) else {
        panic!("{out:?}")
    };
    assert_eq!(
        (again.length, inet(again.addresses)),
        (out.len(), inet(expected))
    );

    out.clear();
    proxy_out::build_v2(&mut out, &src, &dst, header.tlvs, false);
    let Ok(Status::Complete(again)) = proxy_in::parse(&out, proxy_in::MAX_V2) else {
        panic!("{out:?}")
    };
    assert_eq!(
        (again.length, inet(again.addresses)),
        (out.len(), inet(expected))
    );
    let kept = proxy_in::tlvs(header.tlvs).filter(|&(kind, _)| kind != TLV_CRC32C);
    assert!(proxy_in::tlvs(again.tlvs).eq(kept));
}

/// IPv4 with mapped IPv6 cannot come back as it was: compare what they stand for.
fn inet(addresses: Option<Addresses>) -> Option<[(IpAddr, u16); 2]> {
    let Addresses {
        src: Endpoint::Inet(src),
        dst: Endpoint::Inet(dst),
    } = addresses?
    else {
        return None;
    };
    Some([src, dst].map(|end| (end.ip().to_canonical(), end.port())))
}

/// Checks the SOCKS client: the first byte chooses its configuration, the rest
/// is what the proxy sends.
pub fn socks(data: &[u8]) {
    let Some((&choice, server)) = data.split_first() else {
        return;
    };
    let config = socks_config(choice);
    let whole = play(&config, server, [].into_iter());
    for cut in cuts(server.len()) {
        assert_eq!(play(&config, server, [cut].into_iter()), whole);
    }
    assert_eq!(play(&config, server, 1..server.len()), whole);
}

/// Bit 0: SOCKS5. Bit 1: a user. Bit 2: a password. Bits 3 and 4: the host.
pub fn socks_config(choice: u8) -> Config {
    let bit = |n: u8| choice & (1 << n) != 0;
    Config {
        version: if bit(0) { Version::V5 } else { Version::V4a },
        user: bit(1).then(|| b"ada".as_slice().into()),
        password: bit(2).then(|| b"lovelace".as_slice().into()),
        host: match (choice >> 3) & 3 {
            0 => Host::Ip(Ipv4Addr::new(192, 0, 2, 7).into()),
            1 => Host::Ip(Ipv6Addr::LOCALHOST.into()),
            _ => Host::Name("example.org".into()),
        },
        port: 443,
    }
}

/// Plays `server` in pieces. Returns what the client sent, and the bytes
/// consumed and whether the tunnel stands, or the error.
fn play(
    config: &Config,
    server: &[u8],
    cuts: impl Iterator<Item = usize>,
) -> (Vec<u8>, Result<(usize, bool), Error>) {
    let mut state = State::new();
    let mut out = Vec::new();
    let mut at = 0;
    let mut done = false;
    for cut in [0].into_iter().chain(cuts).chain([server.len()]) {
        let input = &server[at..cut];
        let progress = match state.step(config, input, &mut out) {
            Ok(progress) => progress,
            Err(error) => return (out, Err(error)),
        };
        assert!(progress.consumed <= input.len());
        assert!(!done || (progress.done && progress.consumed == 0));
        at += progress.consumed;
        done = progress.done;
        assert!(done || cut - at < MAX_REPLY);
    }
    // Greeting, authentication and request, nothing more.
    assert!(out.len() <= 4 + (3 + 2 * 255) + MAX_REPLY);
    assert!(at <= 2 + 2 + MAX_REPLY);
    (out, Ok((at, done)))
}

/// Checks the reader of ClientHello messages.
pub fn client_hello(data: &[u8]) {
    let framed = |bytes: &[u8]| {
        let mut message = Vec::new();
        (
            client_hello::Reader::default().go_on(bytes, &mut message),
            message,
        )
    };
    let (status, message) = framed(data);
    match status {
        client_hello::Status::Partial => assert!(data.len() < client_hello::MAX_BYTES),
        client_hello::Status::Complete => {
            let &[1, a, b, c, ref body @ ..] = &message[..] else {
                panic!("{message:?}")
            };
            assert_eq!(body.len(), u32::from_be_bytes([0, a, b, c]) as usize);
            // The same in a record of its own.
            let [high, low] = (message.len() as u16).to_be_bytes();
            let again = [&[22, 3, 1, high, low], &message[..]].concat();
            assert_eq!(framed(&again), (status, message.clone()));
        }
        _ => {}
    }
    if status != client_hello::Status::Partial {
        // An answer is final.
        let longer = [data, b"\x16\x03more"].concat();
        assert_eq!(framed(&longer), (status, message.clone()));
    }
    if status != client_hello::Status::Complete {
        assert!(message.is_empty());
    }
    // Fewer bytes are partial, or what all of them are.
    let whole = (status, message);
    for end in cuts(data.len()) {
        let part = framed(&data[..end]);
        assert!(
            part.0 == client_hello::Status::Partial || part == whole,
            "{part:?}, then {whole:?}"
        );
    }
    // A reader that goes on comes to the same.
    let mut reader = client_hello::Reader::default();
    let mut message = Vec::new();
    for end in cuts(data.len()).chain([data.len()]) {
        let status = reader.go_on(&data[..end], &mut message);
        if status != client_hello::Status::Partial {
            assert_eq!((status, message), whole);
            return;
        }
    }
    assert_eq!(whole.0, client_hello::Status::Partial);
}

/// Some 16 places to cut `length` bytes, all of them where they are few.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(1 + length / 16)
}
