//! Reads PROXY protocol headers, version 1 (text) and 2 (binary), as HAProxy's
//! `proxy-protocol.txt` defines them.
//!
//! Sans-I/O in the manner of httparse: [`parse`] looks at everything buffered
//! so far and keeps no state. Too few bytes are [`Status::Partial`], never an
//! error, and bytes that cannot become a header are an error as early as that
//! is certain. Nothing is copied or allocated.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use sluice_wire::errors::code;

/// Longest version 1 header, CRLF included.
pub const MAX_V1: usize = 107;

/// Most bytes of addresses and TLVs that a version 2 header can have. Its sender
/// may add a client's certificate, so that a few kilobytes are ordinary.
pub const MAX_V2: usize = u16::MAX as usize;

/// Bytes of a version 2 header before its addresses.
pub const FIXED_V2: usize = 16;

/// What a version 2 header starts with.
pub const SIGNATURE_V2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Type of the TLV that holds the CRC32C of the whole header.
pub const TLV_CRC32C: u8 = 0x03;

const SIGNATURE_V1: &[u8] = b"PROXY ";
const INET: usize = 12;
const INET6: usize = 36;
const UNIX: usize = 216;

/// Family and transport, as byte 13 has them.
const STREAM_INET: u8 = 0x11;
const DGRAM_INET: u8 = 0x12;
const STREAM_INET6: u8 = 0x21;
const DGRAM_INET6: u8 = 0x22;
const STREAM_UNIX: u8 = 0x31;
const DGRAM_UNIX: u8 = 0x32;

/// Whether the header is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status<T> {
    /// All of it is there.
    Complete(T),
    /// So far it is well-formed; call again with more bytes.
    Partial,
}

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Bytes of the whole header; payload begins here.
    pub length: usize,
    /// None for LOCAL, UNKNOWN and UNSPEC: keep the socket's addresses.
    pub addresses: Option<Addresses>,
    /// The well-formed TLVs of a version 2 header, for [`tlvs`]. Empty for version 1.
    pub tlvs: &'a [u8],
}

/// The ends of the connection that the sender forwards. Where both are
/// IPv4-mapped IPv6, they are given as the IPv4 addresses they stand for, so
/// that lists of IPv4 networks match; internet addresses are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub src: Endpoint,
    /// What the client connected to.
    pub dst: Endpoint,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address and a port.
    Inet(SocketAddr),
    /// A unix socket. Its path is ignored.
    Unix,
}

/// Why the bytes are no header that can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// They start with neither signature.
    Signature,
    /// A signature and then something that the protocol does not allow.
    Malformed,
    /// Version 1: no CRLF within [`MAX_V1`] bytes. Version 2: longer than its limit.
    TooLong,
    /// The CRC32C that the header carries does not match.
    Checksum,
}

impl Error {
    /// The close reason's code.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Signature => code::PROXY_SIGNATURE,
            Self::Malformed => code::PROXY_MALFORMED,
            Self::TooLong => code::PROXY_TOO_LONG,
            Self::Checksum => code::PROXY_CHECKSUM,
        }
    }
}

/// Reads the header that `bytes` start with. Bytes behind it are not looked at.
/// `limit`: most bytes of addresses and TLVs in a version 2 header, [`MAX_V2`]
/// for as many as there can be.
///
/// Of other transports than streams (DGRAM) the addresses are not of connections
/// and are left out, as of UNSPEC.
///
/// # Errors
///
/// See [`Error`]. An error is final: more bytes cannot make it good.
pub fn parse(bytes: &[u8], limit: usize) -> Result<Status<Header<'_>>, Error> {
    match bytes.first() {
        None => Ok(Status::Partial),
        Some(b'P') => parse_v1(bytes),
        Some(b'\r') => parse_v2(bytes, limit),
        Some(_) => Err(Error::Signature),
    }
}

/// The TLVs of an encoded area, as type and value. Ends before the first one
/// that is cut short; in [`Header::tlvs`] there is none.
pub fn tlvs(area: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = area;
    std::iter::from_fn(move || {
        let (kind, value, behind) = split_tlv(rest)?;
        rest = behind;
        Some((kind, value))
    })
}

fn split_tlv(area: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, low], rest) = area.split_first_chunk()?;
    let (value, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    Some((kind, value, behind))
}

/// Err where `bytes` cannot become `signature`, else whether they already start with it.
fn check_signature(bytes: &[u8], signature: &[u8]) -> Result<bool, Error> {
    if bytes.starts_with(signature) {
        Ok(true)
    } else if signature.starts_with(bytes) {
        Ok(false)
    } else {
        Err(Error::Signature)
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Status<Header<'_>>, Error> {
    if !check_signature(bytes, SIGNATURE_V1)? {
        return Ok(Status::Partial);
    }
    let window = bytes.get(..MAX_V1).unwrap_or(bytes);
    let Some(end) = window
        .iter()
        .position(|&byte| byte == b'\r' || byte == b'\n')
    else {
        return if window.len() == MAX_V1 {
            Err(Error::TooLong)
        } else {
            Ok(Status::Partial)
        };
    };
    match window.get(end..) {
        Some([b'\r', b'\n', ..]) => {}
        Some([b'\r']) if window.len() < MAX_V1 => return Ok(Status::Partial),
        Some([b'\r']) => return Err(Error::TooLong),
        _ => return Err(Error::Malformed),
    }
    let line = window
        .get(SIGNATURE_V1.len()..end)
        .ok_or(Error::Malformed)?;
    let addresses = parse_line(line)?;
    Ok(Status::Complete(Header {
        length: end + 2,
        addresses,
        tlvs: &[],
    }))
}

/// What stands between `PROXY ` and CRLF.
fn parse_line(line: &[u8]) -> Result<Option<Addresses>, Error> {
    let mut fields = line.split(|&byte| byte == b' ');
    let inet = match fields.next() {
        // What follows UNKNOWN is to be ignored (section 2.1).
        Some(b"UNKNOWN") => return Ok(None),
        Some(b"TCP4") => address::<Ipv4Addr>,
        Some(b"TCP6") => address::<Ipv6Addr>,
        _ => return Err(Error::Malformed),
    };
    let mut field = || fields.next().ok_or(Error::Malformed);
    let (src, dst) = (inet(field()?)?, inet(field()?)?);
    let (src_port, dst_port) = (port(field()?)?, port(field()?)?);
    if fields.next().is_some() {
        return Err(Error::Malformed);
    }
    Ok(Some(addresses(src, dst, [src_port, dst_port])))
}

/// The standard library's parsers are as strict as the protocol: no leading
/// zeros in IPv4, no zone in IPv6.
fn address<T: FromStr + Into<IpAddr>>(field: &[u8]) -> Result<IpAddr, Error> {
    let text = str::from_utf8(field).map_err(|_| Error::Malformed)?;
    text.parse::<T>()
        .map(Into::into)
        .map_err(|_| Error::Malformed)
}

fn port(field: &[u8]) -> Result<u16, Error> {
    // Digits only and no leading zero: `parse` alone would accept a sign.
    if !field.iter().all(u8::is_ascii_digit) || (field.len() > 1 && field.first() == Some(&b'0')) {
        return Err(Error::Malformed);
    }
    let text = str::from_utf8(field).map_err(|_| Error::Malformed)?;
    text.parse().map_err(|_| Error::Malformed)
}

fn parse_v2(bytes: &[u8], limit: usize) -> Result<Status<Header<'_>>, Error> {
    if !check_signature(bytes, &SIGNATURE_V2)? {
        return Ok(Status::Partial);
    }
    let Some(&ver_cmd) = bytes.get(12) else {
        return Ok(Status::Partial);
    };
    let local = match ver_cmd {
        0x20 => true,
        0x21 => false,
        _ => return Err(Error::Malformed),
    };
    let Some(&family) = bytes.get(13) else {
        return Ok(Status::Partial);
    };
    let block = match family {
        0x00 => 0,
        STREAM_INET | DGRAM_INET => INET,
        STREAM_INET6 | DGRAM_INET6 => INET6,
        STREAM_UNIX | DGRAM_UNIX => UNIX,
        // The family of LOCAL is ignored, whatever it is (section 2.2).
        _ if local => 0,
        _ => return Err(Error::Malformed),
    };
    let Some((fixed, behind)) = bytes.split_first_chunk::<FIXED_V2>() else {
        return Ok(Status::Partial);
    };
    let &[.., high, low] = fixed;
    let length = FIXED_V2 + usize::from(u16::from_be_bytes([high, low]));
    if length - FIXED_V2 > limit {
        return Err(Error::TooLong);
    }
    if !local && length < FIXED_V2 + block {
        return Err(Error::Malformed);
    }
    let Some(body) = behind.get(..length - FIXED_V2) else {
        return Ok(Status::Partial);
    };

    if local || family == 0x00 {
        return parse_unspecified(fixed, body, block).map(Status::Complete);
    }
    let (block, tlvs) = body.split_at_checked(block).ok_or(Error::Malformed)?;
    check_tlvs(fixed, body, tlvs)?;
    let addresses = match family {
        STREAM_INET => Some(inet(block)?),
        STREAM_INET6 => Some(inet6(block)?),
        STREAM_UNIX => Some(Addresses {
            src: Endpoint::Unix,
            dst: Endpoint::Unix,
        }),
        _ => None,
    };
    Ok(Status::Complete(Header {
        length,
        addresses,
        tlvs,
    }))
}

/// LOCAL, the sender's own connection and a health check as a rule, or UNSPEC.
/// The protocol says to discard what it carries, so an area that is no TLVs is
/// no error; TLVs are kept, and a CRC32C among them still counts.
fn parse_unspecified<'a>(
    fixed: &[u8; FIXED_V2],
    body: &'a [u8],
    block: usize,
) -> Result<Header<'a>, Error> {
    let area = body.get(block..).unwrap_or_default();
    let tlvs = match check_tlvs(fixed, body, area) {
        Ok(()) => area,
        Err(Error::Checksum) => return Err(Error::Checksum),
        Err(_) => &[],
    };
    Ok(Header {
        length: FIXED_V2 + body.len(),
        addresses: None,
        tlvs,
    })
}

/// Checks that `area`, the end of `body`, is whole TLVs, and the CRC32C where there is one.
fn check_tlvs(fixed: &[u8; FIXED_V2], body: &[u8], area: &[u8]) -> Result<(), Error> {
    let mut rest = area;
    let mut crc: Option<([u8; 4], usize)> = None;
    while !rest.is_empty() {
        let (kind, value, behind) = split_tlv(rest).ok_or(Error::Malformed)?;
        if kind == TLV_CRC32C {
            let value = <[u8; 4]>::try_from(value).map_err(|_| Error::Malformed)?;
            // Which of two would be zeroed for the other is not defined.
            if crc.replace((value, behind.len())).is_some() {
                return Err(Error::Malformed);
            }
        }
        rest = behind;
    }
    let Some((value, behind)) = crc else {
        return Ok(());
    };
    // The sum is over the whole header with its own four bytes as zeros.
    let field = body.len() - behind - value.len();
    let (before, field_on) = body.split_at_checked(field).ok_or(Error::Malformed)?;
    let after = field_on.get(value.len()..).ok_or(Error::Malformed)?;
    let sum = crc32c::crc32c(fixed);
    let sum = crc32c::crc32c_append(sum, before);
    let sum = crc32c::crc32c_append(sum, &[0; 4]);
    let sum = crc32c::crc32c_append(sum, after);
    if sum == u32::from_be_bytes(value) {
        Ok(())
    } else {
        Err(Error::Checksum)
    }
}

fn inet(block: &[u8]) -> Result<Addresses, Error> {
    let (src, rest) = block.split_first_chunk::<4>().ok_or(Error::Malformed)?;
    let (dst, rest) = rest.split_first_chunk::<4>().ok_or(Error::Malformed)?;
    Ok(addresses(
        Ipv4Addr::from(*src).into(),
        Ipv4Addr::from(*dst).into(),
        ports(rest)?,
    ))
}

fn inet6(block: &[u8]) -> Result<Addresses, Error> {
    let (src, rest) = block.split_first_chunk::<16>().ok_or(Error::Malformed)?;
    let (dst, rest) = rest.split_first_chunk::<16>().ok_or(Error::Malformed)?;
    Ok(addresses(
        Ipv6Addr::from(*src).into(),
        Ipv6Addr::from(*dst).into(),
        ports(rest)?,
    ))
}

fn ports(bytes: &[u8]) -> Result<[u16; 2], Error> {
    let &[a, b, c, d] = bytes.first_chunk().ok_or(Error::Malformed)?;
    Ok([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

fn addresses(src: IpAddr, dst: IpAddr, [from, to]: [u16; 2]) -> Addresses {
    let (src, dst) = match (src.to_canonical(), dst.to_canonical()) {
        (src @ IpAddr::V4(_), dst @ IpAddr::V4(_)) => (src, dst),
        _ => (src, dst),
    };
    Addresses {
        src: Endpoint::Inet(SocketAddr::new(src, from)),
        dst: Endpoint::Inet(SocketAddr::new(dst, to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the vectors are for; the default of the configuration.
    const LIMIT: usize = 16_384;

    const VECTORS: &str = include_str!("../../../../test/vectors/proxy.txt");

    struct Vector {
        name: &'static str,
        bytes: Vec<u8>,
        expected: Expected,
    }

    enum Expected {
        Complete {
            length: usize,
            addresses: Option<Addresses>,
            tlvs: Vec<u8>,
        },
        Partial,
        Error(Error),
    }

    fn unhex(text: &str) -> Vec<u8> {
        let text = if text == "-" { "" } else { text };
        assert_eq!(text.len() % 2, 0, "odd hex");
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
            .collect()
    }

    fn endpoint(text: &str) -> Option<Endpoint> {
        match text {
            "-" => None,
            "unix" => Some(Endpoint::Unix),
            _ => Some(Endpoint::Inet(text.parse().expect("an address"))),
        }
    }

    fn vectors() -> Vec<Vector> {
        let lines = VECTORS
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let vectors: Vec<_> = lines
            .map(|line| {
                let fields: Vec<&'static str> = line.split(' ').collect();
                let expected = match fields[2..] {
                    ["complete", length, src, dst, tlvs] => Expected::Complete {
                        length: length.parse().expect("a length"),
                        addresses: endpoint(src)
                            .zip(endpoint(dst))
                            .map(|(src, dst)| Addresses { src, dst }),
                        tlvs: unhex(tlvs),
                    },
                    ["partial"] => Expected::Partial,
                    ["error", error] => Expected::Error(match error {
                        "signature" => Error::Signature,
                        "malformed" => Error::Malformed,
                        "too-long" => Error::TooLong,
                        "checksum" => Error::Checksum,
                        _ => panic!("unknown error {error}"),
                    }),
                    _ => panic!("bad line {line}"),
                };
                Vector {
                    name: fields[0],
                    bytes: unhex(fields[1]),
                    expected,
                }
            })
            .collect();
        assert!(vectors.len() > 100);
        vectors
    }

    #[test]
    fn accept_vectors_whole_and_reject_no_truncation() {
        for vector in vectors() {
            let Expected::Complete {
                length,
                addresses,
                tlvs,
            } = &vector.expected
            else {
                continue;
            };
            let header = Header {
                length: *length,
                addresses: *addresses,
                tlvs,
            };
            assert_eq!(
                parse(&vector.bytes, LIMIT),
                Ok(Status::Complete(header)),
                "{}",
                vector.name
            );
            for end in 0..vector.bytes.len() {
                let expected = if end < *length {
                    Status::Partial
                } else {
                    Status::Complete(header)
                };
                let got = parse(&vector.bytes[..end], LIMIT);
                assert_eq!(got, Ok(expected), "{} cut at {end}", vector.name);
            }
        }
    }

    #[test]
    fn accept_partial_vectors_as_partial() {
        for vector in vectors() {
            let Expected::Partial = vector.expected else {
                continue;
            };
            for end in 0..=vector.bytes.len() {
                assert_eq!(
                    parse(&vector.bytes[..end], LIMIT),
                    Ok(Status::Partial),
                    "{}",
                    vector.name
                );
            }
        }
    }

    #[test]
    fn reject_vectors_whole_and_for_good() {
        for vector in vectors() {
            let Expected::Error(error) = vector.expected else {
                continue;
            };
            assert_eq!(parse(&vector.bytes, LIMIT), Err(error), "{}", vector.name);
            // Once rejected, more bytes change nothing, and before it is partial.
            let mut rejected = false;
            for end in 0..=vector.bytes.len() {
                match parse(&vector.bytes[..end], LIMIT) {
                    Ok(Status::Partial) => assert!(!rejected, "{} cut at {end}", vector.name),
                    got => {
                        assert_eq!(got, Err(error), "{} cut at {end}", vector.name);
                        rejected = true;
                    }
                }
            }
        }
    }

    #[test]
    fn reject_every_wrong_first_byte_at_once() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                b'P' | b'\r' => Ok(Status::Partial),
                _ => Err(Error::Signature),
            };
            assert_eq!(parse(&[byte], LIMIT), expected);
        }
    }

    #[test]
    fn reject_every_changed_bit_of_a_signed_header() {
        for vector in vectors()
            .iter()
            .filter(|vector| vector.name.starts_with("v2-crc-"))
        {
            let Expected::Complete { length, .. } = vector.expected else {
                continue;
            };
            for bit in 0..length * 8 {
                let mut bytes = vector.bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                // A changed type hides the CRC32C TLV, the family of LOCAL does
                // not count for TLVs that no longer line up, and a longer
                // length waits: all else must fail.
                match parse(&bytes, LIMIT) {
                    Ok(Status::Complete(header)) => {
                        let signed = tlvs(header.tlvs).any(|(kind, _)| kind == TLV_CRC32C);
                        assert!(!signed, "{} bit {bit}", vector.name);
                    }
                    Ok(Status::Partial) => assert!((14..16).contains(&(bit / 8))),
                    Err(_) => {}
                }
            }
        }
    }

    #[test]
    fn accept_tlvs_one_by_one() {
        let area = [5, 0, 2, b'i', b'd', 4, 0, 0, 2, 0, 1, b'x'];
        let all: Vec<_> = tlvs(&area).collect();
        assert_eq!(all, [(5, &b"id"[..]), (4, &b""[..]), (2, &b"x"[..])]);
    }

    #[test]
    fn reject_tlv_that_is_cut_short() {
        let area = [5, 0, 2, b'i', b'd', 2, 0, 9, b'x'];
        let all: Vec<_> = tlvs(&area).collect();
        assert_eq!(all, [(5, &b"id"[..])]);
    }

    #[test]
    fn every_error_has_its_code() {
        let errors = [
            Error::Signature,
            Error::Malformed,
            Error::TooLong,
            Error::Checksum,
        ];
        let codes = [
            code::PROXY_SIGNATURE,
            code::PROXY_MALFORMED,
            code::PROXY_TOO_LONG,
            code::PROXY_CHECKSUM,
        ];
        assert_eq!(errors.map(Error::code), codes);
    }
}
