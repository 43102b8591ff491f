//! The other ends of connections: clients, servers, and what they send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::PATIENCE;

/// Connects with time-outs that make a test fail instead of hang.
#[must_use]
pub fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    patient(&stream);
    stream
}

#[must_use]
pub fn accept(listener: &TcpListener) -> TcpStream {
    let wait = rustix::net::sockopt::Timeout::Recv;
    rustix::net::sockopt::set_socket_timeout(listener, wait, Some(PATIENCE)).expect("timeout");
    let (stream, _) = listener.accept().expect("accept");
    patient(&stream);
    stream
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
    stream.set_nodelay(true).expect("nodelay");
}

/// Closes with RST.
pub fn reset(stream: TcpStream) {
    let now = Some(Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(stream.as_fd(), now).expect("linger");
    drop(stream);
}

/// Reads exactly these bytes.
pub fn expect(stream: &mut impl Read, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).expect("bytes");
    assert_eq!(read, bytes);
}

/// The next thing to read is the FIN.
pub fn expect_fin(stream: &mut impl Read) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("a FIN");
    assert_eq!(rest, b"");
}

/// Writes until nothing more is taken; returns the number of bytes.
pub fn fill_up(stream: &mut TcpStream, pattern: &Pattern) -> usize {
    stream.set_nonblocking(true).expect("nonblocking");
    let (mut written, mut idle) = (0, 0);
    while idle < 20 {
        match stream.write(pattern.at(written, 65_536)) {
            Ok(count) => {
                written += count;
                idle = 0;
            }
            Err(_) => {
                idle += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        assert!(written < 512 * 1024 * 1024, "nothing holds the writer back");
    }
    stream.set_nonblocking(false).expect("blocking");
    written
}

/// Reading ends with a reset.
pub fn expect_reset(stream: &mut impl Read) {
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// Bytes that differ everywhere: position `n` of every stream holds the same byte.
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// A prime, so that no buffer size divides it.
    const PERIOD: usize = 65_521;

    #[must_use]
    pub fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(Self::PERIOD);
        bytes.resize_with(Self::PERIOD, || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        });
        Self(bytes)
    }

    /// Up to `longest` bytes of the stream from position `at`.
    #[must_use]
    pub fn at(&self, at: usize, longest: usize) -> &[u8] {
        let from = at % Self::PERIOD;
        &self.0[from..Self::PERIOD.min(from + longest)]
    }

    pub fn write(&self, stream: &mut impl Write, total: usize) {
        let mut done = 0;
        while done < total {
            let chunk = self.at(done, total - done);
            stream.write_all(chunk).expect("write");
            done += chunk.len();
        }
    }

    /// Reads to the FIN and checks every byte.
    pub fn read(&self, stream: &mut impl Read, total: usize) {
        let (done, end) = self.read_all(stream);
        end.expect("a FIN");
        assert_eq!(done, total);
    }

    /// Reads to a reset and checks every byte; returns their number.
    pub fn read_to_reset(&self, stream: &mut impl Read) -> usize {
        let (done, end) = self.read_all(stream);
        let error = end.expect_err("a reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        done
    }

    fn read_all(&self, stream: &mut impl Read) -> (usize, std::io::Result<()>) {
        let mut buffer = vec![0; 256 * 1024];
        let mut done = 0;
        loop {
            let count = match stream.read(&mut buffer) {
                Ok(0) => return (done, Ok(())),
                Ok(count) => count,
                Err(error) => return (done, Err(error)),
            };
            let mut checked = 0;
            while checked < count {
                let expected = self.at(done + checked, count - checked);
                let got = &buffer[checked..checked + expected.len()];
                assert!(got == expected, "wrong bytes behind {}", done + checked);
                checked += expected.len();
            }
            done += count;
        }
    }
}

/// Descriptors of this process.
#[must_use]
pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("fds").count()
}

/// The process has one free descriptor left while this lives, however many it
/// has inherited and whatever numbers those have.
pub struct OneDescriptorLeft {
    before: Rlimit,
}

impl OneDescriptorLeft {
    #[must_use]
    pub fn set() -> Self {
        let before = getrlimit(Resource::Nofile);
        // The limit is on numbers, not on a count: every number below this is taken.
        let free = rustix::io::dup(std::io::stdin()).expect("dup").as_raw_fd();
        let low = Rlimit {
            current: Some(free as u64 + 1),
            ..before
        };
        setrlimit(Resource::Nofile, low).expect("setrlimit");
        Self { before }
    }
}

impl Drop for OneDescriptorLeft {
    /// On a panic as well: the tests behind need theirs.
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.before).expect("setrlimit");
    }
}

/// A server that sends back what it gets, on threads of its own, until dropped.
pub struct Echo {
    pub address: SocketAddr,
    _stop: mpsc::Sender<()>,
}

impl Echo {
    /// Serves connections one after another: for many short ones.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("upstream");
        let address = listener.local_addr().expect("address");
        let (stop, stopped) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
            }
        });
        Self {
            address,
            _stop: stop,
        }
    }
}
