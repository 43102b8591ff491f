//! What is known of a socket's readiness.
//!
//! The poller is edge-triggered: what it says stays true until an operation
//! would block, and is said once. So only an operation's outcome may take
//! readiness back, through one of the verbs here, and nothing else knows which
//! announcement means what.

use crate::poller::Readiness;

/// Readiness of one socket.
#[derive(Clone, Copy, Debug)]
pub struct Ready(u8);

const READABLE: u8 = 1;
const WRITABLE: u8 = 1 << 1;
/// The FIN was announced.
const FIN: u8 = 1 << 2;
/// An error or the end of both directions was announced.
const HANGUP: u8 = 1 << 3;
/// Urgent data came, at whose mark reads and splices stop.
const URGENT: u8 = 1 << 4;

impl Ready {
    /// Of a socket that is open: both is tried before the poller is asked.
    #[must_use]
    pub const fn open() -> Self {
        Self(READABLE | WRITABLE)
    }

    /// Of a socket that connects: the poller tells when it has.
    #[must_use]
    pub const fn connecting() -> Self {
        Self(0)
    }

    /// The poller's news.
    pub fn hear(&mut self, news: Readiness) {
        for (heard, bit) in [
            (news.readable, READABLE),
            (news.writable, WRITABLE),
            (news.read_closed, FIN),
            (news.hangup, HANGUP),
            (news.urgent, URGENT),
        ] {
            self.0 |= u8::from(heard) * bit;
        }
    }

    /// A read may find something: bytes, the end, or an error.
    #[must_use]
    pub fn reads(self) -> bool {
        self.0 & READABLE != 0
    }

    /// A write may find room, or an error.
    #[must_use]
    pub fn writes(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// The peer's FIN was announced; bytes may be in front of it.
    #[must_use]
    pub fn has_fin(self) -> bool {
        self.0 & FIN != 0
    }

    /// An error was announced, or that both directions are shut. Bytes may still
    /// be there: on a unix socket it is all that a peer's close() says.
    #[must_use]
    pub fn has_hangup(self) -> bool {
        self.0 & HANGUP != 0
    }

    /// Splice stops at the mark of urgent data, where a read goes on.
    #[must_use]
    pub fn is_urgent(self) -> bool {
        self.0 & URGENT != 0
    }

    /// A read would block, failed, or found the end.
    pub fn read_blocks(&mut self) {
        self.0 &= !READABLE;
    }

    /// A write would block, or took less than it was given: the next would block.
    pub fn write_blocks(&mut self) {
        self.0 &= !WRITABLE;
    }

    /// A write went through.
    pub fn write_went(&mut self) {
        self.0 |= WRITABLE;
    }

    /// Bytes that are no longer in the socket can be read.
    pub fn more_to_read(&mut self) {
        self.0 |= READABLE;
    }

    /// Commands come before the poller's news in a turn: a last read before a close
    /// looks for itself.
    pub fn look_again(&mut self) {
        self.0 |= READABLE;
    }

    /// A read filled less than its room. It has then seen everything that had
    /// come when the poller last spoke, unless it was stopped `early` by
    /// something of the socket's own, such as passed descriptors. Returns true
    /// where the FIN is known to be behind it.
    pub fn read_short(&mut self, early: bool) -> bool {
        if early || self.0 & (URGENT | HANGUP) != 0 {
            // Only a read that would block tells that nothing is there.
            return false;
        }
        self.0 &= !READABLE;
        self.0 & FIN != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(news: Readiness) -> Ready {
        let mut ready = Ready::open();
        ready.hear(news);
        ready
    }

    #[test]
    fn a_short_read_has_seen_everything_and_the_fin_if_one_was_announced() {
        let mut plain = heard(Readiness::default());
        assert!(!plain.read_short(false));
        assert!(!plain.reads());
        let mut ending = heard(Readiness {
            read_closed: true,
            ..Readiness::default()
        });
        assert!(ending.read_short(false));
        assert!(!ending.reads());
    }

    #[test]
    fn a_short_read_proves_nothing_where_something_else_may_have_ended_it() {
        let fin = Readiness {
            read_closed: true,
            ..Readiness::default()
        };
        let mut urgent = heard(Readiness {
            urgent: true,
            ..fin
        });
        let mut hung_up = heard(Readiness {
            hangup: true,
            ..fin
        });
        let mut descriptors = heard(fin);
        assert!(!urgent.read_short(false) && urgent.reads());
        assert!(!hung_up.read_short(false) && hung_up.reads());
        assert!(!descriptors.read_short(true) && descriptors.reads());
    }
}
