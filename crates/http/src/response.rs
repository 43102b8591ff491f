//! Heads of responses.

use crate::bad::{Bad, BadCode};
use crate::field::{Field, Span, parse_fields};
use crate::framing::{Body, framing, hops};
use crate::grammar::not_value;
use crate::name::Name;
use crate::{Limits, Version};

/// What was asked, as far as the framing of its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Any other request.
    Plain,
    /// HEAD: the answer has the fields of a body, and none.
    Head,
    /// CONNECT: a 2xx begins a tunnel.
    Connect,
    /// With an Upgrade that went to the server: 101 begins a tunnel.
    Upgrade,
}

/// What a response's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100 to 999; what comes behind an interim one (1xx) is another head.
    pub status: u16,
    /// Version of the server.
    pub version: Version,
    /// The words behind the status.
    pub reason: Span,
    /// How its body is framed.
    pub body: Body,
    /// Content-Length as it was sent: of HEAD and 304 it frames nothing, and still says something.
    pub length: Option<u64>,
    /// The connection may be used again behind it.
    pub keep_alive: bool,
    /// Bytes of the head, the empty line included.
    pub len: u16,
}

impl Response {
    /// Another head follows.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Reads a response's head, as [`crate::parse_request`] does a request's.
pub fn parse_response(
    head: &[u8],
    fields: &mut Vec<Field>,
    asked: Asked,
    limits: &Limits,
) -> Result<Response, Bad> {
    fields.clear();
    if head.len() > usize::from(u16::MAX) {
        return Err(Bad::new(BadCode::HeadLong, usize::from(u16::MAX)));
    }
    let Some(line_end) = memchr::memchr(b'\r', head) else {
        return Err(Bad::new(BadCode::StartLine, 0));
    };
    let line = &head[..line_end];
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::Http11,
        Some(b"HTTP/1.0 ") => Version::Http10,
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' '])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Bad::new(BadCode::Version, 0));
        }
        _ => return Err(Bad::new(BadCode::StartLine, 0)),
    };
    let status = match line.get(9..12) {
        Some([a @ b'1'..=b'9', b, c]) if b.is_ascii_digit() && c.is_ascii_digit() => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(Bad::new(BadCode::Status, 9)),
    };
    // The space behind the status is often missing where no reason follows.
    let reason_at = match line.get(12) {
        None => 12,
        Some(b' ') => 13,
        Some(_) => return Err(Bad::new(BadCode::Status, 12)),
    };
    if let Some(bad) = not_value(&line[reason_at..]) {
        return Err(Bad::new(BadCode::Byte, reason_at + bad));
    }
    parse_fields(head, line_end + 2, fields, limits)?;
    let wishes = hops(head, fields);
    let (body, length) = body(head, fields, version, status, asked)?;
    let reusable = !matches!(body, Body::UntilClose | Body::Tunnel);
    // RFC 9112 6.1: a 1.0 server that sends chunks is faulty.
    let faulty = version == Version::Http10 && body == Body::Chunked;
    let wanted = !wishes.close && (version == Version::Http11 || wishes.keep_alive);
    Ok(Response {
        status,
        version,
        reason: Span::new(reason_at, line_end - reason_at),
        body,
        length,
        keep_alive: reusable && wanted && !faulty,
        len: head.len() as u16,
    })
}

/// RFC 9112 6.3, in its order.
fn body(
    head: &[u8],
    fields: &[Field],
    version: Version,
    status: u16,
    asked: Asked,
) -> Result<(Body, Option<u64>), Bad> {
    if status == 101 {
        if asked == Asked::Upgrade
            && crate::framing::lists(head, fields, Name::Connection, b"upgrade")
        {
            return Ok((Body::Tunnel, None));
        }
        return Err(Bad::new(BadCode::Status, 9));
    }
    if asked == Asked::Connect && (200..300).contains(&status) {
        return Ok((Body::Tunnel, None));
    }
    if status < 200 || status == 204 {
        // Neither may have them; what is there is not forwarded, and frames nothing.
        return Ok((Body::None, None));
    }
    let framing = framing(head, fields, version, true)?;
    if asked == Asked::Head || status == 304 {
        return Ok((Body::None, framing.length));
    }
    if framing.chunked {
        return Ok((Body::Chunked, None));
    }
    Ok((
        framing.length.map_or(Body::UntilClose, Body::Length),
        framing.length,
    ))
}
