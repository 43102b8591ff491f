//! One direction of a stream: how much of what its source sends may go to its target,
//! and what of ours goes in front of it.

use crate::stream::buffer::{Buffer, BufferPool};

/// The allowance of a channel that takes whatever comes.
const ANY: u64 = u64::MAX >> 1;
/// What is allowed is all that will be: its end follows.
const LAST: u64 = 1 << 63;

/// One direction.
#[derive(Debug)]
pub struct Channel {
    /// Bytes of ours, in front of what the source sends.
    pub ahead: Option<Buffer>,
    /// Bytes of payload that have gone through.
    moved: u64,
    /// Where `moved` stops until somebody decides again, and `LAST`.
    until: u64,
}

impl Channel {
    /// Takes whatever comes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ahead: None,
            moved: 0,
            until: ANY,
        }
    }

    /// Takes nothing until more is allowed.
    pub fn stop(&mut self) {
        self.until = self.moved;
    }

    /// Takes so many bytes more. The source may have sent them already, which no poller
    /// tells again: whoever allows them looks at once.
    pub fn allow(&mut self, bytes: u64) {
        let last = self.until & LAST;
        self.until = last | (self.until & ANY).saturating_add(bytes).min(ANY);
    }

    /// What is allowed now is all that will be: the last of it goes together with the
    /// end that follows.
    pub fn end_behind(&mut self) {
        self.until |= LAST;
    }

    /// Bytes that may go through before somebody decides again.
    #[must_use]
    pub fn room(&self) -> usize {
        usize::try_from((self.until & ANY) - self.moved).unwrap_or(usize::MAX)
    }

    /// True where somebody has to decide.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.room() == 0
    }

    /// True where so many bytes are the last.
    #[must_use]
    pub fn ends_with(&self, bytes: usize) -> bool {
        self.until & LAST != 0 && self.room() == bytes
    }

    /// So many bytes have gone through.
    pub fn pass(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.room());
        self.moved += bytes as u64;
    }

    /// Bytes of payload that have gone through.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Gives back what will not go out any more.
    pub fn release(&mut self, buffers: &mut BufferPool) {
        buffers.give_back(&mut self.ahead);
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_used_up_and_renewed() {
        let mut channel = Channel::new();
        channel.pass(1 << 40);
        assert!(!channel.is_spent());
        channel.stop();
        assert!(channel.is_spent());
        channel.allow(10);
        channel.pass(4);
        channel.allow(1);
        assert_eq!((channel.room(), channel.moved()), (7, (1 << 40) + 4));
        channel.allow(u64::MAX);
        assert_eq!(channel.room() as u64, ANY - channel.moved());
    }

    #[test]
    fn only_the_last_byte_of_the_last_allowance_ends() {
        let mut channel = Channel::new();
        channel.stop();
        channel.allow(10);
        assert!(!channel.ends_with(10));
        channel.end_behind();
        assert!(channel.ends_with(10) && !channel.ends_with(9));
        channel.pass(9);
        assert!(channel.ends_with(1));
    }
}
