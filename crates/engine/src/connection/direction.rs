//! The two directions of a connection: what the peer sends, and what it is sent.

use crate::stream::buffer::Buffer;
use crate::stream::forward::Mover;
use crate::stream::pipe::Pipe;

/// How the peer's payload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// More may come, but no end is the peer's own any more: its reset was seen
    /// by a write, and the next read finds what looks like a FIN.
    Doomed,
    /// The peer said that this was all.
    Clean,
    /// It ended in the middle: a reset, or TLS without close_notify.
    Broken,
}

/// What the peer sends: how it stands, and what of it is not passed on yet.
#[derive(Debug)]
pub struct Input {
    end: End,
    /// Reads are large: splice.
    bulk: bool,
    /// Its TLS records carry next to nothing.
    crumbs: bool,
    /// Why it was cut, until somebody has asked: code, and errno or alert. Both are small,
    /// and no code is 0.
    failure: (u16, u16),
    /// Received and not passed on yet.
    pub buffer: Option<Buffer>,
    /// The same, in a pipe. Never together with `buffer`.
    pub pipe: Option<Pipe>,
}

impl Input {
    /// Of a new connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            end: End::Open,
            bulk: false,
            crumbs: false,
            failure: (0, 0),
            buffer: None,
            pipe: None,
        }
    }

    /// The peer's end was read: its FIN, with TLS its close_notify.
    pub fn finish(&mut self) {
        self.end = match self.end {
            End::Open | End::Clean => End::Clean,
            End::Doomed | End::Broken => End::Broken,
        };
    }

    /// It ended without a word that this was all. An end that was clean stays so.
    pub fn cut(&mut self) {
        if self.end != End::Clean {
            self.end = End::Broken;
        }
    }

    /// It was cut by a failure: its code, and an errno or the number of an alert.
    pub fn fail(&mut self, code: i32, errno: i32) {
        self.cut();
        self.failure = (code as u16, errno as u16);
    }

    /// The failure that has cut it, told once: code, and errno or alert.
    pub fn take_failure(&mut self) -> Option<(i32, i32)> {
        let (code, errno) = std::mem::take(&mut self.failure);
        (code != 0).then_some((code.into(), errno.into()))
    }

    /// The connection is broken, but bytes may still be there: whatever end
    /// comes is a cut.
    pub fn doom(&mut self) {
        if self.end == End::Open {
            self.end = End::Doomed;
        }
    }

    /// Nothing more will come.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.end, End::Clean | End::Broken)
    }

    /// Nothing more will come, and everything came.
    #[must_use]
    pub fn ended_clean(&self) -> bool {
        self.end == End::Clean
    }

    /// Nothing more will come, although the peer had not said that this was all.
    #[must_use]
    pub fn ended_broken(&self) -> bool {
        self.end == End::Broken
    }

    /// Bytes wait to be passed on.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.buffer.is_some() || self.pipe.is_some()
    }

    /// Number of bytes in the buffer.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.as_ref().map_or(0, Buffer::len)
    }

    /// The bytes in the buffer.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], Buffer::bytes)
    }

    /// Splice is worth it.
    #[must_use]
    pub fn is_bulk(&self) -> bool {
        self.bulk
    }

    /// Says whether splice is worth it.
    pub fn set_bulk(&mut self, bulk: bool) {
        self.bulk = bulk;
    }

    /// Its TLS records carry next to nothing, so that reading them costs much more
    /// than their length says.
    #[must_use]
    pub fn has_crumbs(&self) -> bool {
        self.crumbs
    }

    /// A read of `length` bytes of records brought `payload`.
    pub fn note_records(&mut self, length: usize, payload: usize) {
        // A few bytes in a record of their own are an ordinary message.
        if length > 1024 {
            self.crumbs = payload < length / 2;
        }
    }

    /// Gives everything back that is not passed on.
    pub fn release(&mut self, mover: &mut Mover) {
        mover.buffers.give_back(&mut self.buffer);
        mover.pipes.give_back(&mut self.pipe);
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::new()
    }
}

/// What the peer is sent: whether anything can still be, and with which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output(u8);

const OPEN: u8 = 1;
const BROKEN: u8 = 1 << 1;
const VOUCHES: u8 = 1 << 2;

impl Output {
    /// Of a new connection.
    #[must_use]
    pub const fn new() -> Self {
        Self(OPEN | VOUCHES)
    }

    /// Something can be written.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    /// Nothing more is written.
    pub fn shut(&mut self) {
        self.0 &= !OPEN;
    }

    /// Nothing more can be written, and what was may be lost.
    pub fn fail(&mut self) {
        self.0 &= !OPEN;
        self.0 |= BROKEN;
    }

    /// It failed: what was written may be lost.
    #[must_use]
    pub fn is_broken(self) -> bool {
        self.0 & BROKEN != 0
    }

    /// What is passed on was cut: its end must not look complete.
    pub fn disown(&mut self) {
        self.0 &= !VOUCHES;
    }

    /// The end that is passed on says that this was all.
    #[must_use]
    pub fn vouches(self) -> bool {
        self.0 & VOUCHES != 0
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_carry_next_to_nothing_are_told_from_small_messages() {
        let mut input = Input::new();
        input.note_records(27, 5);
        assert!(!input.has_crumbs(), "an ordinary message");
        input.note_records(64 * 1024, 3_000);
        assert!(input.has_crumbs());
        // A small message in between changes nothing.
        input.note_records(27, 5);
        assert!(input.has_crumbs());
        input.note_records(64 * 1024, 63 * 1024);
        assert!(!input.has_crumbs());
    }

    #[test]
    fn an_end_is_clean_only_where_nothing_was_broken_before_it() {
        let mut input = Input::new();
        assert!(!input.ended());
        input.finish();
        assert!(input.ended_clean() && !input.ended_broken());
        // What breaks later breaks nothing that was said before.
        input.doom();
        input.cut();
        assert!(input.ended_clean());

        let mut input = Input::new();
        input.doom();
        assert!(!input.ended());
        input.finish();
        assert!(input.ended_broken() && !input.ended_clean());

        let mut input = Input::new();
        input.cut();
        input.finish();
        assert!(input.ended_broken());
    }
}
