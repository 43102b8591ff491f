//! The end of a head, in bytes that come in pieces.

use memchr::memchr3;

use crate::Limits;
use crate::bad::{Bad, BadCode};
use crate::grammar::is_token_byte;

/// How far a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// Well-formed so far, as far as lines go.
    Partial,
    /// The head begins at `start` (behind an empty line, RFC 9112 2.2) and ends before `end`.
    Complete {
        /// First byte of the first line.
        start: usize,
        /// Behind the empty line that ends it.
        end: usize,
    },
}

/// Looks for the end of a head, each byte once, and refuses at the first byte that is wrong: who
/// sends half a line must not wait for a time-out to hear it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// What was looked at.
    at: usize,
    /// Where the line under way begins.
    line: usize,
    /// Where the head begins.
    start: usize,
    /// Lines that have ended.
    lines: usize,
}

impl Scan {
    /// At the first byte of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing of a head came yet, but for an empty line before it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.at == self.start
    }

    /// `bytes`: everything since the message began; more than in the call before.
    pub fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<Scanned, Bad> {
        loop {
            if self.lines == 0
                && self.at == self.line
                && let Some(&first) = bytes.get(self.at)
            {
                self.first_byte(first)?;
            }
            let Some(found) = memchr3(b'\r', b'\n', 0, &bytes[self.at..]) else {
                self.at = bytes.len();
                self.bound(self.at, limits)?;
                return Ok(Scanned::Partial);
            };
            let at = self.at + found;
            self.bound(at, limits)?;
            match bytes[at] {
                b'\n' => return Err(Bad::new(BadCode::LineEnd, at)),
                0 => return Err(Bad::new(BadCode::Byte, at)),
                _ => {}
            }
            match bytes.get(at + 1) {
                None => {
                    self.at = at;
                    return Ok(Scanned::Partial);
                }
                Some(b'\n') => {}
                Some(_) => return Err(Bad::new(BadCode::LineEnd, at)),
            }
            let empty = at == self.line;
            self.at = at + 2;
            self.line = self.at;
            if !empty {
                self.lines += 1;
                // The first line is none of the fields, and the empty one behind them is no line.
                if self.lines > limits.fields + 1 {
                    return Err(Bad::new(BadCode::Fields, at));
                }
            } else if self.lines > 0 {
                if self.at - self.start > limits.head {
                    return Err(Bad::new(BadCode::HeadLong, at));
                }
                return Ok(Scanned::Complete {
                    start: self.start,
                    end: self.at,
                });
            } else {
                self.start = self.at;
            }
        }
    }

    /// A token begins each head, and an empty line may come before it.
    fn first_byte(&self, first: u8) -> Result<(), Bad> {
        match first {
            b'\r' if self.start == 0 => Ok(()),
            b'\r' | b'\n' => Err(Bad::new(BadCode::LineEnd, self.at)),
            0 => Err(Bad::new(BadCode::Byte, self.at)),
            _ if is_token_byte(first) => Ok(()),
            _ => Err(Bad::new(BadCode::StartLine, self.at)),
        }
    }

    /// Neither the first line nor the head is too long, with everything before `at`.
    fn bound(&self, at: usize, limits: &Limits) -> Result<(), Bad> {
        if self.lines == 0 && at - self.line > limits.line {
            return Err(Bad::new(BadCode::TargetLong, self.line + limits.line));
        }
        if at - self.start > limits.head {
            return Err(Bad::new(BadCode::HeadLong, self.start + limits.head));
        }
        Ok(())
    }
}
