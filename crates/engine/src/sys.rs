//! Sockets: making them, options that rustix does not know, and what errno means.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, socket_with,
};
use sluice_wire::errors::code;

use crate::route::{Destination, Source};

/// Flags of every socket: not inherited, never blocking.
pub const SOCKET_FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// A TCP or unix stream socket.
///
/// # Errors
///
/// Where no descriptors or memory are left, or the family is not supported.
pub fn stream_socket(family: AddressFamily) -> Result<OwnedFd> {
    socket_with(family, SocketType::STREAM, SOCKET_FLAGS, None)
}

/// Family of an address.
#[must_use]
pub fn family_of(address: &SocketAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

/// Starts a connect; `client` is the client's address for transparent routes.
/// A connect in progress is no error. `speaks_first` says that bytes follow at
/// once: the kernel then need not acknowledge the handshake in a segment of its
/// own.
///
/// # Errors
///
/// As socket(), bind() and connect() have them, with their close codes.
pub fn start_connect(
    destination: &Destination,
    source: Option<Source>,
    client: Option<SocketAddr>,
    speaks_first: bool,
) -> std::result::Result<OwnedFd, (Errno, i32)> {
    let plain = |error: Errno| (error, code_of(error));
    let (socket, outcome) = match destination {
        Destination::Tcp(address) => {
            let socket = stream_socket(family_of(address)).map_err(plain)?;
            bind_source(&socket, address, source, client).map_err(|error| match error {
                // The kernel chooses ports later: here the address itself is not ours.
                Errno::ADDRNOTAVAIL => (error, code::BAD_ADDRESS),
                error => plain(error),
            })?;
            if speaks_first {
                delay_acknowledgement(&socket);
            }
            let outcome = rustix::net::connect(&socket, address);
            (socket, outcome)
        }
        Destination::Unix(path) => {
            let socket = stream_socket(AddressFamily::UNIX).map_err(plain)?;
            let address = SocketAddrUnix::new(path.as_path()).map_err(plain)?;
            let outcome = rustix::net::connect(&socket, &address);
            (socket, outcome)
        }
    };
    match outcome {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(plain(error)),
    }
}

fn bind_source(
    socket: &OwnedFd,
    destination: &SocketAddr,
    source: Option<Source>,
    client: Option<SocketAddr>,
) -> Result<()> {
    let local = match source {
        None => return Ok(()),
        Some(Source::Address(address)) => address,
        Some(Source::Client) => {
            // The client's port may be in use here already, so it is not kept.
            let Some(client) = client else { return Ok(()) };
            if client.is_ipv4() != destination.is_ipv4() {
                return Err(Errno::AFNOSUPPORT);
            }
            set_transparent(socket, client.is_ipv4())?;
            SocketAddr::new(client.ip(), 0)
        }
    };
    if local.port() == 0 {
        set_bind_address_no_port(socket);
    } else {
        rustix::net::sockopt::set_socket_reuseaddr(socket, true)?;
    }
    rustix::net::bind(socket, &local)
}

/// An accepted or local address; `None` for unix sockets.
#[must_use]
pub fn ip_address(address: Option<SocketAddrAny>) -> Option<SocketAddr> {
    address.and_then(|address| SocketAddr::try_from(address).ok())
}

/// Local address of a socket; `None` for unix sockets.
#[must_use]
pub fn local_address(socket: impl AsFd) -> Option<SocketAddr> {
    ip_address(rustix::net::getsockname(socket).ok())
}

/// Destination before NAT, where the kernel knows one.
#[must_use]
pub fn original_destination(socket: impl AsFd, ipv4: bool) -> Option<SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};
        if ipv4 {
            ip_original_dst(socket).ok().map(SocketAddr::V4)
        } else {
            ipv6_original_dst(socket).ok().map(SocketAddr::V6)
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, ipv4);
        None
    }
}

/// Allows foreign local addresses (IP_TRANSPARENT).
///
/// # Errors
///
/// EPERM without CAP_NET_ADMIN, ENOSYS where the system has no such option.
pub fn set_transparent(socket: impl AsFd, ipv4: bool) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        if ipv4 {
            set_option(socket, libc::SOL_IP, libc::IP_TRANSPARENT, 1)
        } else {
            set_option(socket, libc::SOL_IPV6, libc::IPV6_TRANSPARENT, 1)
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, ipv4);
        Err(Errno::NOSYS)
    }
}

/// TCP keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Seconds of silence before the first probe.
    pub idle: u32,
    /// Seconds between probes.
    pub interval: u32,
    /// Probes without an answer that end the connection.
    pub count: u32,
}

/// How a peer that has vanished is noticed. For TCP only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    /// Probes; `None` for none.
    pub keep_alive: Option<KeepAlive>,
    /// Milliseconds that bytes may stay unacknowledged, or 0 for the kernel's time.
    pub user_timeout: u32,
}

impl Liveness {
    /// True where there is something to set.
    #[must_use]
    pub fn wanted(&self) -> bool {
        *self != Self::default()
    }

    /// Sets the options of a TCP socket. Sockets accepted from a listener inherit them on Linux.
    ///
    /// # Errors
    ///
    /// As setsockopt() has them; ENOSYS where the system has no such option.
    pub fn apply(&self, socket: impl AsFd) -> Result<()> {
        use rustix::net::sockopt;
        let socket = socket.as_fd();
        if let Some(KeepAlive {
            idle,
            interval,
            count,
        }) = self.keep_alive
        {
            let seconds = |count: u32| std::time::Duration::from_secs(count.into());
            // The numbers first: the switch starts the timer.
            sockopt::set_tcp_keepidle(socket, seconds(idle))?;
            sockopt::set_tcp_keepintvl(socket, seconds(interval))?;
            sockopt::set_tcp_keepcnt(socket, count)?;
            sockopt::set_socket_keepalive(socket, true)?;
        }
        if self.user_timeout > 0 {
            set_user_timeout(socket, self.user_timeout)?;
        }
        Ok(())
    }
}

fn set_user_timeout(socket: impl AsFd, milliseconds: u32) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        rustix::net::sockopt::set_tcp_user_timeout(socket, milliseconds)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, milliseconds);
        Err(Errno::NOSYS)
    }
}

/// Holds accepted connections back until bytes arrive, for up to `seconds`.
///
/// # Errors
///
/// ENOSYS where the system has no such option.
pub fn set_defer_accept(socket: impl AsFd, seconds: i32) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        set_option(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, seconds);
        Err(Errno::NOSYS)
    }
}

/// Allows TCP Fast Open with a queue of `length`.
///
/// # Errors
///
/// ENOSYS where the system has no such option.
pub fn set_fast_open(socket: impl AsFd, length: i32) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        set_option(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, length)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, length);
        Err(Errno::NOSYS)
    }
}

/// Clears TCP_QUICKACK, where the system has it.
fn delay_acknowledgement(socket: impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_quickack(socket, false);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// Lets the kernel choose the port at connect, from all that are free for this destination.
fn set_bind_address_no_port(socket: impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = set_option(socket, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

#[cfg(target_os = "linux")]
fn set_option(socket: impl AsFd, level: i32, name: i32, value: i32) -> Result<()> {
    // SAFETY: the fd is borrowed for the call, and the option value is an int
    // whose size is given.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if outcome == 0 {
        return Ok(());
    }
    let errno = std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO);
    Err(Errno::from_raw_os_error(errno))
}

/// Bytes that the peer's kernel has not acknowledged yet; 0 where nobody knows.
#[must_use]
pub fn unacknowledged(socket: impl AsFd) -> usize {
    #[cfg(target_os = "linux")]
    {
        let mut count: i32 = 0;
        // SAFETY: the fd is borrowed for the call, and TIOCOUTQ (SIOCOUTQ) writes one
        // int to where the pointer says.
        let outcome =
            unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
        if outcome == 0 {
            usize::try_from(count).unwrap_or(0)
        } else {
            0
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        0
    }
}

/// Makes the close that follows a reset. On a unix socket it stays an end.
pub fn reset_on_close(socket: impl AsFd) {
    let now = Some(std::time::Duration::ZERO);
    let _ = rustix::net::sockopt::set_socket_linger(socket, now);
}

/// The pending error of a socket, read once.
#[must_use]
pub fn take_error(socket: impl AsFd) -> Option<Errno> {
    match rustix::net::sockopt::socket_error(socket) {
        Ok(Ok(())) => None,
        Ok(Err(error)) | Err(error) => Some(error),
    }
}

/// Blocks SIGPIPE for the calling thread. A splice to a socket that was reset
/// raises it, and there is no flag against that: a program that embeds the engine
/// may not ignore the signal, and a handler of its own must not hear of it.
pub fn block_sigpipe() {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `set` is initialised by the first call, and the calling thread's
    // mask is all that the last one changes.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// The close code of an errno.
#[must_use]
pub fn code_of(error: Errno) -> i32 {
    match error {
        Errno::CONNRESET | Errno::PIPE => code::RESET,
        Errno::CONNREFUSED | Errno::NOENT => code::REFUSED,
        Errno::CONNABORTED => code::ABORTED,
        Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN => code::UNREACHABLE,
        Errno::MFILE | Errno::NFILE => code::FD_EXHAUSTED,
        Errno::ADDRNOTAVAIL => code::PORTS_EXHAUSTED,
        Errno::NOMEM | Errno::NOBUFS => code::NO_MEMORY,
        Errno::ACCESS | Errno::PERM | Errno::AFNOSUPPORT | Errno::INVAL | Errno::NAMETOOLONG => {
            code::BAD_ADDRESS
        }
        _ => code::IO_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_has_not_acknowledged_is_counted() {
        use rustix::net::{SendFlags, SocketType, send, socketpair};
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SOCKET_FLAGS, None);
        let (ours, theirs) = pair.expect("socketpair");
        assert_eq!(unacknowledged(&ours), 0);
        send(&ours, b"unread", SendFlags::empty()).expect("send");
        if cfg!(target_os = "linux") {
            assert_ne!(unacknowledged(&ours), 0);
        }
        assert_eq!(unacknowledged(&theirs), 0);
        let file = std::fs::File::open("/dev/null").expect("file");
        assert_eq!(unacknowledged(&file), 0);
    }

    #[test]
    fn options_reach_the_kernel_or_say_why_not() {
        let socket = stream_socket(AddressFamily::INET).expect("socket");
        assert_eq!(set_defer_accept(&socket, 1), Ok(()));
        assert_eq!(set_fast_open(&socket, 16), Ok(()));
        // Allowed for root only; anything else is a defect of the call.
        assert!(matches!(
            set_transparent(&socket, true),
            Ok(()) | Err(Errno::PERM)
        ));
        let file = std::fs::File::open("/dev/null").expect("file");
        assert_eq!(set_fast_open(&file, 16), Err(Errno::NOTSOCK));
    }
}
