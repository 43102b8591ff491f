//! HTTP/1.1 without I/O: what the bytes of a connection mean, and which bytes to send.
//!
//! ```text
//!  bytes ─ Scan ─ a whole head ─ parse_request / parse_response ─ facts and an index of fields
//!                                     │
//!  bytes of a body ─ Chunks or a count of bytes, by `Body`
//!
//!  head + index + Program of edits ─ Formatter ─ bytes to send
//! ```
//!
//! Everything is a pure function of its arguments, so that it can be fuzzed and split at every
//! byte. Nothing allocates but the vectors that the caller lends. What a sender got wrong is a
//! [`Bad`] with the offset of the byte; nothing is mended silently, because whoever reads the same
//! bytes behind a proxy that mends them reads something else (request smuggling).

mod bad;
mod chunk;
mod edit;
mod facts;
mod field;
mod format;
mod framing;
mod grammar;
mod name;
mod request;
mod response;
mod scan;

pub use bad::{Bad, BadCode};
pub use chunk::{ChunkLimits, Chunks, Piece};
pub use edit::{Edit, EditError, Place, Program};
pub use facts::{pack_request, pack_response};
pub use field::{Field, Span};
pub use format::{Context, FormatError, Formatter, Mode, Outgoing, Stamp};
pub use framing::Body;
pub use name::{Name, name_of};
pub use request::{Form, Method, Request, parse_request};
pub use response::{Asked, Response, parse_response};
pub use scan::{Scan, Scanned};

/// What a head may be at most. Each has a name of its own in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, the empty line included. At most 65535.
    pub head: usize,
    /// Bytes of the first line, without its end.
    pub line: usize,
    /// Fields of a head. At most [`MOST_FIELDS`].
    pub fields: usize,
}

/// More fields than this are in no index, whatever the limits say.
pub const MOST_FIELDS: usize = 256;

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16_384,
            line: 8_192,
            fields: 100,
        }
    }
}

/// Version of a message. What is neither is no message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}
