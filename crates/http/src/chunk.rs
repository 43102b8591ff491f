//! Bodies in chunks (RFC 9112 7.1), checked byte by byte and forwarded as they are where that is safe.

use crate::bad::{Bad, BadCode};
use crate::grammar::{is_token, not_value, trim};

/// What the next bytes of a body in chunks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// More bytes are needed to tell.
    Need,
    /// The line of a chunk of `size` bytes, 0 for the last one. Where it is not `plain` (it has an
    /// extension, or zeros in front), what goes further is a line of our own.
    Size {
        /// Bytes of the line.
        len: usize,
        /// Bytes of the chunk.
        size: u64,
        /// Digits and CR LF alone.
        plain: bool,
    },
    /// Bytes of a chunk.
    Data {
        /// As many of the bytes at hand.
        len: usize,
    },
    /// The CR LF behind a chunk's data.
    DataEnd {
        /// Always 2.
        len: usize,
    },
    /// The trailer section with the empty line that ends the body: 2 bytes where it is empty.
    Trailers {
        /// Bytes of it.
        len: usize,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data,
    DataEnd,
    Trailers,
    Done,
}

/// A body in chunks, on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunks {
    state: State,
    /// Bytes of the chunk under way that are still to come.
    left: u64,
    /// What of the line or trailer section under way was looked at.
    looked: usize,
}

/// What a body in chunks may have at most beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of a chunk's size line, with its extension.
    pub line: usize,
    /// Bytes of the trailer section.
    pub trailers: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self {
            line: 256,
            trailers: 4_096,
        }
    }
}

impl Chunks {
    /// At the first byte of a body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything was taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of the chunk under way that are still to come: what may be spliced.
    #[must_use]
    pub fn left(&self) -> u64 {
        if self.state == State::Data {
            self.left
        } else {
            0
        }
    }

    /// So many bytes of the chunk under way went past us. Precondition: no more than `left`.
    pub fn skip(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
        if self.state == State::Data && self.left == 0 {
            self.state = State::DataEnd;
        }
    }

    /// What `bytes` begins with. They are taken, but for `Need`: the next call begins behind them.
    /// Where it says `Need`, the next call has the same bytes and more.
    pub fn next(&mut self, bytes: &[u8], limits: &ChunkLimits) -> Result<Piece, Bad> {
        match self.state {
            State::Size => self.size(bytes, limits),
            State::Data => {
                let len = usize::try_from(self.left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                if len == 0 {
                    return Ok(Piece::Need);
                }
                self.skip(len as u64);
                Ok(Piece::Data { len })
            }
            State::DataEnd => match bytes {
                [] | [b'\r'] => Ok(Piece::Need),
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(Piece::DataEnd { len: 2 })
                }
                [b'\r', ..] => Err(Bad::new(BadCode::Chunk, 1)),
                _ => Err(Bad::new(BadCode::Chunk, 0)),
            },
            State::Trailers => self.trailers(bytes, limits),
            State::Done => Ok(Piece::Need),
        }
    }

    fn size(&mut self, bytes: &[u8], limits: &ChunkLimits) -> Result<Piece, Bad> {
        // Digits first: who sends anything else hears it at once.
        let digits = bytes
            .iter()
            .position(|byte| !byte.is_ascii_hexdigit())
            .unwrap_or(bytes.len());
        let significant = &bytes[..digits];
        let zeros = significant
            .iter()
            .position(|&byte| byte != b'0')
            .unwrap_or(digits);
        if digits - zeros > 16 {
            return Err(Bad::new(BadCode::Chunk, 16));
        }
        if digits > limits.line {
            return Err(Bad::new(BadCode::ChunkLong, limits.line));
        }
        match bytes.get(digits) {
            None => return Ok(Piece::Need),
            Some(_) if digits == 0 => return Err(Bad::new(BadCode::Chunk, 0)),
            Some(b'\r' | b';') => {}
            Some(_) => return Err(Bad::new(BadCode::Chunk, digits)),
        }
        let Some(end) = line_end(bytes, digits.max(self.looked), BadCode::Chunk, limits.line)?
        else {
            self.looked = bytes.len().saturating_sub(1);
            return Ok(Piece::Need);
        };
        if let Some(bad) = not_value(&bytes[digits..end]) {
            return Err(Bad::new(BadCode::Chunk, digits + bad));
        }
        let size = bytes[zeros..digits]
            .iter()
            .fold(0_u64, |sum, &byte| sum << 4 | u64::from(hex(byte)));
        let plain = end == digits && (zeros == 0 || digits == 1);
        self.looked = 0;
        self.left = size;
        self.state = if size == 0 {
            State::Trailers
        } else {
            State::Data
        };
        Ok(Piece::Size {
            len: end + 2,
            size,
            plain,
        })
    }

    fn trailers(&mut self, bytes: &[u8], limits: &ChunkLimits) -> Result<Piece, Bad> {
        let mut at = self.looked;
        loop {
            let Some(end) = line_end(bytes, at, BadCode::Trailer, limits.trailers)? else {
                // Lines that were whole are not looked at again.
                self.looked = at;
                return Ok(Piece::Need);
            };
            if end == at {
                self.state = State::Done;
                return Ok(Piece::Trailers { len: end + 2 });
            }
            let line = &bytes[at..end];
            let colon = memchr::memchr(b':', line).unwrap_or(0);
            let fits = colon <= usize::from(u8::MAX)
                && is_token(&line[..colon])
                && not_value(trim(&line[colon + 1..]).1).is_none();
            if !fits {
                return Err(Bad::new(BadCode::Trailer, at));
            }
            at = end + 2;
        }
    }
}

/// Offset of the CR LF that ends the line in which `from` is; none where it did not come yet.
fn line_end(bytes: &[u8], from: usize, code: BadCode, most: usize) -> Result<Option<usize>, Bad> {
    let Some(found) = memchr::memchr3(b'\r', b'\n', 0, &bytes[from..]) else {
        if bytes.len() > most {
            return Err(Bad::new(BadCode::ChunkLong, most));
        }
        return Ok(None);
    };
    let end = from + found;
    // First: in pieces nobody would have come as far as to the byte that is wrong.
    if end > most {
        return Err(Bad::new(BadCode::ChunkLong, most));
    }
    if bytes[end] != b'\r' {
        return Err(Bad::new(code, end));
    }
    match bytes.get(end + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(end)),
        Some(_) => Err(Bad::new(code, end)),
    }
}

fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}
