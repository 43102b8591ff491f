//! The index of a head: where its fields are.

use crate::bad::{Bad, BadCode};
use crate::grammar::{is_token, not_value, trim};
use crate::name::{Name, number_of};
use crate::{Limits, MOST_FIELDS};

/// A piece of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset in the head.
    pub start: u16,
    /// Bytes.
    pub len: u16,
}

impl Span {
    pub(crate) fn new(start: usize, len: usize) -> Self {
        // A head is no longer than 65535 bytes: `Limits::head`, checked by `parse_*`.
        Self {
            start: start as u16,
            len: len as u16,
        }
    }

    /// The bytes in `head`. Panics where `head` is another than the one it was made for, and shorter.
    #[must_use]
    pub fn of(self, head: &[u8]) -> &[u8] {
        let start = usize::from(self.start);
        &head[start..start + usize::from(self.len)]
    }
}

/// A field of a head, 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    name: u16,
    name_len: u8,
    /// A [`Name`], and [`HOP`].
    id: u8,
    value: u16,
    value_len: u16,
}

/// The field is of this connection only: it goes no further, and no rule sees it (RFC 9110 7.6.1).
const HOP: u8 = 0x80;

impl Field {
    /// Its name as it was sent.
    #[must_use]
    pub fn name(self, head: &[u8]) -> &[u8] {
        let start = usize::from(self.name);
        &head[start..start + usize::from(self.name_len)]
    }

    /// Its value, without blanks at either end.
    #[must_use]
    pub fn value(self, head: &[u8]) -> &[u8] {
        Span {
            start: self.value,
            len: self.value_len,
        }
        .of(head)
    }

    /// Where the value is.
    #[must_use]
    pub fn value_span(self) -> Span {
        Span {
            start: self.value,
            len: self.value_len,
        }
    }

    /// Its well-known name; `OTHER` for the rest.
    #[must_use]
    pub fn id(self) -> Name {
        Name::from_id(self.id & !HOP)
    }

    /// It is of this connection only: it goes no further, and no rule sees it.
    #[must_use]
    pub fn is_hop(self) -> bool {
        self.id & HOP != 0
    }

    /// As policy is shown it: `sluice_wire::http::http_field`.
    pub(crate) fn words(self) -> [u32; 2] {
        let name = u32::from(self.name) | u32::from(self.name_len) << 16 | u32::from(self.id) << 24;
        [
            name,
            u32::from(self.value) | u32::from(self.value_len) << 16,
        ]
    }

    pub(crate) fn set_hop(&mut self) {
        self.id |= HOP;
    }

    /// Offset of its line.
    pub(crate) fn line(self) -> usize {
        usize::from(self.name)
    }

    /// Whether it has this name, whatever the case.
    pub(crate) fn is_named(self, head: &[u8], name: &[u8]) -> bool {
        self.name(head).eq_ignore_ascii_case(name)
    }
}

/// Enough for what browsers send: an array of all that may be takes longer to make than to fill.
const FEW_FIELDS: usize = 32;

/// Adds the fields from `base` on, to the empty line at the end of `head`. Preconditions: every
/// line ends in CR LF, and no other CR or LF is there.
pub(crate) fn parse_fields(
    head: &[u8],
    base: usize,
    fields: &mut Vec<Field>,
    limits: &Limits,
) -> Result<(), Bad> {
    let mut few = [httparse::EMPTY_HEADER; FEW_FIELDS];
    match httparse::parse_headers(&head[base..], &mut few) {
        Ok(httparse::Status::Complete((_, list))) => return take(head, list, fields, limits),
        Err(httparse::Error::TooManyHeaders) => {}
        Ok(httparse::Status::Partial) | Err(_) => return Err(bad_line(head, base)),
    }
    let mut many = [httparse::EMPTY_HEADER; MOST_FIELDS];
    match httparse::parse_headers(&head[base..], &mut many) {
        Ok(httparse::Status::Complete((_, list))) => take(head, list, fields, limits),
        Err(httparse::Error::TooManyHeaders) => Err(Bad::new(BadCode::Fields, base)),
        Ok(httparse::Status::Partial) | Err(_) => Err(bad_line(head, base)),
    }
}

fn take(
    head: &[u8],
    list: &[httparse::Header<'_>],
    fields: &mut Vec<Field>,
    limits: &Limits,
) -> Result<(), Bad> {
    let origin = head.as_ptr() as usize;
    if let Some(surplus) = list.get(limits.fields.min(MOST_FIELDS)) {
        let at = surplus.name.as_ptr() as usize - origin;
        return Err(Bad::new(BadCode::Fields, at));
    }
    for header in list {
        let name = header.name.as_bytes();
        let at = name.as_ptr() as usize - origin;
        // Empty names and their like would pass for the end of the list somewhere.
        if !is_token(name) {
            return Err(Bad::new(BadCode::FieldLine, at));
        }
        let Ok(name_len) = u8::try_from(name.len()) else {
            return Err(Bad::new(BadCode::FieldName, at));
        };
        // An empty value has no place of its own in httparse's answer.
        let value_at = if header.value.is_empty() {
            at + name.len() + 1
        } else {
            header.value.as_ptr() as usize - origin
        };
        if let Some(bad) = not_value(header.value) {
            return Err(Bad::new(BadCode::Byte, value_at + bad));
        }
        let (skipped, value) = trim(header.value);
        fields.push(Field {
            name: at as u16,
            name_len,
            id: number_of(name),
            value: (value_at + skipped) as u16,
            value_len: value.len() as u16,
        });
    }
    Ok(())
}

/// The first line that is no field line.
fn bad_line(head: &[u8], base: usize) -> Bad {
    let mut at = base;
    while at < head.len() {
        let rest = &head[at..];
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        let line = rest[..len].strip_suffix(b"\r\n").unwrap_or(&rest[..len]);
        let fits = memchr::memchr(b':', line).is_some_and(|colon| {
            is_token(&line[..colon]) && not_value(&line[colon + 1..]).is_none()
        });
        if !fits {
            break;
        }
        at += len;
    }
    Bad::new(BadCode::FieldLine, at)
}

/// The fields of a name.
pub(crate) fn all(fields: &[Field], name: Name) -> impl Iterator<Item = Field> + '_ {
    fields
        .iter()
        .copied()
        .filter(move |field| field.id() == name)
}
