//! The data layer: raw bytes, or TLS. Everything above reads and writes payload
//! here and does not know which it is. Readiness, the end of each direction and
//! the counts are kept here and nowhere above.

use rustix::io::Errno;
use sluice_wire::errors::code;

use super::Connection;
use crate::stream::buffer::{Buffer, BufferPool};
use crate::stream::forward::BUDGET;
use crate::sys;
use crate::tls::error::Failure;
use crate::tls::layer::{SEAL_MAX, Tls};

/// Stands for a failure of the TLS layer, which [`Tls::failure`] explains.
pub const TLS_FAILED: Errno = Errno::PROTO;
/// Most bytes of records that are read at once where they carry next to nothing:
/// 64 kB of those would be 3000 decryptions.
const CRUMBS_MAX: usize = 8 * 1024;
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

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// Payload; `input` may have ended with it.
    Bytes(usize),
    /// Records without payload: there may be more.
    Records,
    /// Nothing is there now.
    Nothing,
    /// The end, which `input` describes: the peer's own, or a failure.
    End,
}

/// Reads payload into `into`, in one system call at most.
pub fn read(source: &mut Connection, into: &mut [u8], buffers: &mut BufferPool) -> Got {
    if source.input.ended() {
        return Got::End;
    }
    let outcome = match source.tls.take() {
        Some(mut tls) => {
            let outcome = read_records(source, &mut tls, into, buffers);
            // What TLS itself answers, such as the refusal of a renegotiation, waits for
            // no payload to go with. Where it cannot be sent, the next write tells.
            let _ = flush_records(source, &mut tls, buffers);
            source.tls = Some(tls);
            outcome
        }
        None if !source.ready.reads() => Err(Errno::AGAIN),
        None => receive(source, into).map(|(count, fin)| {
            if fin {
                source.input.finish();
            }
            got(count, fin)
        }),
    };
    match outcome {
        Ok(got) => {
            if let Got::Bytes(count) = got {
                source.bytes_in += count as u64;
            }
            got
        }
        Err(Errno::AGAIN) => Got::Nothing,
        Err(error) => {
            read_failed(source, error, buffers);
            Got::End
        }
    }
}

fn got(count: usize, end: bool) -> Got {
    match count {
        0 if end => Got::End,
        0 => Got::Records,
        count => Got::Bytes(count),
    }
}

/// What a read has cost others who wait for their turn, in bytes. `before`: the
/// connection's `traffic` then.
#[must_use]
pub fn cost(source: &Connection, before: u32) -> usize {
    match source.traffic.wrapping_sub(before) as usize {
        0 => 0,
        _ if source.input.has_crumbs() => BUDGET,
        bytes => bytes,
    }
}

/// Takes the consequences of a read that failed.
pub fn read_failed(source: &mut Connection, error: Errno, buffers: &mut BufferPool) {
    source.ready.read_blocks();
    source.fail(error);
    let (code, errno) = explain(source, error, buffers);
    source.input.fail(code, errno);
}

/// Takes the consequences of a write that failed. What the peer has sent before
/// may still be read; but the kernel tells of a reset once, so that the end which
/// a read finds behind it is no FIN. With EPIPE the FIN came first.
pub fn write_failed(target: &mut Connection, error: Errno) -> Errno {
    target.fail(error);
    target.output.fail();
    if error != Errno::PIPE {
        target.input.doom();
    }
    error
}

/// Writes payload, keeping track of the byte count; may take less than all of
/// it. `last` says that a FIN follows at once: it then shares the last segment,
/// and with TLS so does close_notify.
///
/// # Errors
///
/// An error of the socket, or [`TLS_FAILED`]: nothing more can be written. While
/// it connects, AGAIN and NOTCONN, which change nothing.
pub fn write(
    target: &mut Connection,
    bytes: &[u8],
    last: bool,
    buffers: &mut BufferPool,
) -> Result<usize, Errno> {
    let last = last && target.output.vouches();
    let outcome = match target.tls.take() {
        Some(mut tls) => {
            let outcome = write_records(target, &mut tls, bytes, last, buffers);
            target.tls = Some(tls);
            outcome
        }
        None => transmit(target, bytes, last),
    };
    match outcome {
        Ok(count) => target.bytes_out += count as u64,
        Err(Errno::AGAIN | Errno::NOTCONN) => {}
        Err(error) => return Err(write_failed(target, error)),
    }
    outcome
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
    outcome.map_err(|error| write_failed(target, error))
}

/// Shuts the write side of the data layer: with TLS close_notify, unless it is
/// sent already or would be a lie. False where the socket has no room for it yet.
pub fn notify(target: &mut Connection, buffers: &mut BufferPool) -> bool {
    let Some(mut tls) = target.tls.take() else {
        return true;
    };
    let vouches = target.output.vouches();
    if tls.failure.is_none() && !tls.notified && vouches && !tls.is_handshaking() {
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
    if tls.plain.is_some() || tls.closed || tls.fin {
        // Payload behind the handshake is read like payload that has just come.
        connection.ready.more_to_read();
    }
    connection.tls = Some(tls);
    match outcome {
        Handshaking::Broken(error) => connection.fail(error),
        Handshaking::Failed(_) => connection.fail(TLS_FAILED),
        Handshaking::Done | Handshaking::Waiting | Handshaking::Aborted => {}
    }
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
        if !connection.ready.reads() {
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
) -> Result<Got, Errno> {
    if tls.failure.is_some() {
        return Err(TLS_FAILED);
    }
    let mut count = 0;
    if let Some(buffer) = &tls.plain {
        count = buffer.len().min(into.len());
        into[..count].copy_from_slice(&buffer.bytes()[..count]);
        buffers.consume(&mut tls.plain, count);
    }
    if count == 0 && !tls.closed && !tls.fin {
        if !source.ready.reads() {
            return Ok(Got::Nothing);
        }
        let before = source.traffic;
        count = receive_records(source, tls, into, buffers)?;
        let payload = count + tls.plain.as_ref().map_or(0, Buffer::len);
        let length = source.traffic.wrapping_sub(before) as usize;
        source.input.note_records(length, payload);
    }
    let end = tls.plain.is_none() && (tls.closed || tls.fin);
    if tls.plain.is_some() {
        source.ready.more_to_read();
    } else if end {
        source.ready.read_blocks();
        // A peer that was told of our end need not say its own.
        if tls.closed || tls.notified {
            source.input.finish();
        } else {
            source.input.cut();
        }
    }
    Ok(got(count, end))
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
    let room = if source.input.has_crumbs() {
        SEAL_MAX.min(begun + CRUMBS_MAX)
    } else {
        SEAL_MAX
    };
    let outcome = match receive(source, &mut records[begun..room]) {
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
        if !target.ready.writes() {
            return Ok(false);
        }
        match transmit(target, records.bytes(), false) {
            Ok(count) => buffers.consume(&mut tls.outgoing, count),
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// recv(): the number of bytes, and whether the FIN is known to be behind them.
fn receive(source: &mut Connection, into: &mut [u8]) -> Result<(usize, bool), Errno> {
    let room = into.len();
    let Some(ctrl) = &source.ctrl else {
        return Err(Errno::BADF);
    };
    match ctrl.recv(into) {
        Ok((0, _)) => {
            source.ready.read_blocks();
            Ok((0, true))
        }
        Ok((count, early)) => {
            source.traffic = source.traffic.wrapping_add(count as u32);
            // The FIN was announced before this read, so that a short one has
            // seen everything that came before it.
            let fin = count < room && source.ready.read_short(early);
            Ok((count, fin))
        }
        Err(error) => {
            source.ready.read_blocks();
            Err(error)
        }
    }
}

/// Looks at what can be read and leaves it there: the number of bytes, 0 at the end.
///
/// # Errors
///
/// AGAIN where nothing is there, or an error of the socket.
pub fn peek(connection: &mut Connection, into: &mut [u8]) -> Result<usize, Errno> {
    let ctrl = connection.ctrl.as_ref();
    let Some(ctrl) = ctrl.filter(|_| connection.ready.reads()) else {
        return Err(Errno::AGAIN);
    };
    ctrl.peek(into)
        .inspect_err(|_| connection.ready.read_blocks())
}

/// True where nothing of what the peer sent is left to be read or passed on.
#[must_use]
pub fn is_drained(connection: &Connection) -> bool {
    let plain = connection
        .tls
        .as_ref()
        .is_some_and(|tls| tls.plain.is_some());
    if connection.input.holds() || plain {
        return false;
    }
    let Some(ctrl) = &connection.ctrl else {
        return true;
    };
    ctrl.peek(&mut [0; 1]) != Ok(1)
}

/// Sets TCP_NODELAY before the second write: a connection with one write each way
/// never needs it.
pub fn before_write(target: &mut Connection) {
    if target.bytes_out > 0 {
        set_nodelay(target);
    }
}

/// Sets TCP_NODELAY where it is not set: what is written goes at once, such as a TLS
/// handshake, which is several small writes.
pub fn set_nodelay(target: &mut Connection) {
    if !std::mem::replace(&mut target.nodelay, true)
        && let Some(ctrl) = &target.ctrl
    {
        ctrl.set_nodelay();
    }
}

/// send().
fn transmit(target: &mut Connection, bytes: &[u8], last: bool) -> Result<usize, Errno> {
    before_write(target);
    let Some(ctrl) = &target.ctrl else {
        return Err(Errno::PIPE);
    };
    match ctrl.send(bytes, last) {
        Err(Errno::AGAIN) => {
            target.ready.write_blocks();
            Err(Errno::AGAIN)
        }
        Ok(count) => {
            target.traffic = target.traffic.wrapping_add(count as u32);
            if count < bytes.len() {
                // A short write means a full socket: the next one would block.
                target.ready.write_blocks();
            }
            Ok(count)
        }
        Err(error) => Err(error),
    }
}
