//! Writes PROXY protocol headers, version 1 (text) and 2 (binary).
//!
//! Where one end is IPv4 and the other IPv6, the IPv4 one is mapped into IPv6
//! (`::ffff:a.b.c.d`), since a header has one family; where both are IPv4 or
//! stand for it, as on a dual-stack listener, it is IPv4. Where an end is a unix
//! socket, the header says what HAProxy says then: `PROXY UNKNOWN` in version
//! 1, the LOCAL command with UNSPEC in version 2, TLVs still behind it. The
//! receiver keeps the addresses of its own socket.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::proxy_in::{Endpoint, SIGNATURE_V2, TLV_CRC32C, tlvs as each_tlv};

/// Type, length and value of the CRC32C TLV.
const CRC_TLV: usize = 3 + 4;

enum Pair {
    Inet(Ipv4Addr, Ipv4Addr, [u16; 2]),
    Inet6(Ipv6Addr, Ipv6Addr, [u16; 2]),
    Unknown,
}

fn pair(src: &Endpoint, dst: &Endpoint) -> Pair {
    let (Endpoint::Inet(src), Endpoint::Inet(dst)) = (src, dst) else {
        return Pair::Unknown;
    };
    let ports = [src.port(), dst.port()];
    match (src.ip().to_canonical(), dst.ip().to_canonical()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Pair::Inet(src, dst, ports),
        (src, dst) => Pair::Inet6(to_v6(src), to_v6(dst), ports),
    }
}

fn to_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// Appends a version 1 header, at most [`super::proxy_in::MAX_V1`] bytes.
pub fn build_v1(out: &mut Vec<u8>, src: &Endpoint, dst: &Endpoint) {
    // Writing to a Vec cannot fail.
    let _ = match pair(src, dst) {
        Pair::Inet(src, dst, [from, to]) => {
            write!(out, "PROXY TCP4 {src} {dst} {from} {to}\r\n")
        }
        Pair::Inet6(src, dst, [from, to]) => {
            write!(out, "PROXY TCP6 {src} {dst} {from} {to}\r\n")
        }
        Pair::Unknown => out.write_all(b"PROXY UNKNOWN\r\n"),
    };
}

/// Appends a version 2 header.
///
/// `tlvs` are encoded TLVs and may be those of another header: a CRC32C among
/// them was that header's and is left out, and so is what is cut short at
/// their end. With `crc32c` the header's own CRC32C TLV comes last. TLVs that
/// no longer fit into the header's 16-bit length are left out.
pub fn build_v2(out: &mut Vec<u8>, src: &Endpoint, dst: &Endpoint, tlvs: &[u8], crc32c: bool) {
    let start = out.len();
    out.reserve(16 + 36 + tlvs.len() + CRC_TLV);
    out.extend_from_slice(&SIGNATURE_V2);
    let pair = pair(src, dst);
    let ver_cmd_family = match pair {
        Pair::Inet(..) => [0x21, 0x11],
        Pair::Inet6(..) => [0x21, 0x21],
        Pair::Unknown => [0x20, 0x00],
    };
    out.extend_from_slice(&ver_cmd_family);
    let length_at = out.len();
    out.extend_from_slice(&[0; 2]);
    let body = out.len();
    match pair {
        Pair::Inet(src, dst, ports) => {
            out.extend_from_slice(&src.octets());
            out.extend_from_slice(&dst.octets());
            extend_ports(out, ports);
        }
        Pair::Inet6(src, dst, ports) => {
            out.extend_from_slice(&src.octets());
            out.extend_from_slice(&dst.octets());
            extend_ports(out, ports);
        }
        Pair::Unknown => {}
    }
    let room = usize::from(u16::MAX) - if crc32c { CRC_TLV } else { 0 };
    for (kind, value) in each_tlv(tlvs) {
        if kind != TLV_CRC32C && out.len() - body + 3 + value.len() <= room {
            extend_tlv(out, kind, value);
        }
    }
    if crc32c {
        extend_tlv(out, TLV_CRC32C, &[0; 4]);
    }
    // At most u16::MAX: `room` sees to it.
    let length = (out.len() - body) as u16;
    patch(out, length_at, &length.to_be_bytes());
    if crc32c {
        let sum = crc32c::crc32c(out.get(start..).unwrap_or_default());
        let at = out.len() - 4;
        patch(out, at, &sum.to_be_bytes());
    }
}

/// Appends one TLV. Precondition: `value` has at most 65535 bytes; what is beyond is cut.
pub fn extend_tlv(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    out.push(kind);
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
}

fn extend_ports(out: &mut Vec<u8>, ports: [u16; 2]) {
    for port in ports {
        out.extend_from_slice(&port.to_be_bytes());
    }
}

fn patch(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(field) = out.get_mut(at..at + bytes.len()) {
        field.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::proxy_in::{self, Addresses, Header, MAX_V1, Status};
    use super::*;

    const VECTORS: &str = include_str!("../../../../test/vectors/proxy-build.txt");

    fn unhex(text: &str) -> Vec<u8> {
        let text = if text == "-" { "" } else { text };
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
            .collect()
    }

    fn endpoint(text: &str) -> Endpoint {
        match text {
            "unix" => Endpoint::Unix,
            _ => Endpoint::Inet(text.parse().expect("an address")),
        }
    }

    fn parse_whole(bytes: &[u8]) -> Header<'_> {
        match proxy_in::parse(bytes, proxy_in::MAX_V2) {
            Ok(Status::Complete(header)) => {
                assert_eq!(header.length, bytes.len());
                header
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn build_vectors_and_read_them_back() {
        let mut count = 0;
        for line in VECTORS
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let fields: Vec<_> = line.split(' ').collect();
            let [name, version, src, dst, tlvs, crc, expected] = fields[..] else {
                panic!("bad line {line}");
            };
            let (src, dst) = (endpoint(src), endpoint(dst));
            // Behind something else, as in a buffer that is in use.
            let mut out = b"before".to_vec();
            match version {
                "v1" => build_v1(&mut out, &src, &dst),
                "v2" => build_v2(&mut out, &src, &dst, &unhex(tlvs), crc == "crc"),
                _ => panic!("bad version {version}"),
            }
            assert_eq!(
                out.strip_prefix(b"before"),
                Some(&unhex(expected)[..]),
                "{name}"
            );

            let header = parse_whole(&out[6..]);
            let same_family = match (src, dst) {
                (Endpoint::Inet(src), Endpoint::Inet(dst)) => src.is_ipv4() == dst.is_ipv4(),
                _ => {
                    assert_eq!(header.addresses, None, "{name}");
                    false
                }
            };
            if same_family && !name.contains("mapped") {
                assert_eq!(header.addresses, Some(Addresses { src, dst }), "{name}");
            }
            count += 1;
        }
        assert!(count >= 20);
    }

    #[test]
    fn version_1_is_never_too_long() {
        let longest = endpoint("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
        let mut out = Vec::new();
        build_v1(&mut out, &longest, &longest);
        assert!(out.len() <= MAX_V1);
    }

    #[test]
    fn tlvs_that_do_not_fit_are_left_out() {
        let end = endpoint("192.0.2.1:1");
        let mut tlvs = Vec::new();
        extend_tlv(&mut tlvs, 5, b"id");
        extend_tlv(&mut tlvs, 0xe0, &vec![0xaa; 70_000]);
        extend_tlv(&mut tlvs, 2, b"example.org");
        let mut out = Vec::new();
        build_v2(&mut out, &end, &end, &tlvs, true);
        let kinds: Vec<_> = each_tlv(parse_whole(&out).tlvs)
            .map(|(kind, value)| (kind, value.len()))
            .collect();
        assert_eq!(kinds, [(5, 2), (2, 11), (TLV_CRC32C, 4)]);
    }
}
