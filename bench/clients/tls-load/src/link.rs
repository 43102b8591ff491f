//! One connection, from connect to close.

use crate::poll::{Poll, connect};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a reply has to begin with.
const GOOD: &[u8] = b"HTTP/1.1 200";

/// How far a connection is.
pub enum Step {
    /// Waiting for the socket.
    Pending,
    /// The reply is there; only where connections stay.
    Answered,
    /// Over, and well.
    Done(Done),
}

/// What a connection was.
pub struct Done {
    /// From the connect to the end of the handshake.
    pub handshake: Duration,
    /// From the connect to the end of the reply.
    pub cycle: Duration,
    /// Full, resumed, or with one more round trip.
    pub kind: HandshakeKind,
    /// The server sent FIN without close_notify.
    pub truncated: bool,
}

/// A connection.
pub struct Link {
    socket: TcpStream,
    tls: ClientConnection,
    /// When it began to connect, or the last request after the first was made.
    pub started: Instant,
    handshake: Option<Duration>,
    reply: Vec<u8>,
    /// Length of a reply, learnt from the first: it is small and comes in one record.
    expected: usize,
    stays: bool,
}

impl Link {
    /// Begins to connect. The request goes with the client's last handshake message.
    pub fn open(
        poll: &Poll,
        number: usize,
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
        request: &[u8],
        stays: bool,
    ) -> io::Result<Link> {
        let started = Instant::now();
        let mut tls = ClientConnection::new(config.clone(), name.clone()).map_err(other)?;
        tls.writer().write_all(request)?;
        let socket = connect(address)?;
        poll.add(&socket, number)?;
        Ok(Link {
            socket,
            tls,
            started,
            handshake: None,
            reply: Vec::new(),
            expected: 0,
            stays,
        })
    }

    /// Does what can be done without waiting.
    pub fn drive(&mut self) -> io::Result<Step> {
        loop {
            self.flush()?;
            let read = match self.tls.read_tls(&mut self.socket) {
                Ok(read) => read,
                // Where what has to be written waits as well, the edge will tell.
                Err(error) if waits(&error) => return Ok(Step::Pending),
                Err(error) => return Err(error),
            };
            let state = self.tls.process_new_packets().map_err(other)?;
            if self.handshake.is_none() && !self.tls.is_handshaking() {
                self.handshake = Some(self.started.elapsed());
            }
            if state.plaintext_bytes_to_read() > 0 {
                self.take(state.plaintext_bytes_to_read())?;
                if self.stays && self.reply.len() >= self.expected {
                    self.expected = self.reply.len();
                    return Ok(Step::Answered);
                }
            }
            if read == 0 || state.peer_has_closed() {
                return self.finish(!state.peer_has_closed());
            }
        }
    }

    /// One more request on a connection that stays and has been answered. The
    /// next edge is that of the reply: what came before it has been read.
    pub fn again(&mut self, request: &[u8]) -> io::Result<()> {
        self.reply.clear();
        self.started = Instant::now();
        self.tls.writer().write_all(request)?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if waits(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> io::Result<()> {
        let at = self.reply.len();
        self.reply.resize(at + bytes, 0);
        self.tls.reader().read_exact(&mut self.reply[at..])?;
        if self.reply.len() >= GOOD.len() && !self.reply.starts_with(GOOD) {
            return Err(io::Error::other("a reply other than 200"));
        }
        Ok(())
    }

    fn finish(&mut self, truncated: bool) -> io::Result<Step> {
        let (Some(handshake), Some(kind)) = (self.handshake, self.tls.handshake_kind()) else {
            return Err(io::Error::other("closed before the handshake was complete"));
        };
        if self.stays {
            return Err(io::Error::other("a connection was closed"));
        }
        if self.reply.len() < GOOD.len() {
            return Err(io::Error::other("closed before the reply"));
        }
        let cycle = self.started.elapsed();
        self.tls.send_close_notify();
        // The server may have gone already: that is no fault after the end.
        let _ = self.tls.write_tls(&mut self.socket);
        Ok(Step::Done(Done {
            handshake,
            cycle,
            kind,
            truncated,
        }))
    }

    /// Version, suite and group in words.
    pub fn negotiated(&self) -> [String; 3] {
        let version = self
            .tls
            .protocol_version()
            .map(|version| format!("{version:?}"));
        let suite = self
            .tls
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()));
        let group = self
            .tls
            .negotiated_key_exchange_group()
            .map(|group| format!("{:?}", group.name()));
        [version, suite, group].map(Option::unwrap_or_default)
    }
}

fn waits(error: &io::Error) -> bool {
    // Not connected yet is also told as ENOTCONN.
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    )
}

fn other(error: rustls::Error) -> io::Error {
    io::Error::other(error)
}
