//! Heads of requests.

use crate::bad::{Bad, BadCode};
use crate::field::{Field, Span, all, parse_fields};
use crate::framing::{Body, framing, hops, lists, protocols};
use crate::grammar::{decimal, is_host, is_token, not_target};
use crate::name::Name;
use crate::{Limits, Version};

macro_rules! methods {
    ($( $name:ident $text:literal; )+) => {
        /// A method. `Other` is any other token.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Method {
            /// Not one of these.
            Other,
            $( #[doc = $text] $name, )+
        }

        impl Method {
            /// Each of them but `Other`.
            pub const ALL: &[Self] = &[$( Self::$name ),+];

            /// As it is sent; '' for `Other`.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { Self::Other => "", $( Self::$name => $text, )+ }
            }

            /// Methods are case-sensitive (RFC 9110 9.1).
            pub(crate) fn of(bytes: &[u8]) -> Self {
                $( if bytes == $text.as_bytes() { return Self::$name; } )+
                Self::Other
            }
        }
    };
}

methods! {
    Get "GET";
    Head "HEAD";
    Post "POST";
    Put "PUT";
    Delete "DELETE";
    Options "OPTIONS";
    Patch "PATCH";
    Connect "CONNECT";
    Trace "TRACE";
}

impl Method {
    /// A repetition does what one did (RFC 9110 9.2.2).
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace
        )
    }
}

/// The form of a target (RFC 9112 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, of CONNECT.
    Authority,
    /// `*`, of OPTIONS.
    Asterisk,
}

/// What a request's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Number of the method.
    pub method: Method,
    /// The method as it was sent.
    pub method_span: Span,
    /// Version of the client.
    pub version: Version,
    /// Form of the target.
    pub form: Form,
    /// The target as it was sent.
    pub target: Span,
    /// Without the query; empty where the target has none, which means '/'.
    pub path: Span,
    /// Behind the '?'; none where there is no '?'.
    pub query: Option<Span>,
    /// Host without its port, of the target or else of the Host field; an IPv6 address in its brackets.
    pub host: Span,
    /// Port of the host; 0 where none was named.
    pub port: u16,
    /// How its body is framed.
    pub body: Body,
    /// The connection may be used again behind it.
    pub keep_alive: bool,
    /// It asks for another protocol, and one that may go further.
    pub upgrade: bool,
    /// The client waits for 100 (Continue) before it sends the body.
    pub expects: bool,
    /// The client reads trailers.
    pub trailers: bool,
    /// Bytes of the head, the empty line included.
    pub len: u16,
}

/// Reads a request's head: `head` is what [`crate::Scan`] found complete, from `start` to `end`.
/// Fields are put into `fields`, which is emptied before.
pub fn parse_request(
    head: &[u8],
    fields: &mut Vec<Field>,
    limits: &Limits,
) -> Result<Request, Bad> {
    fields.clear();
    if head.len() > usize::from(u16::MAX) {
        return Err(Bad::new(BadCode::HeadLong, usize::from(u16::MAX)));
    }
    let Some(line_end) = memchr::memchr(b'\r', head) else {
        return Err(Bad::new(BadCode::StartLine, 0));
    };
    let line = &head[..line_end];
    let Some(space) = memchr::memchr(b' ', line) else {
        return Err(Bad::new(BadCode::StartLine, 0));
    };
    let method = &line[..space];
    if !is_token(method) {
        return Err(Bad::new(BadCode::StartLine, 0));
    }
    let target_at = space + 1;
    let Some(target_len) = memchr::memchr(b' ', &line[target_at..]) else {
        return Err(Bad::new(BadCode::StartLine, target_at));
    };
    let version_at = target_at + target_len + 1;
    let version = match &line[version_at..] {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        other => return Err(Bad::new(version_problem(other), version_at)),
    };
    let target = &line[target_at..target_at + target_len];
    if target.is_empty() {
        return Err(Bad::new(BadCode::Target, target_at));
    }
    if let Some(bad) = not_target(target) {
        return Err(Bad::new(BadCode::Target, target_at + bad));
    }
    parse_fields(head, line_end + 2, fields, limits)?;
    let kind = Method::of(method);
    let parts = split_target(head, target_at, target_len, kind)?;
    let framing = framing(head, fields, version, false)?;
    let wishes = hops(head, fields);
    let (host, port) = host_of(head, fields, version, &parts)?;
    let body = match framing {
        _ if kind == Method::Connect && (framing.chunked || framing.length.is_some()) => {
            return Err(Bad::new(BadCode::Unexpected, 0));
        }
        _ if framing.chunked => Body::Chunked,
        _ => framing.length.map_or(Body::None, Body::Length),
    };
    let newer = version == Version::Http11;
    Ok(Request {
        method: kind,
        method_span: Span::new(0, space),
        version,
        form: parts.form,
        target: Span::new(target_at, target_len),
        path: parts.path,
        query: parts.query,
        host,
        port,
        body,
        keep_alive: !wishes.close && (newer || wishes.keep_alive),
        upgrade: newer && wishes.upgrade && protocols(head, fields).next().is_some(),
        expects: newer && expects(head, fields)?,
        trailers: newer && lists(head, fields, Name::Te, b"trailers"),
        len: head.len() as u16,
    })
}

/// 'HTTP/2.0' is a version, 'HTTP/1.1x' and 'HTP/1.1' are none.
fn version_problem(text: &[u8]) -> BadCode {
    match text {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            BadCode::Version
        }
        _ => BadCode::StartLine,
    }
}

/// A target in parts.
struct Target {
    form: Form,
    path: Span,
    query: Option<Span>,
    /// Host and port, with the offset of the authority; none where the target has none.
    authority: Option<(Span, u16, usize)>,
}

fn split_target(head: &[u8], at: usize, len: usize, method: Method) -> Result<Target, Bad> {
    let target = &head[at..at + len];
    let bad = || Bad::new(BadCode::Target, at);
    if method == Method::Connect {
        let (host, port) = authority(head, at, len).ok_or_else(bad)?;
        if port == 0 {
            return Err(bad());
        }
        let none = Span::new(at + len, 0);
        return Ok(Target {
            form: Form::Authority,
            path: none,
            query: None,
            authority: Some((host, port, at)),
        });
    }
    if target == b"*" {
        if method != Method::Options {
            return Err(bad());
        }
        return Ok(Target {
            form: Form::Asterisk,
            path: Span::new(at, 1),
            query: None,
            authority: None,
        });
    }
    if target[0] == b'/' {
        let (path, query) = path_and_query(head, at, at + len);
        return Ok(Target {
            form: Form::Origin,
            path,
            query,
            authority: None,
        });
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| {
            target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme)
        })
        .ok_or_else(bad)?;
    let from = at + scheme.len();
    let rest = &head[from..at + len];
    let end = rest
        .iter()
        .position(|&byte| byte == b'/' || byte == b'?')
        .map_or(at + len, |found| from + found);
    let (host, port) = authority(head, from, end - from).ok_or_else(bad)?;
    if host.len == 0 {
        return Err(bad());
    }
    let (path, query) = path_and_query(head, end, at + len);
    Ok(Target {
        form: Form::Absolute,
        path,
        query,
        authority: Some((host, port, from)),
    })
}

fn path_and_query(head: &[u8], start: usize, end: usize) -> (Span, Option<Span>) {
    match memchr::memchr(b'?', &head[start..end]) {
        None => (Span::new(start, end - start), None),
        Some(mark) => {
            let query = start + mark + 1;
            (Span::new(start, mark), Some(Span::new(query, end - query)))
        }
    }
}

/// Host and port of `host`, `host:port`, `[address]:port`; without user and password.
fn authority(head: &[u8], at: usize, len: usize) -> Option<(Span, u16)> {
    let text = &head[at..at + len];
    let host_len = if text.first() == Some(&b'[') {
        let close = memchr::memchr(b']', text)?;
        let address = std::str::from_utf8(&text[1..close]).ok()?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        close + 1
    } else {
        let host = memchr::memchr(b':', text).unwrap_or(text.len());
        if !is_host(&text[..host]) {
            return None;
        }
        host
    };
    let port = match &text[host_len..] {
        // 'host:' is allowed, and says nothing (RFC 3986 3.2.3).
        [] | [b':'] => 0,
        [b':', digits @ ..] if digits.len() <= 5 => u16::try_from(decimal(digits)?)
            .ok()
            .filter(|&port| port > 0)?,
        _ => return None,
    };
    Some((Span::new(at, host_len), port))
}

/// Of the target where it has one, else of the Host field, which must say the same.
fn host_of(
    head: &[u8],
    fields: &[Field],
    version: Version,
    target: &Target,
) -> Result<(Span, u16), Bad> {
    let mut found = None;
    for field in all(fields, Name::Host) {
        let bad = || Bad::new(BadCode::Host, field.line());
        if found.is_some() {
            return Err(bad());
        }
        let span = field.value_span();
        let parsed =
            authority(head, usize::from(span.start), usize::from(span.len)).ok_or_else(bad)?;
        if parsed.0.len == 0 && parsed.1 != 0 {
            return Err(bad());
        }
        found = Some((parsed, field.line()));
    }
    let Some(((host, port), at)) = found else {
        if version == Version::Http11 {
            return Err(Bad::new(BadCode::Host, 0));
        }
        return Ok(target
            .authority
            .map_or((Span::new(0, 0), 0), |(host, port, _)| (host, port)));
    };
    let Some((named, named_port, scheme_end)) = target.authority else {
        return Ok((host, port));
    };
    let standard = standard_port(head, target.form, scheme_end);
    let port_of = |port: u16| if port == 0 { standard } else { port };
    let same =
        host.of(head).eq_ignore_ascii_case(named.of(head)) && port_of(port) == port_of(named_port);
    if same {
        Ok((named, named_port))
    } else {
        Err(Bad::new(BadCode::Host, at))
    }
}

/// That of the target's scheme. CONNECT has none: its port is always named.
fn standard_port(head: &[u8], form: Form, scheme_end: usize) -> u16 {
    match form {
        Form::Absolute if head[scheme_end - 4].eq_ignore_ascii_case(&b's') => 443,
        Form::Absolute => 80,
        _ => 0,
    }
}

fn expects(head: &[u8], fields: &[Field]) -> Result<bool, Bad> {
    let mut expects = false;
    for field in all(fields, Name::Expect) {
        if expects || !field.value(head).eq_ignore_ascii_case(b"100-continue") {
            return Err(Bad::new(BadCode::Expect, field.line()));
        }
        expects = true;
    }
    Ok(expects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_numbers_of_the_contract() {
        let rows = sluice_wire::http::http_method::GROUP.items;
        assert_eq!(rows.len(), Method::ALL.len());
        for (row, &method) in rows.iter().zip(Method::ALL) {
            assert_eq!(row.value, i32::from(method as u8));
            assert_eq!(row.name, method.text());
        }
    }
}
