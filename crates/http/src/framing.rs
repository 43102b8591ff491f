//! Where a message ends, and what becomes of its connection (RFC 9112 6 and 9).

use crate::Version;
use crate::bad::{Bad, BadCode};
use crate::field::{Field, all};
use crate::grammar::{decimal, elements, is_token};
use crate::name::{Name, name_of};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Everything until the FIN.
    UntilClose,
    /// Bytes of another protocol, in both directions.
    Tunnel,
}

/// The fields that frame a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    pub length: Option<u64>,
    pub chunked: bool,
}

/// Reads Content-Length and Transfer-Encoding. Strict: one spelling that everybody reads alike, or none.
pub(crate) fn framing(
    head: &[u8],
    fields: &[Field],
    version: Version,
    from_server: bool,
) -> Result<Framing, Bad> {
    let mut length = None;
    let mut chunked = false;
    let (mut length_at, mut coding_at) = (0, 0);
    for field in fields {
        match field.id() {
            Name::ContentLength => {
                let number = decimal(field.value(head));
                if length.is_some() || number.is_none() {
                    return Err(Bad::new(BadCode::ContentLength, field.line()));
                }
                length = number;
                length_at = field.line();
            }
            Name::TransferEncoding => {
                if chunked {
                    return Err(Bad::new(BadCode::TransferEncoding, field.line()));
                }
                coding(field.value(head)).map_err(|code| Bad::new(code, field.line()))?;
                chunked = true;
                coding_at = field.line();
            }
            _ => {}
        }
    }
    if chunked && version == Version::Http10 {
        if !from_server {
            return Err(Bad::new(BadCode::TransferEncoding, coding_at));
        }
        // RFC 9112 6.1: faulty, so that the connection is not used again; its length is not believed.
        length = None;
    }
    if chunked && length.is_some() {
        return Err(Bad::new(BadCode::TransferEncoding, length_at));
    }
    Ok(Framing { length, chunked })
}

/// Exactly `chunked` is ours.
fn coding(value: &[u8]) -> Result<(), BadCode> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut last: &[u8] = b"";
    let mut real = true;
    for element in value.split(|&byte| byte == b',') {
        let (_, element) = crate::grammar::trim(element);
        let known: [&[u8]; 6] = [
            b"gzip",
            b"x-gzip",
            b"deflate",
            b"compress",
            b"x-compress",
            b"br",
        ];
        real &= known.iter().any(|name| element.eq_ignore_ascii_case(name))
            || element.eq_ignore_ascii_case(b"chunked");
        last = element;
    }
    let mixed = real && last.eq_ignore_ascii_case(b"chunked");
    Err(if mixed {
        BadCode::Coding
    } else {
        BadCode::TransferEncoding
    })
}

/// What the Connection fields say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
}

/// Reads the Connection fields, and marks what goes no further: what they name, and what is always
/// of one connection (RFC 9110 7.6.1). Host and what frames a body is nobody's to remove.
pub(crate) fn hops(head: &[u8], fields: &mut [Field]) -> Wishes {
    let mut wishes = Wishes::default();
    for i in 0..fields.len() {
        let field = fields[i];
        if field.id() == Name::Connection {
            for element in elements(field.value(head)) {
                wish(head, fields, element, &mut wishes);
            }
        }
        if field.id().is_hop_by_hop() {
            fields[i].set_hop();
        }
    }
    wishes
}

fn wish(head: &[u8], fields: &mut [Field], element: &[u8], wishes: &mut Wishes) {
    if element.eq_ignore_ascii_case(b"close") {
        wishes.close = true;
    } else if element.eq_ignore_ascii_case(b"keep-alive") {
        wishes.keep_alive = true;
    } else if element.eq_ignore_ascii_case(b"upgrade") {
        wishes.upgrade = true;
    } else if is_token(element)
        && !matches!(
            name_of(element),
            Name::Host | Name::ContentLength | Name::TransferEncoding
        )
    {
        for field in fields
            .iter_mut()
            .filter(|field| field.is_named(head, element))
        {
            field.set_hop();
        }
    }
}

/// The protocols of the Upgrade fields that may go further: h2c never does.
pub(crate) fn protocols<'a>(head: &'a [u8], fields: &'a [Field]) -> impl Iterator<Item = &'a [u8]> {
    all(fields, Name::Upgrade)
        .flat_map(move |field| elements(field.value(head)))
        .filter(|protocol| {
            !protocol.eq_ignore_ascii_case(b"h2c") && !protocol.eq_ignore_ascii_case(b"h2")
        })
        .filter(|protocol| protocol.split(|&byte| byte == b'/').all(is_token))
}

/// Whether a field of this name lists `token`.
pub(crate) fn lists(head: &[u8], fields: &[Field], name: Name, token: &[u8]) -> bool {
    all(fields, name)
        .any(|field| elements(field.value(head)).any(|element| element.eq_ignore_ascii_case(token)))
}
