//! A thin epoll: edge-triggered, both directions, a number for each connection.

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Most events of one wait.
const BATCH: usize = 256;

/// The poller.
pub struct Poll {
    fd: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    /// A new one.
    pub fn new() -> io::Result<Poll> {
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poll {
            fd,
            events: Vec::with_capacity(BATCH),
        })
    }

    /// Watches until the socket is closed.
    pub fn add(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(
            &self.fd,
            socket,
            epoll::EventData::new_u64(number as u64),
            flags,
        )?;
        Ok(())
    }

    /// Waits for at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> io::Result<()> {
        self.events.clear();
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: limit.subsec_nanos().into(),
        };
        match epoll::wait(&self.fd, spare_capacity(&mut self.events), Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The number of one that became ready in the last wait.
    pub fn ready(&mut self) -> Option<usize> {
        self.events.pop().map(|event| event.data.u64() as usize)
    }
}

/// Begins to connect without waiting; writable tells when it is done.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    use rustix::net::{
        AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt,
    };
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}
