//! The TLS data layer of one connection, without I/O: records in, payload out,
//! and back. connection/data.rs reads and writes the socket.
//!
//! Idle, it holds rustls's state and nothing else: a part of a record that has
//! come, records that the socket did not take and payload that did not fit are
//! in lent buffers.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, ServerConfig};
use sluice_wire::errors::code;
use sluice_wire::events::tls_flag;

use super::error::{Failure, classify, is_unresolved};
use crate::stream::buffer::{Buffer, BufferPool, RECORDS_SIZE};

/// Most payload that [`Tls::seal`] takes at once; its records fit into the
/// pool's scratch memory, behind a few of the handshake's.
pub const SEAL_MAX: usize = 64 * 1024;

/// Type byte of records that carry an alert.
const ALERT_RECORD: u8 = 21;
/// Level of an alert that ends the connection.
const FATAL: u8 = 2;

enum Session {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// How far processing of received records came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is more to process.
    Again,
    /// More records are needed.
    Starved,
    /// The peer's close_notify was processed.
    PeerClosed,
}

/// What is known when the handshake is complete.
#[derive(Debug)]
pub struct Summary {
    /// Version in bits 16 to 31, cipher suite in bits 0 to 15.
    pub protocol: i32,
    /// `tls_flag` bits.
    pub flags: i32,
    /// One byte of length, the ALPN protocol, the peer's certificate in DER.
    pub bytes: Vec<u8>,
}

/// TLS state of a connection.
pub struct Tls {
    session: Session,
    /// The beginning of a record.
    incoming: Option<Buffer>,
    /// Records that wait to be sent.
    pub outgoing: Option<Buffer>,
    /// Payload that did not fit where it was read to.
    pub plain: Option<Buffer>,
    /// The peer's close_notify came.
    pub closed: bool,
    /// The peer's FIN came.
    pub fin: bool,
    /// Our close_notify is in `outgoing` or sent.
    pub notified: bool,
    /// The handshake has begun.
    pub started: bool,
    /// Policy wants to hear when the handshake first waits for its peer.
    pub tells: bool,
    /// Why the layer failed. Nothing can be read or written any more.
    pub failure: Option<Failure>,
    verifies: bool,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("closed", &self.closed)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// The server's side of a handshake.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot be used: a defect.
    pub fn accept(config: Arc<ServerConfig>) -> Result<Self, Failure> {
        match UnbufferedServerConnection::new(config) {
            Ok(session) => Ok(Self::new(Session::Server(session), true)),
            Err(error) => Err(classify(&error)),
        }
    }

    /// The client's side. `verifies`: the configuration verifies certificates.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot be used: a defect.
    pub fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        verifies: bool,
    ) -> Result<Self, Failure> {
        match UnbufferedClientConnection::new(config, name) {
            Ok(session) => Ok(Self::new(Session::Client(session), verifies)),
            Err(error) => Err(classify(&error)),
        }
    }

    fn new(session: Session, verifies: bool) -> Self {
        Self {
            session,
            incoming: None,
            outgoing: None,
            plain: None,
            closed: false,
            fin: false,
            notified: false,
            started: false,
            tells: false,
            failure: None,
            verifies,
        }
    }

    /// Takes over bytes that were read before TLS began.
    pub fn prepend(&mut self, bytes: Option<Buffer>) {
        self.incoming = bytes;
    }

    /// True until both directions are encrypted.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        match &self.session {
            Session::Server(session) => session.is_handshaking(),
            Session::Client(session) => session.is_handshaking(),
        }
    }

    /// Puts the beginning of a record at the front of `cipher`, where the rest
    /// is to be read behind it; returns its length.
    pub fn begin(&mut self, cipher: &mut [u8], buffers: &mut BufferPool) -> usize {
        let Some(buffer) = &self.incoming else {
            return 0;
        };
        let count = buffer.len();
        cipher[..count].copy_from_slice(buffer.bytes());
        buffers.give_back(&mut self.incoming);
        count
    }

    /// Puts the beginning of a record aside.
    pub fn keep(&mut self, record: &[u8], buffers: &mut BufferPool) {
        if !record.is_empty() {
            self.incoming = Some(buffers.lend(record));
        }
    }

    /// Processes records. Payload goes to the front of `into`, what does not
    /// fit to `plain`; what has to be sent to `outgoing`; the beginning of a
    /// record stays here. Returns the number of bytes in `into`.
    ///
    /// # Errors
    ///
    /// The failure is kept, and is every later answer; the alert about it is in
    /// `outgoing`, unless close_notify was our last word.
    pub fn open(
        &mut self,
        cipher: &mut [u8],
        into: &mut [u8],
        buffers: &mut BufferPool,
    ) -> Result<usize, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut sink = Sink {
            into,
            filled: 0,
            plain: &mut self.plain,
            outgoing: &mut self.outgoing,
            buffers,
        };
        let mut rest = cipher;
        let outcome = loop {
            let (used, step) = match &mut self.session {
                Session::Server(session) => sink.take(session.process_tls_records(rest)),
                Session::Client(session) => sink.take(session.process_tls_records(rest)),
            };
            rest = rest.get_mut(used..).unwrap_or_default();
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Starved) => break Ok(()),
                Ok(Step::PeerClosed) => self.closed = true,
                Err(error) => break Err(error),
            }
        };
        let filled = sink.filled;
        match outcome {
            Ok(()) => {
                if !self.closed {
                    self.keep(rest, buffers);
                }
                Ok(filled)
            }
            Err(error) => {
                if !self.notified {
                    self.take_alert(rest, buffers);
                }
                let failure = classify(&error);
                if is_unresolved(&error) {
                    self.correct_alert(buffers);
                }
                self.failure = Some(failure);
                Err(failure)
            }
        }
    }

    /// Takes the alert that rustls sends about its failure, and what it had to send
    /// before. `rest`: what it has not used, since it keeps positions in it.
    fn take_alert(&mut self, mut rest: &mut [u8], buffers: &mut BufferPool) {
        let mut sink = Sink {
            into: &mut [],
            filled: 0,
            plain: &mut self.plain,
            outgoing: &mut self.outgoing,
            buffers,
        };
        // Asked once more than there is to take, it would fail again, with another alert.
        while match &self.session {
            Session::Server(session) => session.wants_write(),
            Session::Client(session) => session.wants_write(),
        } {
            let (used, step) = match &mut self.session {
                Session::Server(session) => sink.take(session.process_tls_records(rest)),
                Session::Client(session) => sink.take(session.process_tls_records(rest)),
            };
            rest = rest.get_mut(used..).unwrap_or_default();
            if step.is_err() {
                return;
            }
        }
    }

    /// Makes access_denied, which rustls sends where no certificate can sign what the
    /// client verifies, handshake_failure (RFC 8446 section 4.4.3). Nothing is encrypted
    /// by then.
    fn correct_alert(&mut self, buffers: &mut BufferPool) {
        let Some(&[ALERT_RECORD, major, minor, 0, 2, FATAL, _]) =
            self.outgoing.as_ref().map(|records| records.bytes())
        else {
            return;
        };
        let alert = u8::from(AlertDescription::HandshakeFailure);
        buffers.give_back(&mut self.outgoing);
        self.outgoing = Some(buffers.lend(&[ALERT_RECORD, major, minor, 0, 2, FATAL, alert]));
    }

    /// Encrypts up to [`SEAL_MAX`] bytes into `cipher`, which has room for
    /// `RECORDS_SIZE`, behind the records that wait; with `last`, close_notify
    /// behind them. Returns the number of bytes to send.
    ///
    /// # Errors
    ///
    /// Where the session cannot encrypt any more; the failure is kept.
    pub fn seal(
        &mut self,
        bytes: &[u8],
        last: bool,
        cipher: &mut [u8],
        buffers: &mut BufferPool,
    ) -> Result<usize, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut at = 0;
        if let Some(buffer) = &self.outgoing {
            at = buffer.len();
            cipher[..at].copy_from_slice(buffer.bytes());
            buffers.give_back(&mut self.outgoing);
        }
        // A part of a handshake message may be in `incoming`, and rustls wants to
        // see it at every call; 16 kB at most, and rarely there.
        let mut begun: Vec<u8> = match &self.incoming {
            Some(buffer) => buffer.bytes().to_vec(),
            None => Vec::new(),
        };
        let notify = last && !self.notified;
        let room = cipher.get_mut(at..).unwrap_or_default();
        let written = match &mut self.session {
            Session::Server(session) => write(
                |begun, sink| sink.put(session.process_tls_records(begun)),
                &mut begun,
                Plain { bytes, notify },
                room,
            ),
            Session::Client(session) => write(
                |begun, sink| sink.put(session.process_tls_records(begun)),
                &mut begun,
                Plain { bytes, notify },
                room,
            ),
        };
        match written {
            Some(count) => {
                self.notified |= notify;
                Ok(at + count)
            }
            None => {
                let failure = Failure {
                    code: code::TLS_ERROR,
                    alert: 0,
                    by_peer: false,
                };
                self.failure = Some(failure);
                Err(failure)
            }
        }
    }

    /// What the handshake came to. Precondition: it is complete.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let (version, suite, kind, alpn, certificates) = match &self.session {
            Session::Server(session) => (
                session.protocol_version(),
                session.negotiated_cipher_suite(),
                session.handshake_kind(),
                session.alpn_protocol(),
                session.peer_certificates(),
            ),
            Session::Client(session) => (
                session.protocol_version(),
                session.negotiated_cipher_suite(),
                session.handshake_kind(),
                session.alpn_protocol(),
                session.peer_certificates(),
            ),
        };
        let version = version.map_or(0, u16::from);
        let suite = suite.map_or(0, |suite| u16::from(suite.suite()));
        let alpn = alpn.unwrap_or_default();
        let leaf = certificates
            .and_then(<[_]>::first)
            .map_or(&[][..], |leaf| leaf.as_ref());
        let mut flags = 0;
        if kind == Some(HandshakeKind::Resumed) {
            flags |= tls_flag::RESUMED;
        }
        if !leaf.is_empty() && self.verifies {
            flags |= tls_flag::VERIFIED;
        }
        let mut bytes = Vec::with_capacity(1 + alpn.len() + leaf.len());
        bytes.push(alpn.len() as u8);
        bytes.extend_from_slice(alpn);
        bytes.extend_from_slice(leaf);
        Summary {
            protocol: i32::from(version) << 16 | i32::from(suite),
            flags,
            bytes,
        }
    }

    /// Gives every lent buffer back.
    pub fn release(&mut self, buffers: &mut BufferPool) {
        buffers.give_back(&mut self.incoming);
        buffers.give_back(&mut self.outgoing);
        buffers.give_back(&mut self.plain);
    }
}

/// Where processed records go.
struct Sink<'a> {
    into: &'a mut [u8],
    filled: usize,
    plain: &'a mut Option<Buffer>,
    outgoing: &'a mut Option<Buffer>,
    buffers: &'a mut BufferPool,
}

impl Sink<'_> {
    /// Handles one status: bytes used, and how to go on.
    fn take<Data>(
        &mut self,
        status: UnbufferedStatus<'_, '_, Data>,
    ) -> (usize, Result<Step, rustls::Error>) {
        let UnbufferedStatus { mut discard, state } = status;
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        discard += record.discard;
                        self.payload(record.payload);
                    }
                    Some(Err(error)) => break Err(error),
                    None => break Ok(Step::Again),
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let mut room = [0; 1024];
                match data.encode(&mut room) {
                    Ok(count) => self
                        .buffers
                        .append(self.outgoing, room.get(..count).unwrap_or_default()),
                    Err(rustls::unbuffered::EncodeError::InsufficientSize(size)) => {
                        // Bounded by our own chain of certificates.
                        let mut room = vec![0; size.required_size];
                        if let Ok(count) = data.encode(&mut room) {
                            room.truncate(count);
                            self.buffers.append(self.outgoing, &room);
                        }
                    }
                    Err(_) => {}
                }
                Ok(Step::Again)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Step::Again)
            }
            Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
            // Early data is never accepted, so none is ever there.
            Ok(_) => Ok(Step::Starved),
            Err(error) => Err(error),
        };
        (discard, step)
    }

    fn payload(&mut self, bytes: &[u8]) {
        let room = self.into.len() - self.filled;
        let fits = if self.plain.is_some() {
            0
        } else {
            room.min(bytes.len())
        };
        let (now, later) = bytes.split_at(fits);
        self.into[self.filled..self.filled + fits].copy_from_slice(now);
        self.filled += fits;
        if !later.is_empty() {
            self.buffers.append(self.plain, later);
        }
    }
}

/// What is to be encrypted.
struct Plain<'a> {
    bytes: &'a [u8],
    notify: bool,
}

/// Where encrypted records go.
struct Writer<'a> {
    plain: Plain<'a>,
    room: &'a mut [u8],
    at: usize,
}

enum Put {
    Again,
    Done,
    Failed,
}

fn write<'a>(
    mut process: impl FnMut(&mut [u8], &mut Writer<'a>) -> Put,
    begun: &mut [u8],
    plain: Plain<'a>,
    room: &'a mut [u8],
) -> Option<usize> {
    let mut writer = Writer { plain, room, at: 0 };
    loop {
        match process(begun, &mut writer) {
            Put::Again => {}
            Put::Done => return Some(writer.at),
            Put::Failed => return None,
        }
    }
}

impl Writer<'_> {
    fn put<Data>(&mut self, status: UnbufferedStatus<'_, '_, Data>) -> Put {
        let room = self.room.get_mut(self.at..).unwrap_or_default();
        match status.state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                if !self.plain.bytes.is_empty() {
                    match traffic.encrypt(self.plain.bytes, room) {
                        Ok(count) => self.at += count,
                        Err(_) => return Put::Failed,
                    }
                }
                if self.plain.notify {
                    let room = self.room.get_mut(self.at..).unwrap_or_default();
                    match traffic.queue_close_notify(room) {
                        Ok(count) => self.at += count,
                        Err(_) => return Put::Failed,
                    }
                }
                Put::Done
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => match data.encode(room) {
                Ok(count) => {
                    self.at += count;
                    Put::Again
                }
                Err(_) => Put::Failed,
            },
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Put::Again
            }
            Ok(ConnectionState::PeerClosed) => Put::Again,
            // Payload is always taken out at once, and the handshake is complete.
            Ok(_) | Err(_) => Put::Failed,
        }
    }
}

const _: () = assert!(RECORDS_SIZE >= SEAL_MAX + SEAL_MAX / 64 + 4096);
