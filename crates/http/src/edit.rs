//! What policy wants changed of a head, as a program. It names fields by their index and by name,
//! never by offset: the bytes that it was written for and those that it is applied to are two
//! copies. What frames a body and what steers the connection cannot be named in it at all.

use sluice_wire::http::http_edit;

use crate::grammar::{is_token, not_target, not_value};
use crate::name::{Name, name_of};

/// A piece of a program's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Offset in the text.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The field at this index goes.
    Remove(u8),
    /// Every field of this name goes.
    RemoveAll(Place),
    /// The field at this index has this value.
    Replace(u8, Place),
    /// A field is added behind the others.
    Add(Place, Place),
    /// Requests: another method.
    Method(Place),
    /// Requests: another path, without a query.
    Path(Place),
    /// Requests: another query, without its '?'.
    Query(Place),
    /// Requests: no query.
    NoQuery,
    /// Requests: another Host.
    Host(Place),
    /// Responses: another status.
    Status(u16),
    /// Responses: other words behind it.
    Reason(Place),
}

/// Why a program is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// Framing and the connection are the engine's (cases C11).
    Reserved,
    /// No field name.
    Name,
    /// Bytes that no value has: CR, LF, NUL and other controls (C12).
    Value,
    /// No method, or CONNECT.
    Method,
    /// No path, or one with bytes that none has.
    Path,
    /// Bytes that no query has.
    Query,
    /// No host.
    Host,
    /// No final status that has a body of its own: 200 to 999 but 204 and 304.
    Status,
    /// An index that the index of fields does not have.
    Index,
    /// A place outside of the text.
    Place,
}

impl EditError {
    /// In words, for an error of the policy's.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Name => "name",
            Self::Value => "value",
            Self::Method => "method",
            Self::Path => "path",
            Self::Query => "query",
            Self::Host => "host",
            Self::Status => "status",
            Self::Index => "index",
            Self::Place => "place",
        }
    }
}

/// A program: its changes and the text that they speak of. Made by `check` alone, so that a
/// program that exists splits no message.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    edits: &'a [Edit],
    text: &'a [u8],
}

/// No change.
pub(crate) const NOTHING: Program<'static> = Program {
    edits: &[],
    text: &[],
};

impl<'a> Program<'a> {
    /// Whoever wrote it checked it as well; a mistake there must not become another message here.
    pub fn check(edits: &'a [Edit], text: &'a [u8]) -> Result<Self, EditError> {
        let program = Self { edits, text };
        for edit in edits {
            program.check_edit(*edit)?;
        }
        Ok(program)
    }

    /// A program as TypeScript writes it (`sluice_wire::http::http_edit`). `edits` is lent for what
    /// is read, and emptied before.
    pub fn decode(bytes: &'a [u8], edits: &'a mut Vec<Edit>) -> Result<Self, EditError> {
        edits.clear();
        let mut words = bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let count = words.next().ok_or(EditError::Place)? as usize;
        let text = bytes
            .get(4 + count.saturating_mul(12)..)
            .ok_or(EditError::Place)?;
        for _ in 0..count {
            let (Some(operation), Some(name), Some(value)) =
                (words.next(), words.next(), words.next())
            else {
                return Err(EditError::Place);
            };
            edits.push(edit(operation, place(name), place(value))?);
        }
        Self::check(edits, text)
    }

    fn check_edit(&self, edit: Edit) -> Result<(), EditError> {
        match edit {
            // Which field that is only the formatter knows.
            Edit::Remove(_) | Edit::NoQuery => Ok(()),
            Edit::RemoveAll(name) => self.check_name(name),
            Edit::Replace(_, value) | Edit::Reason(value) => self.check_value(value),
            Edit::Add(name, value) => {
                self.check_name(name)?;
                self.check_value(value)
            }
            Edit::Method(place) => {
                let method = self.bytes(place)?;
                let fits = is_token(method) && method != b"CONNECT";
                if fits { Ok(()) } else { Err(EditError::Method) }
            }
            Edit::Path(place) => {
                let path = self.bytes(place)?;
                let fits = path.first() == Some(&b'/')
                    && not_target(path).is_none()
                    && memchr::memchr(b'?', path).is_none();
                if fits { Ok(()) } else { Err(EditError::Path) }
            }
            Edit::Query(place) => {
                if not_target(self.bytes(place)?).is_none() {
                    Ok(())
                } else {
                    Err(EditError::Query)
                }
            }
            Edit::Host(place) => {
                let host = self.bytes(place)?;
                let fits = !host.is_empty() && host.iter().all(|&byte| byte > 0x20 && byte < 0x7f);
                if fits { Ok(()) } else { Err(EditError::Host) }
            }
            Edit::Status(status) => {
                let fits = (200..1000).contains(&status) && status != 204 && status != 304;
                if fits { Ok(()) } else { Err(EditError::Status) }
            }
        }
    }

    fn check_name(&self, place: Place) -> Result<(), EditError> {
        let name = self.bytes(place)?;
        if !is_token(name) || name.len() > usize::from(u8::MAX) {
            return Err(EditError::Name);
        }
        // Host has an edit of its own, so that there is one at most.
        let id = name_of(name);
        if id.is_reserved() || id == Name::Host {
            Err(EditError::Reserved)
        } else {
            Ok(())
        }
    }

    fn check_value(&self, place: Place) -> Result<(), EditError> {
        if not_value(self.bytes(place)?).is_none() {
            Ok(())
        } else {
            Err(EditError::Value)
        }
    }

    fn bytes(&self, place: Place) -> Result<&'a [u8], EditError> {
        let start = place.start as usize;
        self.text
            .get(start..start.saturating_add(place.len as usize))
            .ok_or(EditError::Place)
    }

    /// Precondition: `check` saw it.
    pub(crate) fn text(&self, place: Place) -> &'a [u8] {
        self.bytes(place).unwrap_or_default()
    }

    pub(crate) fn edits(&self) -> &'a [Edit] {
        self.edits
    }
}

fn place(word: u32) -> Place {
    Place {
        start: word & 0xffff,
        len: word >> 16,
    }
}

fn edit(operation: u32, name: Place, value: Place) -> Result<Edit, EditError> {
    let argument = operation >> 8;
    let index = || u8::try_from(argument).map_err(|_| EditError::Index);
    Ok(match (operation & 0xff) as i32 {
        http_edit::REMOVE => Edit::Remove(index()?),
        http_edit::REPLACE => Edit::Replace(index()?, value),
        http_edit::REMOVE_ALL => Edit::RemoveAll(name),
        http_edit::ADD => Edit::Add(name, value),
        http_edit::METHOD => Edit::Method(value),
        http_edit::PATH => Edit::Path(value),
        http_edit::QUERY => Edit::Query(value),
        http_edit::NO_QUERY => Edit::NoQuery,
        http_edit::HOST => Edit::Host(value),
        http_edit::STATUS => Edit::Status(u16::try_from(argument).map_err(|_| EditError::Status)?),
        http_edit::REASON => Edit::Reason(value),
        _ => return Err(EditError::Place),
    })
}
