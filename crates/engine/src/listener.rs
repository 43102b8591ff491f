//! Listening sockets and what every connection accepted from them starts with.

use std::net::SocketAddr;
use std::os::fd::{FromRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketAddrUnix, bind, listen, sockopt};

use crate::sys::{self, Liveness};

/// Where to listen.
#[derive(Clone, Debug)]
pub enum ListenAddress {
    /// A TCP address. `v6only` counts for IPv6 alone.
    Tcp {
        /// Address and port; port 0 picks a free one.
        address: SocketAddr,
        /// Refuse IPv4 on `[::]`.
        v6only: bool,
    },
    /// A unix socket; a stale file is replaced. One that begins with '@' is abstract.
    Unix {
        /// Path of the socket.
        path: PathBuf,
        /// Permissions, or the process's umask.
        mode: Option<u32>,
    },
    /// A socket that the process inherited and that listens already.
    Inherited(RawFd),
}

/// What a listener does. Times are in milliseconds; 0 means none.
#[derive(Clone, Debug)]
pub struct ListenSpec {
    /// Where.
    pub address: ListenAddress,
    /// Length of the accept queue.
    pub backlog: i32,
    /// Connections at once.
    pub maxconn: usize,
    /// TCP_DEFER_ACCEPT in seconds, or 0.
    pub defer_accept: i32,
    /// TCP Fast Open queue, or 0.
    pub fast_open: i32,
    /// Share the port with other processes.
    pub reuse_port: bool,
    /// How a client that has vanished is noticed.
    pub liveness: Liveness,
    /// Accept for foreign addresses.
    pub transparent: bool,
    /// Report the destination before NAT.
    pub original_dst: bool,
    /// Handshake bits of every connection.
    pub handshakes: i32,
    /// Those that TypeScript is asked about.
    pub ask: i32,
    /// Most bytes of addresses and TLVs in a PROXY header of version 2.
    pub proxy_limit: usize,
    /// Ask about TLS as `NOT_TLS` where a client has sent nothing when its time is over.
    pub silence_asks: bool,
    /// Reply of HH_HEALTH.
    pub health_reply: Vec<u8>,
    /// From accept to the session, for what the engine does alone.
    pub handshake_timeout: u64,
    /// For one answer of TypeScript.
    pub verdict_timeout: u64,
    /// Route where a verdict is late, or -1 to close.
    pub fallback_route: i32,
    /// Client inactivity.
    pub client_timeout: u64,
    /// Client inactivity once either side is shut.
    pub client_fin_timeout: u64,
}

/// A listener as all workers share it.
#[derive(Debug)]
pub struct Listener {
    /// Its number.
    pub id: u32,
    /// What it does.
    pub spec: ListenSpec,
    /// Local address where it is a specific one: saves a getsockname() per connection.
    pub fixed_dst: Option<SocketAddr>,
    /// True for TCP sockets.
    pub tcp: bool,
    /// File of a unix socket.
    pub file: Option<SocketFile>,
    /// Connections now, in all workers.
    pub open: AtomicUsize,
    /// Paused by the operator.
    pub paused: AtomicBool,
}

/// A step of opening a listener that failed.
#[derive(Debug)]
pub struct ListenError {
    /// Name of the system call or check.
    pub step: &'static str,
    /// Why.
    pub error: Errno,
}

/// The sockets of a listener: one for each worker, or one for all.
#[derive(Debug)]
pub struct Opened {
    /// One a worker, in order.
    pub sockets: Vec<Arc<OwnedFd>>,
    /// True where they are all the same socket.
    pub shared: bool,
    /// Actual address, for TCP.
    pub local: Option<SocketAddr>,
    /// File of a unix socket.
    pub file: Option<SocketFile>,
}

/// Binds and listens.
///
/// # Errors
///
/// The step that failed and why; nothing stays open.
pub fn open(spec: &ListenSpec, workers: usize) -> std::result::Result<Opened, ListenError> {
    match &spec.address {
        ListenAddress::Tcp { address, v6only } => {
            let mut address = *address;
            let mut sockets = Vec::with_capacity(workers);
            // The workers' sockets share the port, and so would another process's:
            // one that shares it with nobody finds out whether it is free.
            let share = workers > 1 || spec.reuse_port;
            if share && !spec.reuse_port && address.port() != 0 {
                bind_tcp(spec, &address, *v6only, false)?;
            }
            for _ in 0..workers {
                let socket = bind_tcp(spec, &address, *v6only, share)?;
                listen_tcp(spec, &socket)?;
                if let Some(local) = sys::local_address(&socket) {
                    address.set_port(local.port());
                }
                sockets.push(Arc::new(socket));
            }
            Ok(Opened {
                sockets,
                shared: false,
                local: Some(address),
                file: None,
            })
        }
        ListenAddress::Unix { path, mode } => {
            let (socket, file) = open_unix(spec, path, *mode)?;
            let shared = share(socket, workers);
            Ok(Opened { file, ..shared })
        }
        ListenAddress::Inherited(fd) => {
            let socket = at("dup", duplicate(*fd))?;
            if !at("getsockopt", sockopt::socket_acceptconn(&socket))? {
                return Err(ListenError {
                    step: "inherited socket",
                    error: Errno::INVAL,
                });
            }
            at("fcntl", rustix::io::ioctl_fionbio(&socket, true))?;
            if sys::local_address(&socket).is_some() {
                set_inherited(spec, &socket)?;
            }
            Ok(share(socket, workers))
        }
    }
}

fn share(socket: OwnedFd, workers: usize) -> Opened {
    let local = sys::local_address(&socket);
    let socket = Arc::new(socket);
    Opened {
        sockets: vec![socket; workers],
        shared: workers > 1,
        local,
        file: None,
    }
}

fn bind_tcp(
    spec: &ListenSpec,
    address: &SocketAddr,
    v6only: bool,
    reuse_port: bool,
) -> std::result::Result<OwnedFd, ListenError> {
    let socket = at("socket", sys::stream_socket(sys::family_of(address)))?;
    at("SO_REUSEADDR", sockopt::set_socket_reuseaddr(&socket, true))?;
    if reuse_port {
        at("SO_REUSEPORT", sockopt::set_socket_reuseport(&socket, true))?;
    }
    if address.is_ipv6() {
        at("IPV6_V6ONLY", sockopt::set_ipv6_v6only(&socket, v6only))?;
    }
    if spec.transparent {
        at(
            "IP_TRANSPARENT",
            sys::set_transparent(&socket, address.is_ipv4()),
        )?;
    }
    at("bind", bind(&socket, address))?;
    Ok(socket)
}

/// Most bytes of a client's socket that the kernel may hold beside what is on its way.
/// Without a limit a client that does not read holds 4 MB of them, and a few hundred such
/// clients all the memory that the kernel has for TCP: then it drops segments of everybody,
/// and each one costs a retransmission of 200 ms.
const UNSENT_LIMIT: u32 = 1024 * 1024;

/// Options that accepted sockets inherit on Linux: no system call for each.
fn set_inherited(spec: &ListenSpec, socket: &OwnedFd) -> std::result::Result<(), ListenError> {
    at("TCP_NODELAY", sockopt::set_tcp_nodelay(socket, true))?;
    sys::set_unsent_limit(socket, UNSENT_LIMIT);
    at("keep-alive", spec.liveness.apply(socket))
}

fn listen_tcp(spec: &ListenSpec, socket: &OwnedFd) -> std::result::Result<(), ListenError> {
    set_inherited(spec, socket)?;
    if spec.defer_accept > 0 {
        at(
            "TCP_DEFER_ACCEPT",
            sys::set_defer_accept(socket, spec.defer_accept),
        )?;
    }
    at("listen", listen(socket, spec.backlog))?;
    if spec.fast_open > 0 {
        at("TCP_FASTOPEN", sys::set_fast_open(socket, spec.fast_open))?;
    }
    Ok(())
}

fn open_unix(
    spec: &ListenSpec,
    path: &Path,
    mode: Option<u32>,
) -> std::result::Result<(OwnedFd, Option<SocketFile>), ListenError> {
    let address = at("path", sys::unix_address(path))?;
    let socket = at("socket", sys::stream_socket(AddressFamily::UNIX))?;
    if sys::abstract_name(path).is_some() {
        at("bind", bind(&socket, &address))?;
        at("listen", listen(&socket, spec.backlog))?;
        return Ok((socket, None));
    }
    match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => {
            replace_stale(path, &address)?;
            at("bind", bind(&socket, &address))?;
        }
        outcome => at("bind", outcome)?,
    }
    let file = at("stat", SocketFile::of(path))?;
    let mode = mode.map(|mode| rustix::fs::Mode::from_raw_mode(mode as _));
    let chmod = |mode| at("chmod", rustix::fs::chmod(path, mode));
    mode.map_or(Ok(()), chmod)
        .and_then(|()| at("listen", listen(&socket, spec.backlog)))
        .inspect_err(|_| file.remove())?;
    Ok((socket, Some(file)))
}

/// Removes a socket file that nobody listens on: it is left over from a crash.
fn replace_stale(path: &Path, address: &SocketAddrUnix) -> std::result::Result<(), ListenError> {
    let stat = at("stat", rustix::fs::stat(path))?;
    let is_socket = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_socket();
    let probe = at("socket", sys::stream_socket(AddressFamily::UNIX))?;
    let refused = rustix::net::connect(&probe, address) == Err(Errno::CONNREFUSED);
    if !is_socket || !refused {
        return Err(ListenError {
            step: "bind",
            error: Errno::ADDRINUSE,
        });
    }
    at("unlink", rustix::fs::unlink(path))
}

/// The file of a unix socket that was made here.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process may have put its own socket there.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    /// Removes it, where it is still ours. Precondition: the socket is open, which keeps
    /// the number of its inode from being used again.
    pub fn remove(&self) {
        if identity(&self.path) == Ok(self.identity) {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

#[allow(clippy::unnecessary_cast)] // The types differ from system to system.
fn identity(path: &Path) -> Result<(u64, u64)> {
    let stat = rustix::fs::lstat(path)?;
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}

/// Duplicates an inherited descriptor, so that closing ours leaves theirs.
fn duplicate(fd: RawFd) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: plain system call; a bad number is an EBADF.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: `copy` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn at<T>(step: &'static str, outcome: Result<T>) -> std::result::Result<T, ListenError> {
    outcome.map_err(|error| ListenError { step, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A specification with every option off.
    fn spec(address: ListenAddress) -> ListenSpec {
        ListenSpec {
            address,
            backlog: 16,
            maxconn: 16,
            defer_accept: 0,
            fast_open: 0,
            reuse_port: false,
            proxy_limit: 0,
            silence_asks: false,
            liveness: Liveness::default(),
            transparent: false,
            original_dst: false,
            handshakes: 0,
            ask: 0,
            health_reply: Vec::new(),
            handshake_timeout: 0,
            verdict_timeout: 0,
            fallback_route: -1,
            client_timeout: 0,
            client_fin_timeout: 0,
        }
    }

    #[test]
    fn workers_share_a_free_port() {
        let address = "127.0.0.1:0".parse().expect("address");
        let opened = open(
            &spec(ListenAddress::Tcp {
                address,
                v6only: false,
            }),
            3,
        )
        .expect("listen");
        assert_eq!(opened.sockets.len(), 3);
        assert!(opened.local.is_some_and(|local| local.port() != 0));
    }

    #[test]
    fn a_port_in_use_is_named_with_its_step() {
        let address = "127.0.0.1:0".parse().expect("address");
        let first = open(
            &spec(ListenAddress::Tcp {
                address,
                v6only: false,
            }),
            1,
        )
        .expect("listen");
        let address = first.local.expect("address");
        let error = open(
            &spec(ListenAddress::Tcp {
                address,
                v6only: false,
            }),
            1,
        )
        .expect_err("the port is taken");
        assert_eq!((error.step, error.error), ("bind", Errno::ADDRINUSE));
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let path = std::env::temp_dir().join(format!("sluice-{}.sock", std::process::id()));
        let address = ListenAddress::Unix {
            path: path.clone(),
            mode: Some(0o600),
        };
        let first = open(&spec(address.clone()), 1).expect("listen");
        let error = open(&spec(address.clone()), 1).expect_err("somebody listens");
        assert_eq!(error.error, Errno::ADDRINUSE);
        drop(first);
        let second = open(&spec(address), 2).expect("a stale file is replaced");
        assert!(second.shared);
        let _ = std::fs::remove_file(path);
    }

    /// Opens a unix socket at `path`.
    fn unix(path: &Path, mode: Option<u32>) -> std::result::Result<Opened, ListenError> {
        let path = path.to_owned();
        open(&spec(ListenAddress::Unix { path, mode }), 1)
    }

    #[test]
    fn a_file_that_somebody_else_put_there_stays() {
        let path = std::env::temp_dir().join(format!("sluice-own-{}.sock", std::process::id()));
        // The sockets stay open: an open one holds its inode, so that nobody gets the number.
        let one = unix(&path, None).expect("listen");
        std::fs::remove_file(&path).expect("remove");
        let other = unix(&path, None).expect("listen");
        let (first, second) = (one.file.expect("a file"), other.file.expect("a file"));
        first.remove();
        assert!(path.exists());
        second.remove();
        assert!(!path.exists());
        second.remove();
    }

    /// chmod fails on this thread from here on, also for root.
    #[cfg(target_os = "linux")]
    fn forbid_chmod() {
        let step = |code: u32, jf: u8, k: u32| libc::sock_filter {
            code: code as u16,
            jt: 0,
            jf,
            k,
        };
        let refusal = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        let filter = [
            // The number of the system call comes first in what is looked at.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
            step(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                1,
                libc::SYS_fchmodat as u32,
            ),
            step(libc::BPF_RET | libc::BPF_K, 0, refusal),
            step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_ptr().cast_mut(),
        };
        // SAFETY: plain numbers, and a program that lives through the call, which copies it.
        let outcomes = unsafe {
            [
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program,
                ),
            ]
        };
        assert_eq!(outcomes, [0, 0], "{}", std::io::Error::last_os_error());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_chmod_that_fails_leaves_no_file() {
        let path = std::env::temp_dir().join(format!("sluice-mode-{}.sock", std::process::id()));
        let refused = std::thread::scope(|scope| {
            let bind = scope.spawn(|| {
                forbid_chmod();
                unix(&path, Some(0o600)).map(|_| ())
            });
            bind.join().expect("thread")
        });
        let error = refused.expect_err("the mode is not what was asked for");
        assert_eq!((error.step, error.error), ("chmod", Errno::PERM));
        assert!(!path.exists());
        // The next one finds nothing in its way.
        let opened = unix(&path, Some(0o600)).expect("listen");
        opened.file.expect("a file").remove();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_abstract_name_is_no_file() {
        let name = format!("@sluice-{}", std::process::id());
        let opened = unix(Path::new(&name), None).expect("listen");
        assert!(opened.file.is_none());
        assert!(!Path::new(&name).exists());
        let error = unix(Path::new(&name), None).expect_err("somebody listens");
        assert_eq!((error.step, error.error), ("bind", Errno::ADDRINUSE));
        let socket = sys::stream_socket(AddressFamily::UNIX).expect("socket");
        sys::connect_unix(&socket, Path::new(&name)).expect("connect");
    }

    #[test]
    fn an_inherited_fd_must_listen() {
        assert!(open(&spec(ListenAddress::Inherited(-1)), 1).is_err());
        let socket = sys::stream_socket(AddressFamily::INET).expect("socket");
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        let error = open(&spec(ListenAddress::Inherited(fd)), 1).expect_err("it does not listen");
        assert_eq!(error.error, Errno::INVAL);
    }
}
