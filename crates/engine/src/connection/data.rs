//! The data layer: raw bytes, or TLS. Everything above reads and writes payload
//! here and does not know which it is.

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sluice_wire::errors::code;

use super::Connection;
use crate::stream::buffer::BufferPool;
use crate::sys;
use crate::tls::error::Failure;
use crate::tls::layer::{SEAL_MAX, Tls};

/// Stands for a failure of the TLS layer, which [`Tls::failure`] explains.
pub const TLS_FAILED: Errno = Errno::PROTO;
/// Records that wait and are longer than this go out on their own.
const MERGE_MAX: usize = 4096;

/// How a TLS handshake stands.
#[derive(Clone, Copy, Debug)]
pub enum Handshaking {
    /// Complete.
    Done,
    /// Waits for the peer, or for room in the socket.
    Waiting,
    /// The peer's end came instead.
    Aborted,
    /// The socket failed.
    Broken(Errno),
    /// It failed; the alert is in `outgoing`.
    Failed(Failure),
}

/// Reads payload into `into`, keeping track of readiness, the end and the byte
/// count. 0 means that the end was read; AGAIN that nothing is there.
///
/// # Errors
///
/// AGAIN, an error of the socket, or [`TLS_FAILED`].
pub fn read(
    source: &mut Connection,
    into: &mut [u8],
    buffers: &mut BufferPool,
) -> Result<usize, Errno> {
    if let Some(mut tls) = source.tls.take() {
        let outcome = read_records(source, &mut tls, into, buffers);
        source.tls = Some(tls);
        return outcome;
    }
    let (count, fin) = receive(source, into)?;
    source.bytes_in += count as u64;
    source.eof = fin;
    Ok(count)
}

/// Writes payload, keeping track of the byte count; may take less than all of
/// it. `last` says that a FIN follows at once: it then shares the last segment,
/// and with TLS so does close_notify.
///
/// # Errors
///
/// AGAIN, an error of the socket, or [`TLS_FAILED`].
pub fn write(
    target: &mut Connection,
    bytes: &[u8],
    last: bool,
    buffers: &mut BufferPool,
) -> Result<usize, Errno> {
    if let Some(mut tls) = target.tls.take() {
        let outcome = write_records(target, &mut tls, bytes, last, buffers);
        target.tls = Some(tls);
        return outcome;
    }
    let count = transmit(target, bytes, last)?;
    target.bytes_out += count as u64;
    Ok(count)
}

/// Sends the records that wait; true where none waits any more.
///
/// # Errors
///
/// An error of the socket.
pub fn flush(target: &mut Connection, buffers: &mut BufferPool) -> Result<bool, Errno> {
    if target.tls.as_ref().is_none_or(|tls| tls.outgoing.is_none()) {
        return Ok(true);
    }
    let Some(mut tls) = target.tls.take() else {
        return Ok(true);
    };
    let outcome = flush_records(target, &mut tls, buffers);
    target.tls = Some(tls);
    outcome
}

/// Shuts the write side of the data layer: with TLS close_notify, unless it is
/// sent already or would be a lie. False where the socket has no room for it yet.
pub fn notify(target: &mut Connection, buffers: &mut BufferPool) -> bool {
    let Some(mut tls) = target.tls.take() else {
        return true;
    };
    if tls.failure.is_none() && !tls.notified && !tls.mute && !tls.is_handshaking() {
        // A failure of the layer has nothing more to say: the FIN alone tells.
        let _ = send_sealed(target, &mut tls, &[], true, buffers);
    }
    // Where the socket is broken there is nothing to wait for.
    let sent = flush_records(target, &mut tls, buffers).unwrap_or(true);
    target.tls = Some(tls);
    sent
}

/// What a failed read or write means: the code, and the errno or the number of
/// the peer's alert. Our own alert goes out, if the socket takes it.
pub fn explain(failed: &mut Connection, error: Errno, buffers: &mut BufferPool) -> (i32, i32) {
    if error == TLS_FAILED
        && let Some(tls) = &failed.tls
    {
        let failure = tls.failure;
        let _ = flush(failed, buffers);
        return failure.map_or((code::TLS_ERROR, 0), |it| (it.code, it.alert));
    }
    (sys::code_of(error), error.raw_os_error())
}

/// Goes on with the TLS handshake.
pub fn handshake(connection: &mut Connection, buffers: &mut BufferPool) -> Handshaking {
    let Some(mut tls) = connection.tls.take() else {
        return Handshaking::Done;
    };
    let outcome = handshake_records(connection, &mut tls, buffers);
    // Payload behind the handshake is read like payload that has just come.
    connection.readable |= tls.plain.is_some() || tls.closed || tls.fin;
    connection.tls = Some(tls);
    outcome
}

fn handshake_records(
    connection: &mut Connection,
    tls: &mut Tls,
    buffers: &mut BufferPool,
) -> Handshaking {
    if !tls.started {
        // What was read before TLS began; the client's first flight.
        tls.started = true;
        let mut records = buffers.take_records();
        let begun = tls.begin(&mut records, buffers);
        let outcome = tls.open(&mut records[..begun], &mut [], buffers);
        buffers.put_records(records);
        if let Err(failure) = outcome {
            return Handshaking::Failed(failure);
        }
    }
    loop {
        match flush_records(connection, tls, buffers) {
            Ok(true) => {}
            Ok(false) => return Handshaking::Waiting,
            Err(error) => return Handshaking::Broken(error),
        }
        if !tls.is_handshaking() {
            return Handshaking::Done;
        }
        if tls.closed || tls.fin {
            return Handshaking::Aborted;
        }
        if !connection.readable {
            return Handshaking::Waiting;
        }
        match receive_records(connection, tls, &mut [], buffers) {
            Ok(_) => {}
            Err(Errno::AGAIN) => return Handshaking::Waiting,
            Err(error) => {
                return match tls.failure {
                    Some(failure) => Handshaking::Failed(failure),
                    None => Handshaking::Broken(error),
                };
            }
        }
    }
}

fn read_records(
    source: &mut Connection,
    tls: &mut Tls,
    into: &mut [u8],
    buffers: &mut BufferPool,
) -> Result<usize, Errno> {
    if tls.failure.is_some() {
        return Err(TLS_FAILED);
    }
    let mut count = 0;
    if let Some(buffer) = &tls.plain {
        count = buffer.len().min(into.len());
        into[..count].copy_from_slice(&buffer.bytes()[..count]);
        buffers.consume(&mut tls.plain, count);
    }
    // A record may bring no payload, or only a part of itself.
    while count == 0 && source.readable && !tls.closed && !tls.fin {
        count = receive_records(source, tls, into, buffers)?;
    }
    source.bytes_in += count as u64;
    if tls.plain.is_some() {
        source.readable = true;
    } else if tls.closed || tls.fin {
        source.eof = true;
        source.readable = false;
        tls.truncated = !tls.closed && !tls.notified;
    } else if count == 0 {
        return Err(Errno::AGAIN);
    }
    Ok(count)
}

/// One recv() and what it brings; payload goes into `into` and `plain`.
fn receive_records(
    source: &mut Connection,
    tls: &mut Tls,
    into: &mut [u8],
    buffers: &mut BufferPool,
) -> Result<usize, Errno> {
    let mut records = buffers.take_records();
    let begun = tls.begin(&mut records, buffers);
    let outcome = match receive(source, &mut records[begun..SEAL_MAX]) {
        // No room is left: a handshake message in more records than it may have.
        Ok((0, _)) if begun == SEAL_MAX => {
            tls.failure = Some(Failure {
                code: code::TLS_MALFORMED,
                alert: 0,
                by_peer: true,
            });
            Err(TLS_FAILED)
        }
        Ok((count, fin)) => {
            tls.fin |= fin;
            tls.open(&mut records[..begun + count], into, buffers)
                .map_err(|_| TLS_FAILED)
        }
        Err(error) => {
            tls.keep(&records[..begun], buffers);
            Err(error)
        }
    };
    buffers.put_records(records);
    outcome
}

fn write_records(
    target: &mut Connection,
    tls: &mut Tls,
    bytes: &[u8],
    last: bool,
    buffers: &mut BufferPool,
) -> Result<usize, Errno> {
    if tls.failure.is_some() {
        return Err(TLS_FAILED);
    }
    let waits = tls.outgoing.as_ref().map_or(0, |records| records.len());
    if waits > MERGE_MAX && !flush_records(target, tls, buffers)? {
        return Err(Errno::AGAIN);
    }
    let count = bytes.len().min(SEAL_MAX);
    let last = last && count == bytes.len();
    send_sealed(target, tls, &bytes[..count], last, buffers)?;
    target.bytes_out += count as u64;
    Ok(count)
}

/// Encrypts and sends; what the socket does not take waits in `outgoing`.
fn send_sealed(
    target: &mut Connection,
    tls: &mut Tls,
    bytes: &[u8],
    last: bool,
    buffers: &mut BufferPool,
) -> Result<(), Errno> {
    let mut records = buffers.take_records();
    let outcome = match tls.seal(bytes, last, &mut records, buffers) {
        Ok(length) => {
            let records = &records[..length];
            let sent = match transmit(target, records, last) {
                Ok(sent) => Ok(sent),
                Err(Errno::AGAIN) => Ok(0),
                Err(error) => Err(error),
            };
            if let Ok(sent) = sent
                && sent < length
            {
                target.writable = false;
                tls.outgoing = Some(buffers.lend(&records[sent..]));
            }
            sent.map(|_| ())
        }
        Err(_) => Err(TLS_FAILED),
    };
    buffers.put_records(records);
    outcome
}

fn flush_records(
    target: &mut Connection,
    tls: &mut Tls,
    buffers: &mut BufferPool,
) -> Result<bool, Errno> {
    while let Some(records) = &tls.outgoing {
        if !target.writable {
            return Ok(false);
        }
        match transmit(target, records.bytes(), false) {
            Ok(count) => buffers.consume(&mut tls.outgoing, count),
            Err(Errno::AGAIN) => target.writable = false,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// recv(): the number of bytes, and whether the FIN is known to be behind them.
fn receive(source: &mut Connection, into: &mut [u8]) -> Result<(usize, bool), Errno> {
    let room = into.len();
    let Some(fd) = &source.fd else {
        return Err(Errno::BADF);
    };
    loop {
        return match recv(fd, &mut *into, RecvFlags::empty()) {
            Ok((_, 0)) => {
                source.readable = false;
                Ok((0, true))
            }
            Ok((_, count)) => {
                let mut fin = false;
                // Urgent data ends a read early: then only AGAIN means that nothing is there.
                if count < room && !source.urgent {
                    // The FIN was announced before this read, so a short read has
                    // seen everything that came before it.
                    fin = source.read_closed && !source.hangup;
                    source.readable = source.hangup || (source.read_closed && !fin);
                }
                Ok((count, fin))
            }
            Err(Errno::INTR) => continue,
            Err(error) => {
                source.readable = false;
                Err(error)
            }
        };
    }
}

/// send(). TCP_NODELAY is set before the second write: a connection with one
/// write each way never needs it.
fn transmit(target: &mut Connection, bytes: &[u8], last: bool) -> Result<usize, Errno> {
    let Some(fd) = &target.fd else {
        return Err(Errno::PIPE);
    };
    if target.bytes_out > 0 && !target.nodelay {
        target.nodelay = true;
        let _ = rustix::net::sockopt::set_tcp_nodelay(fd, true);
    }
    let flags = if last {
        SendFlags::NOSIGNAL | SendFlags::MORE
    } else {
        SendFlags::NOSIGNAL
    };
    loop {
        return match send(fd, bytes, flags) {
            Err(Errno::INTR) => continue,
            outcome => outcome,
        };
    }
}
