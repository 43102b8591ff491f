//! Sockets: making them, options that rustix does not know, and what errno means.

use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, socket_with,
};
use sluice_wire::errors::{by, code};

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

/// Address of a unix socket. A name that begins with '@' is in the abstract
/// namespace of Linux and no file.
///
/// # Errors
///
/// A path that is too long, or an abstract name where the system has none.
pub fn unix_address(path: &Path) -> Result<SocketAddrUnix> {
    let Some(name) = abstract_name(path) else {
        return SocketAddrUnix::new(path);
    };
    #[cfg(target_os = "linux")]
    {
        SocketAddrUnix::new_abstract_name(name)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = name;
        Err(Errno::INVAL)
    }
}

/// The name behind the '@' of an abstract address.
#[must_use]
pub fn abstract_name(path: &Path) -> Option<&[u8]> {
    path.as_os_str().as_bytes().strip_prefix(b"@")
}

/// Reads an IP address. An IPv6 address may name its interface: `fe80::1%eth0`,
/// `fe80::1%2`. One that does not exist is 0, which the kernel refuses where a
/// scope is needed.
#[must_use]
pub fn parse_address(text: &str, port: u16) -> Option<SocketAddr> {
    let Some((ip, zone)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, port));
    };
    let scope = match zone.parse() {
        Ok(number) => number,
        Err(_) => interface_index(zone),
    };
    Some(SocketAddrV6::new(ip.parse().ok()?, port, 0, scope).into())
}

/// Number of an interface, or 0.
fn interface_index(name: &str) -> u32 {
    let Ok(name) = std::ffi::CString::new(name) else {
        return 0;
    };
    // SAFETY: the string ends with a NUL byte and lives through the call.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// A connect that has begun.
#[derive(Debug)]
pub struct Started {
    /// Connected, or about to be.
    pub socket: OwnedFd,
    /// The accept queue of the unix socket is full: nothing has begun, and the
    /// kernel will not tell when there is room.
    pub full: bool,
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
) -> std::result::Result<Started, (Errno, i32)> {
    let plain = |error: Errno| (error, connect_code(error));
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
            let outcome = connect_unix(&socket, path);
            if outcome == Err(Errno::AGAIN) {
                return Ok(Started { socket, full: true });
            }
            (socket, outcome)
        }
    };
    match outcome {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(Started {
            socket,
            full: false,
        }),
        Err(error) => Err(plain(error)),
    }
}

/// Connects to a unix socket.
///
/// # Errors
///
/// As connect() has them; EAGAIN where its accept queue is full.
pub fn connect_unix(socket: impl AsFd, path: &Path) -> Result<()> {
    let socket = socket.as_fd();
    let outcome = rustix::net::connect(socket, &unix_address(path)?);
    #[cfg(target_os = "linux")]
    if outcome == Err(Errno::CONNREFUSED)
        && let Some(name) = abstract_name(path)
    {
        // HAProxy's abns@ and Node before 22 fill the whole of sun_path with NULs.
        let mut padded = [0; 107];
        let length = name.len().min(padded.len());
        padded[..length].copy_from_slice(&name[..length]);
        return rustix::net::connect(socket, &SocketAddrUnix::new_abstract_name(&padded)?);
    }
    outcome
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

/// Destination before NAT, where the kernel knows one. `client`: whose socket it is.
#[must_use]
pub fn original_destination(socket: impl AsFd, client: SocketAddr) -> Option<SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};
        if came_by_ipv4(client) {
            ip_original_dst(socket).ok().map(SocketAddr::V4)
        } else {
            ipv6_original_dst(socket).ok().map(SocketAddr::V6)
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, client);
        None
    }
}

/// A client of IPv4, also where the listener is one of IPv6 and says `::ffff:`: NAT
/// knows it by its IPv4 addresses only.
#[cfg(any(target_os = "linux", test))]
fn came_by_ipv4(client: SocketAddr) -> bool {
    client.ip().to_canonical().is_ipv4()
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

/// Bounds what a socket holds that is not on its way yet (TCP_NOTSENT_LOWAT). Where the
/// system has no such option the socket's buffer is the bound.
pub fn set_unsent_limit(socket: impl AsFd, bytes: u32) {
    #[cfg(target_os = "linux")]
    let _ = set_option(
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_NOTSENT_LOWAT,
        bytes as i32,
    );
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, bytes);
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

/// The close code of an errno on a connection that stands.
#[must_use]
pub fn code_of(error: Errno) -> i32 {
    match error {
        Errno::CONNRESET | Errno::PIPE => code::RESET,
        Errno::CONNABORTED => code::ABORTED,
        // The peer does not answer: keep-alive or retransmissions have run out.
        Errno::TIMEDOUT => code::UNREACHABLE,
        Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::HOSTDOWN => {
            code::UNREACHABLE
        }
        Errno::MFILE | Errno::NFILE => code::FD_EXHAUSTED,
        Errno::NOMEM | Errno::NOBUFS => code::NO_MEMORY,
        _ => code::IO_ERROR,
    }
}

/// The close code of an errno of socket(), bind() or connect().
#[must_use]
pub fn connect_code(error: Errno) -> i32 {
    match error {
        Errno::CONNREFUSED | Errno::NOENT => code::REFUSED,
        Errno::TIMEDOUT => code::CONNECT_TIMEOUT,
        Errno::ADDRNOTAVAIL => code::PORTS_EXHAUSTED,
        Errno::ACCESS
        | Errno::PERM
        | Errno::AFNOSUPPORT
        | Errno::INVAL
        | Errno::NAMETOOLONG
        | Errno::ADDRINUSE
        | Errno::NOTSOCK
        | Errno::PROTOTYPE => code::BAD_ADDRESS,
        error => code_of(error),
    }
}

/// Who is to blame for a connect that failed: the local end's troubles are the proxy's.
#[must_use]
pub fn connect_blame(code: i32) -> i32 {
    match code {
        code::CONNECT_TIMEOUT => by::TIMEOUT,
        code::BAD_ADDRESS | code::PORTS_EXHAUSTED | code::FD_EXHAUSTED | code::NO_MEMORY => {
            by::PROXY
        }
        _ => by::SERVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_a_dual_stack_listener_is_asked_for_by_its_own_family() {
        let by_ipv4 = |client: &str| came_by_ipv4(client.parse().expect("address"));
        assert!(by_ipv4("192.0.2.1:1000"));
        assert!(by_ipv4("[::ffff:192.0.2.1]:1000"));
        assert!(!by_ipv4("[2001:db8::1]:1000"));
        assert!(!by_ipv4("[::1]:1000"));
        // Addresses that only hold one of IPv4 are IPv6 on the wire.
        assert!(!by_ipv4("[::192.0.2.1]:1000"));
        assert!(!by_ipv4("[64:ff9b::192.0.2.1]:1000"));
    }

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
    fn the_phase_decides_what_an_errno_means() {
        for error in [Errno::PERM, Errno::ACCESS, Errno::INVAL] {
            assert_eq!(connect_code(error), code::BAD_ADDRESS);
            assert_eq!(code_of(error), code::IO_ERROR);
        }
        assert_eq!(connect_code(Errno::TIMEDOUT), code::CONNECT_TIMEOUT);
        assert_eq!(code_of(Errno::TIMEDOUT), code::UNREACHABLE);
        assert_eq!(connect_code(Errno::CONNRESET), code::RESET);
        let by = |error| connect_blame(connect_code(error));
        assert_eq!(by(Errno::CONNREFUSED), by::SERVER);
        assert_eq!(by(Errno::PERM), by::PROXY);
        assert_eq!(by(Errno::TIMEDOUT), by::TIMEOUT);
    }

    #[test]
    fn addresses_may_name_their_interface() {
        let of = |text| parse_address(text, 80).map(|address| address.to_string());
        assert_eq!(of("127.0.0.1").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(of("fe80::1%7").as_deref(), Some("[fe80::1%7]:80"));
        let lo = interface_index("lo");
        assert_ne!(lo, 0);
        assert_eq!(of("fe80::1%lo"), Some(format!("[fe80::1%{lo}]:80")));
        // As if it had none: the kernel says what is wrong.
        assert_eq!(of("fe80::1%nosuch0").as_deref(), Some("[fe80::1]:80"));
        for wrong in ["", "a", "127.0.0.1%lo", "fe80::1%lo%lo:", "fe80::1%\0"] {
            let parsed = of(wrong);
            assert!(
                parsed.is_none() || parsed.as_deref() == Some("[fe80::1]:80"),
                "{wrong}: {parsed:?}"
            );
        }
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
