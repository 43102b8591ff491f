//! The ctrl layer: what the bytes of a connection go through, below the data layer.
//! Readiness and counts are not kept here; an outcome says what the kernel said.

use std::io::IoSliceMut;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendFlags, Shutdown, recv, recvmsg, send, sockopt,
};

use crate::sys;

/// What the bytes of a connection go through.
#[derive(Debug)]
pub enum Ctrl {
    /// A stream socket of this process.
    Socket {
        /// The socket, which does not block.
        fd: OwnedFd,
        /// Of the unix family.
        unix: bool,
    },
}

impl Ctrl {
    /// Reads: the number of bytes, 0 at the end, and whether something else than the
    /// lack of more has ended it. On a unix socket passed descriptors do; they are
    /// dropped, and MSG_CTRUNC says that there were some.
    ///
    /// # Errors
    ///
    /// Of the socket; AGAIN where nothing is there.
    pub fn recv(&self, into: &mut [u8]) -> Result<(usize, bool)> {
        let Self::Socket { fd, unix } = self;
        if !unix {
            let got = retry_on_intr(|| recv(fd, &mut *into, RecvFlags::empty()));
            return got.map(|(_, count)| (count, false));
        }
        retry_on_intr(|| {
            let mut none = RecvAncillaryBuffer::default();
            let mut room = [IoSliceMut::new(into)];
            let got = recvmsg(fd, &mut room, &mut none, RecvFlags::empty())?;
            Ok((got.bytes, got.flags.contains(ReturnFlags::CTRUNC)))
        })
    }

    /// Reads without taking: the number of bytes, 0 at the end.
    ///
    /// # Errors
    ///
    /// Of the socket; AGAIN where nothing is there.
    pub fn peek(&self, into: &mut [u8]) -> Result<usize> {
        let Self::Socket { fd, .. } = self;
        retry_on_intr(|| recv(fd, &mut *into, RecvFlags::PEEK)).map(|(_, count)| count)
    }

    /// Writes: the number of bytes taken. `more`: a FIN or other bytes follow at once
    /// and share the last segment.
    ///
    /// # Errors
    ///
    /// Of the socket; AGAIN where there is no room.
    pub fn send(&self, bytes: &[u8], more: bool) -> Result<usize> {
        let Self::Socket { fd, .. } = self;
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more);
        retry_on_intr(|| send(fd, bytes, flags))
    }

    /// Shuts a direction; errors mean that the peer was faster.
    pub fn shut(&self, how: Shutdown) {
        let Self::Socket { fd, .. } = self;
        let _ = rustix::net::shutdown(fd, how);
    }

    /// The error that is kept for it, told once.
    #[must_use]
    pub fn error(&self) -> Option<Errno> {
        let Self::Socket { fd, .. } = self;
        sys::take_error(fd)
    }

    /// The descriptor between which and a pipe the kernel can move payload.
    #[must_use]
    pub fn splice_fd(&self) -> Option<BorrowedFd<'_>> {
        let Self::Socket { fd, .. } = self;
        Some(fd.as_fd())
    }

    /// The socket, to be watched and to set what only sockets have.
    #[must_use]
    pub fn socket(&self) -> Option<&OwnedFd> {
        let Self::Socket { fd, .. } = self;
        Some(fd)
    }

    /// Bytes that the other end has not acknowledged; 0 where nobody knows.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        let Self::Socket { fd, .. } = self;
        sys::unacknowledged(fd)
    }

    /// True where a reset can tell the other end of a cut.
    #[must_use]
    pub fn has_reset(&self) -> bool {
        let Self::Socket { unix, .. } = self;
        !unix
    }

    /// Makes the close that follows a reset, where there is such a thing.
    pub fn reset_on_close(&self) {
        let Self::Socket { fd, .. } = self;
        sys::reset_on_close(fd);
    }

    /// What is written goes at once, and does not wait for an acknowledgement.
    pub fn set_nodelay(&self) {
        let Self::Socket { fd, .. } = self;
        let _ = sockopt::set_tcp_nodelay(fd, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SocketFlags, SocketType, sendmsg,
        socketpair,
    };

    fn pair() -> (Ctrl, OwnedFd) {
        let (fd, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .expect("socketpair");
        (Ctrl::Socket { fd, unix: true }, theirs)
    }

    #[test]
    fn a_peek_leaves_what_a_read_takes() {
        let (ctrl, theirs) = pair();
        let mut bytes = [0; 8];
        assert_eq!(ctrl.peek(&mut bytes), Err(Errno::AGAIN));
        send(&theirs, b"word", SendFlags::empty()).expect("send");
        assert_eq!(ctrl.peek(&mut bytes), Ok(4));
        assert_eq!(ctrl.recv(&mut bytes), Ok((4, false)));
        assert_eq!(&bytes[..4], b"word");
        assert_eq!(ctrl.recv(&mut bytes), Err(Errno::AGAIN));
        drop(theirs);
        assert_eq!(ctrl.recv(&mut bytes), Ok((0, false)));
    }

    #[test]
    fn a_read_that_passed_descriptors_have_ended_says_so() {
        let (ctrl, theirs) = pair();
        let descriptors = [theirs.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let bytes = [std::io::IoSlice::new(b"with")];
        sendmsg(&theirs, &bytes, &mut ancillary, SendFlags::empty()).expect("sendmsg");
        assert_eq!(ctrl.recv(&mut [0; 8]), Ok((4, true)));
    }

    #[test]
    fn a_direction_that_is_shut_sends_no_more() {
        let (ctrl, theirs) = pair();
        assert_eq!(ctrl.send(b"last", true), Ok(4));
        ctrl.shut(Shutdown::Write);
        assert_eq!(ctrl.send(b"more", false), Err(Errno::PIPE));
        let mut bytes = [0; 8];
        let mut got = || recv(&theirs, &mut bytes, RecvFlags::empty()).map(|(_, count)| count);
        assert_eq!((got(), got()), (Ok(4), Ok(0)));
    }
}
