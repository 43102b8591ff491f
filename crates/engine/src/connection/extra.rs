//! What few connections have, and only for a while: an idle session has none of it.

use super::Connection;
use crate::clock::Moment;
use crate::handshake::{client_hello, socks};

/// What few connections have.
#[derive(Debug, Default)]
pub struct Extra {
    /// TLVs of a PROXY header: a client's until TypeScript has seen them, a server's
    /// until they are sent.
    pub tlvs: Vec<u8>,
    /// What the step that the connection is at keeps.
    pub step: Step,
}

/// What a step of a connection's life keeps. The next one begins with nothing.
#[derive(Debug, Default)]
pub enum Step {
    /// Nothing.
    #[default]
    None,
    /// How far a ClientHello was read that comes in pieces.
    Hello(client_hello::Reader),
    /// The SOCKS handshake.
    Socks(socks::State),
    /// Payload is shown to policy.
    Inspection(Inspection),
    /// Payload goes to and comes from an applet.
    Applet(Applet),
    /// Bytes that were read and forgotten behind a last chunk.
    Linger(usize),
    /// Bytes that a side whose peer was cut had not acknowledged.
    Cut(usize),
    /// Until when a server's connection waits for another stream.
    Alone(Moment),
}

/// An inspection.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Most bytes that may be buffered.
    pub limit: usize,
    /// Length last reported, and its flags, so that nothing is reported twice.
    pub reported: Option<(usize, i32)>,
    /// Position and clock of the last BYTES event.
    pub shown: Option<(i32, u64)>,
    /// More is to be shown once that one was read: the worker knows.
    pub waits: bool,
    /// Number of the INSPECT command, echoed in its BYTES events.
    pub epoch: i32,
    /// The inspect delay has passed.
    pub expired: bool,
}

/// An applet's side of a connection.
#[derive(Debug, Default)]
pub struct Applet {
    /// Bytes that have left since it was last told of it at once.
    pub acknowledged: usize,
    /// It has ended: the write side is shut once everything has left.
    pub fin: bool,
    /// It was told of the client's end.
    pub eof_told: bool,
}

impl Connection {
    /// The rarely used part, made on first use.
    pub fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// The inspection, which begins where there is none.
    pub fn inspection(&mut self) -> &mut Inspection {
        let step = &mut self.extra().step;
        if !matches!(step, Step::Inspection(_)) {
            *step = Step::Inspection(Inspection::default());
        }
        match step {
            Step::Inspection(inspection) => inspection,
            _ => unreachable!("it was made just now"),
        }
    }

    /// The applet's side, which begins where there is none.
    pub fn applet(&mut self) -> &mut Applet {
        let step = &mut self.extra().step;
        if !matches!(step, Step::Applet(_)) {
            *step = Step::Applet(Applet::default());
        }
        match step {
            Step::Applet(applet) => applet,
            _ => unreachable!("it was made just now"),
        }
    }

    /// How far a ClientHello was read that comes in pieces.
    #[must_use]
    pub fn hello(&self) -> client_hello::Reader {
        match self.extra.as_deref() {
            Some(Extra {
                step: Step::Hello(reader),
                ..
            }) => *reader,
            _ => client_hello::Reader::default(),
        }
    }

    /// Counts what is read and forgotten behind a last chunk; returns the sum.
    pub fn forget(&mut self, bytes: usize) -> usize {
        let step = &mut self.extra().step;
        let before = match *step {
            Step::Linger(forgotten) => forgotten,
            _ => 0,
        };
        *step = Step::Linger(before + bytes);
        before + bytes
    }

    /// Until when it waits for another stream, where there is a limit.
    #[must_use]
    pub fn waits_until(&self) -> Option<Moment> {
        match self.extra.as_deref()?.step {
            Step::Alone(until) => Some(until),
            _ => None,
        }
    }

    /// Notes how many bytes a side whose peer was cut has not acknowledged; returns how
    /// many it had not before.
    pub fn note_unacknowledged(&mut self, bytes: usize) -> usize {
        match std::mem::replace(&mut self.extra().step, Step::Cut(bytes)) {
            Step::Cut(before) => before,
            _ => 0,
        }
    }
}
