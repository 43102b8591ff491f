//! A connection: fd + ctrl layer + data layer + flags.
//!
//! Connections know nothing of sessions. Each has an owner: a stream, which links two of
//! them and has the reason and the deadlines of both, or nobody while it is alone.

pub mod close;
pub mod data;
pub mod direction;
pub mod extra;
pub mod ready;
pub mod slots;

use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::Shutdown;
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;
use sluice_wire::states::{conn_next, conn_state};

use crate::clock::Moment;
use crate::route::Route;
use crate::slab::Entry;
use crate::stream::StreamId;
use crate::tls::layer::Tls;
use crate::transport::Ctrl;

use direction::{Input, Output};
use extra::Extra;
use ready::Ready;

/// What may follow each state.
const NEXT: [i32; 5] = [
    conn_next::CLOSED,
    conn_next::ACCEPTED,
    conn_next::CONNECTING,
    conn_next::ESTABLISHED,
    conn_next::ERROR,
];

/// No slot.
pub const NONE: u32 = u32::MAX;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A client: the connection was accepted.
    Client,
    /// A server: the connection was made by us.
    Server,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody's: it is alone.
    None,
    /// A stream's, which links it to another.
    Stream(StreamId),
}

/// What the engine does with the connection's readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An engine-side handshake is in progress.
    Handshake,
    /// TypeScript was asked about this handshake bit.
    Ask(u8),
    /// TypeScript looks at the buffered payload.
    Inspect,
    /// TypeScript holds the connection: queued, or between two connects.
    Held,
    /// An outgoing connection is being made.
    Connecting,
    /// Payload is forwarded.
    Stream,
    /// Payload goes to and comes from an applet.
    Applet,
    /// The last chunk is being sent.
    LastChunk,
    /// The last chunk is sent; the client's FIN is awaited, so that no reset destroys it.
    Linger,
    /// Held silently until its time is over.
    Tarpit,
}

/// How the poller watches the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Not at all yet.
    No,
    /// For reading.
    Read,
    /// For reading and writing.
    ReadWrite,
    /// For writing: what was read already waits for room on the other side.
    Write,
}

/// One connection. See the crate's LIFECYCLE.md for its states.
#[derive(Debug)]
pub struct Connection {
    /// The ctrl layer, while it is open.
    pub ctrl: Option<Ctrl>,
    /// Generation of the slot; never 0.
    generation: i32,
    /// `conn_flag` bits.
    pub flags: i32,
    /// `close_op` bits.
    close_ops: u8,
    /// Pending handshake bits.
    handshakes: u16,
    /// Handshake bits that TypeScript has answered, of those of a client.
    answered: u8,
    /// `conn_state`; changed by [`Connection::set_state`] alone.
    state: u8,
    /// Who is at the other end.
    pub side: Side,
    /// What readiness is used for.
    pub mode: Mode,
    /// How the poller watches.
    pub watch: Watch,
    /// What is known of the socket's readiness.
    pub ready: Ready,
    /// What the peer sends.
    pub input: Input,
    /// What the peer is sent.
    pub output: Output,
    /// TCP_NODELAY is set.
    pub nodelay: bool,
    /// A verdict was late and the default is to open: nothing is asked any more.
    pub opened: bool,
    /// In the worker's list of connections that have more to do.
    pub runnable: bool,
    /// In the worker's queue of TLS handshakes that have work to do.
    pub securing: bool,
    /// Whose it is.
    pub owner: Owner,
    /// Listener, for accepted connections.
    pub listener: u32,
    /// `connect_flag` bits of the command that made this connection.
    pub connect_flags: u8,
    /// Bytes that went through the socket, either way; it wraps. Unlike the counts
    /// of payload it moves while records that were counted wait for their room.
    pub traffic: u32,
    /// At accept or connect.
    pub opened_at: Moment,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Route of an outgoing connection.
    pub route: Option<Arc<Route>>,
    /// TLS, where the data layer is that.
    pub tls: Option<Box<Tls>>,
    /// What few connections have.
    pub extra: Option<Box<Extra>>,
}

impl Connection {
    /// Of a free slot that has not been used.
    #[must_use]
    pub fn empty() -> Self {
        Self::vacant(1)
    }

    /// True where everything that the peer sent was passed on.
    #[must_use]
    pub fn is_read_out(&self) -> bool {
        self.input.ended() && !self.input.holds()
    }

    /// True where the peer ended TLS without saying so: payload may be missing.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.tls.is_some() && self.input.ended_broken()
    }

    /// True where a direction is over.
    #[must_use]
    pub fn is_half_closed(&self) -> bool {
        self.input.ended() || !self.output.is_open()
    }

    /// True where TLS waits for room in the socket: sealed records, close_notify.
    #[must_use]
    pub fn unsent(&self) -> bool {
        self.has_records() || self.owes_end()
    }

    /// True where sealed records wait for room in the socket.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.outgoing.is_some())
    }

    /// True where nothing is read from `source`, because of what waits for this
    /// connection.
    #[must_use]
    pub fn holds_back(&self, source: &Self) -> bool {
        source.input.holds() || self.has_records()
    }

    /// Generation of the slot; never 0.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// Pending handshake bits.
    #[must_use]
    pub fn handshakes(&self) -> i32 {
        i32::from(self.handshakes)
    }

    /// The pending handshake that comes first, or 0.
    #[must_use]
    pub fn next_handshake(&self) -> i32 {
        i32::from(self.handshakes & self.handshakes.wrapping_neg())
    }

    /// Changes which handshakes are pending; there are twelve.
    pub fn set_handshakes(&mut self, bits: i32) {
        self.handshakes = bits as u16;
    }

    /// A handshake is done.
    pub fn shake(&mut self, bits: i32) {
        self.handshakes &= !(bits as u16);
    }

    /// `conn_state`.
    #[must_use]
    pub fn state(&self) -> i32 {
        i32::from(self.state)
    }

    /// Policy has decided about these handshakes of a client.
    pub fn answer(&mut self, bits: i32) {
        self.answered |= bits as u8;
    }

    /// True where policy has decided about a handshake of a client.
    #[must_use]
    pub fn is_answered(&self, bit: i32) -> bool {
        i32::from(self.answered) & bit != 0
    }

    /// Takes a step of the table of states; another one changes nothing. So what has
    /// failed stays failed behind its close.
    pub fn set_state(&mut self, next: i32) {
        if NEXT[self.state as usize] & 1 << next != 0 {
            self.state = next as u8;
        }
    }

    /// An operation on the socket failed, or TLS did.
    pub fn fail(&mut self, error: Errno) {
        let layer = if error == data::TLS_FAILED {
            conn_flag::DATA_FAILED
        } else {
            conn_flag::CTRL_FAILED
        };
        self.flags |= layer | conn_flag::ERR;
        self.set_state(conn_state::ERROR);
    }

    /// The error that the kernel keeps for the socket; with one the connection has failed.
    pub fn take_error(&mut self) -> Option<Errno> {
        let error = self.ctrl.as_ref().and_then(Ctrl::error)?;
        self.fail(error);
        Some(error)
    }

    /// Says whether nothing is read from it because of the other side.
    pub fn hold_back(&mut self, held: bool) {
        self.flags &= !conn_flag::HELD_BACK;
        if held {
            self.flags |= conn_flag::HELD_BACK;
        }
    }

    /// Sets a two-bit step, given its low bit.
    pub fn set_step(&mut self, low: i32, value: i32) {
        self.flags &= !(low | low << 1);
        self.flags |= low * value;
    }

    /// Reads a two-bit step, given its low bit.
    #[must_use]
    pub fn step(&self, low: i32) -> i32 {
        (self.flags / low) & 0b11
    }

    /// True while a two-bit step is wanted and not completed.
    #[must_use]
    pub fn step_pending(&self, low: i32) -> bool {
        self.step(low) & step::WANTED != 0
    }

    /// The data layer is raw after all.
    pub fn skip_tls(&mut self) {
        self.shake(handshake::TLS);
        self.set_step(conn_flag::DATA_OPEN_STARTED, step::NOT_WANTED);
        self.flags |= conn_flag::DATA_CONNECTED;
    }

    /// Policy starts TLS on payload that was in clear: a step that is wanted from here on.
    pub fn want_tls(&mut self) {
        self.set_step(conn_flag::DATA_OPEN_STARTED, step::WANTED);
        self.flags &= !conn_flag::DATA_CONNECTED;
    }

    /// The socket, while there is one.
    #[must_use]
    pub fn socket(&self) -> Option<&OwnedFd> {
        self.ctrl.as_ref().and_then(Ctrl::socket)
    }

    /// Makes the close that follows a reset.
    pub fn reset_on_close(&self) {
        if let Some(ctrl) = &self.ctrl {
            ctrl.reset_on_close();
        }
    }

    /// shutdown() in one direction; errors mean that the peer was faster.
    fn shut(&self, how: Shutdown) {
        if let Some(ctrl) = &self.ctrl {
            ctrl.shut(how);
        }
    }
}

impl Entry for Connection {
    fn vacant(generation: i32) -> Self {
        Self {
            ctrl: None,
            generation,
            flags: 0,
            close_ops: 0,
            handshakes: 0,
            answered: 0,
            state: conn_state::CLOSED as u8,
            side: Side::Client,
            mode: Mode::Held,
            watch: Watch::No,
            ready: Ready::open(),
            input: Input::new(),
            output: Output::new(),
            nodelay: false,
            opened: false,
            runnable: false,
            securing: false,
            owner: Owner::None,
            listener: NONE,
            connect_flags: 0,
            traffic: 0,
            opened_at: Moment::NEVER,
            bytes_in: 0,
            bytes_out: 0,
            route: None,
            tls: None,
            extra: None,
        }
    }

    fn generation(&self) -> i32 {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bit_steps_follow_the_notes() {
        let mut connection = Connection::empty();
        let low = conn_flag::PROXY_OUT_STARTED;
        assert_eq!(connection.step(low), step::NOT_WANTED);
        connection.set_step(low, step::WANTED);
        assert!(connection.step_pending(low));
        assert_eq!(connection.flags, conn_flag::PROXY_OUT_PENDING);
        connection.set_step(low, step::STARTED);
        assert!(connection.step_pending(low));
        connection.set_step(low, step::COMPLETED);
        assert!(!connection.step_pending(low));
        assert_eq!(connection.flags, conn_flag::PROXY_OUT_STARTED);
    }

    #[test]
    fn states_take_the_steps_of_the_table_and_no_others() {
        let all = [
            conn_state::CLOSED,
            conn_state::ACCEPTED,
            conn_state::CONNECTING,
            conn_state::ESTABLISHED,
            conn_state::ERROR,
        ];
        let steps = all.iter().flat_map(|&from| all.map(|to| (from, to)));
        let taken: Vec<(i32, i32)> = steps
            .filter(|&(from, to)| {
                let mut connection = Connection::empty();
                connection.state = from as u8;
                connection.set_state(to);
                from != to && connection.state() == to
            })
            .collect();
        let [closed, accepted, connecting, established, error] = all;
        assert_eq!(
            taken,
            [
                (closed, accepted),
                (closed, connecting),
                (accepted, closed),
                (accepted, established),
                (accepted, error),
                (connecting, closed),
                (connecting, established),
                (connecting, error),
                (established, closed),
                (established, error),
            ]
        );
    }

    #[test]
    fn a_failure_names_its_layer_and_outlives_the_close() {
        for (error, layer) in [
            (Errno::CONNRESET, conn_flag::CTRL_FAILED),
            (data::TLS_FAILED, conn_flag::DATA_FAILED),
        ] {
            let mut connection = Connection::empty();
            connection.set_state(conn_state::ACCEPTED);
            connection.fail(error);
            assert_eq!(connection.flags, layer | conn_flag::ERR);
            connection.close(&mut crate::stream::forward::Mover::new(Arc::default()));
            assert_eq!(connection.state(), conn_state::ERROR);
        }
    }

    #[test]
    fn an_idle_session_stays_small() {
        let parts = [size_of::<Connection>(), size_of::<crate::stream::Stream>()];
        assert!(2 * parts[0] + parts[1] <= 312, "{parts:?}");
    }
}
