//! The close operations: data layer first, then ctrl layer, then fd.
//!
//! What is wanted and what is done are kept apart (`close_op`). A step that
//! cannot be done yet, such as the data layer's shutw while payload waits, stays
//! wanted; [`Connection::run_close_steps`] is called again when the obstacle is
//! gone, and finishes it:
//!
//! ```text
//! shutw: data_shutw; if shutr is done already: data_close, ctrl_shutw, ctrl_close
//! shutr: data_shutr; if shutw is done already: data_close, ctrl_shutr, ctrl_close
//! ```

use rustix::net::Shutdown;
use sluice_wire::flags::{close_op, conn_flag};
use sluice_wire::states::conn_state;

use super::{Connection, data};
use crate::stream::buffer::BufferPool;
use crate::stream::forward::Mover;

/// Close operations of a connection whose descriptor is closed: all wanted, all done.
const CLOSED_OPS: u8 = 0xff;
/// What they leave in the flags.
const CLOSED_FLAGS: i32 = conn_flag::SHR
    | conn_flag::SHW
    | conn_flag::DATA_SHUTR
    | conn_flag::DATA_SHUTW
    | conn_flag::CTRL_SHUTR
    | conn_flag::CTRL_SHUTW;
/// Distance between a wanted bit and its done bit.
const DONE: i32 = 4;

impl Connection {
    /// Wants both layers' write side shut, after everything written before.
    pub fn want_shutw(&mut self) {
        self.add(close_op::DSHW | close_op::CSHW);
    }

    /// Wants both layers' read side shut: the peer's FIN was read, or nobody
    /// will read any more.
    pub fn want_shutr(&mut self) {
        self.add(close_op::DSHR | close_op::CSHR);
    }

    /// Does every wanted step that can be done now. `drained` says that no
    /// payload waits to be written to this connection. Returns true where both
    /// directions are shut: the fd may be closed.
    pub fn run_close_steps(&mut self, drained: bool, buffers: &mut BufferPool) -> bool {
        if self.wants(close_op::DSHW)
            && (!self.output.is_open() || drained && data::notify(self, buffers))
        {
            self.done(close_op::DSHW, conn_flag::DATA_SHUTW | conn_flag::SHW);
        }
        if self.wants(close_op::DSHR) {
            self.done(close_op::DSHR, conn_flag::DATA_SHUTR | conn_flag::SHR);
        }
        if self.wants(close_op::CSHR) && self.socket_ended() {
            self.done(close_op::CSHR, conn_flag::CTRL_SHUTR);
        }
        if self.wants(close_op::CSHW) && self.close_ops() & close_op::DSHW_DONE != 0 {
            if self.output.is_open() {
                self.shut(Shutdown::Write);
            }
            self.done(close_op::CSHW, conn_flag::CTRL_SHUTW);
            self.output.shut();
        }
        let both = close_op::CSHR_DONE | close_op::CSHW_DONE;
        self.close_ops() & both == both
    }

    /// Closes data, ctrl and fd at once, whatever waits, and gives back what was lent.
    pub fn close(&mut self, mover: &mut Mover) {
        self.output.shut();
        self.close_ops = CLOSED_OPS;
        self.flags |= CLOSED_FLAGS;
        self.input.release(mover);
        if let Some(mut tls) = self.tls.take() {
            tls.release(&mut mover.buffers);
        }
        self.ctrl = None;
        self.flags &= !(conn_flag::FD_ALLOCATED | conn_flag::HELD_BACK);
        self.set_state(conn_state::CLOSED);
    }

    /// The peer's FIN was told, or its reset. With TLS the payload may have ended before,
    /// by close_notify, and nothing is read behind that.
    fn socket_ended(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.fin)
            || self.ready.has_fin()
            || self.ready.has_hangup()
            || self.flags & conn_flag::CTRL_FAILED != 0
    }

    /// The end of the data layer is wanted and has not left yet: payload or
    /// close_notify waits for room.
    #[must_use]
    pub fn owes_end(&self) -> bool {
        self.wants(close_op::DSHW)
    }

    /// `close_op` bits.
    #[must_use]
    pub fn close_ops(&self) -> i32 {
        i32::from(self.close_ops)
    }

    /// Sets some of them; there are eight.
    fn add(&mut self, ops: i32) {
        self.close_ops |= ops as u8;
    }

    fn wants(&self, op: i32) -> bool {
        self.close_ops() & (op | op << DONE) == op
    }

    fn done(&mut self, op: i32, flags: i32) {
        self.add(op << DONE);
        self.flags |= flags;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Ctrl;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, recv, send, socketpair};
    use rustix::net::{RecvFlags, SendFlags};

    fn pair() -> (Connection, rustix::fd::OwnedFd) {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .expect("socketpair");
        let mut connection = Connection::empty();
        connection.ctrl = Some(Ctrl::Socket {
            fd: ours,
            unix: true,
        });
        (connection, theirs)
    }

    #[test]
    fn a_shutw_is_retained_while_bytes_wait_and_finished_later() {
        let (mut connection, theirs) = pair();
        let mut buffers = BufferPool::default();
        connection.want_shutw();
        assert!(!connection.run_close_steps(false, &mut buffers));
        assert_eq!(connection.close_ops(), close_op::DSHW | close_op::CSHW);
        let mut byte = [0; 1];
        assert_eq!(
            recv(&theirs, &mut byte, RecvFlags::empty()).map(|(_, count)| count),
            Err(rustix::io::Errno::AGAIN)
        );
        assert!(!connection.run_close_steps(true, &mut buffers));
        assert_ne!(connection.flags & conn_flag::SHW, 0);
        assert_eq!(
            recv(&theirs, &mut byte, RecvFlags::empty()).map(|(_, count)| count),
            Ok(0)
        );
    }

    #[test]
    fn reading_goes_on_after_an_asynchronous_ctrl_shutw() {
        let (mut connection, theirs) = pair();
        let mut buffers = BufferPool::default();
        connection.want_shutw();
        connection.run_close_steps(true, &mut buffers);
        send(&theirs, b"late", SendFlags::empty()).expect("send");
        let mut bytes = [0; 8];
        let got = data::read(&mut connection, &mut bytes, &mut buffers);
        assert_eq!(got, data::Got::Bytes(4));
        assert_eq!(&bytes[..4], b"late");
    }

    #[test]
    fn a_double_shutdown_is_harmless_and_both_directions_allow_the_close() {
        let (mut connection, _theirs) = pair();
        let mut mover = Mover::new(std::sync::Arc::default());
        connection.want_shutw();
        connection.want_shutw();
        assert!(!connection.run_close_steps(true, &mut mover.buffers));
        connection.want_shutr();
        assert!(connection.run_close_steps(true, &mut mover.buffers));
        assert!(connection.run_close_steps(true, &mut mover.buffers));
        connection.close(&mut mover);
        connection.close(&mut mover);
        assert!(connection.ctrl.is_none());
        assert_eq!(connection.close_ops(), 0xff);
    }
}
