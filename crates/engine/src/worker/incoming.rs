//! Handshakes of accepted connections: the loop over pending bits, lowest
//! first, and the steps that the engine does alone.

use rustix::io::Errno;
use sluice_wire::commands::close_mode;
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::{bytes_flag, event};
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;
use sluice_wire::ring_layout::layout;

use super::fill::Filled;
use super::{Worker, record};
use crate::connection::data::{self, Got, read, write};
use crate::connection::{Connection, Deadline, Mode, Watch};
use crate::handshake::proxy_in::{self, Endpoint, Status};
use crate::stream::forward::{BUDGET, Mover};
use crate::sys;

/// Bits that only TypeScript can do; without a question they are done.
const POLICY_BITS: i32 = handshake::MONITOR_IN | handshake::TCP_RULES | handshake::CUSTOM;
/// Time for a last chunk to be sent and acknowledged by a FIN, in milliseconds.
pub(super) const LAST_CHUNK_TIMEOUT: u64 = 5_000;
/// Bytes that are read and thrown away after a last chunk.
const LINGER_LIMIT: usize = 1 << 20;
/// Least time between two BYTES events that show only that more has come, in
/// milliseconds.
const SHOW_REST: u64 = 2;

impl Worker {
    /// Runs pending handshakes until one has to wait.
    pub(super) fn run_incoming(&mut self, slot: u32) {
        loop {
            let Some(listener) = self.listener_of(slot) else {
                return;
            };
            let (ask, fallback) = (listener.spec.ask, listener.spec.fallback_route);
            let connection = self.slots.get_mut(slot);
            let bit = connection.handshakes & connection.handshakes.wrapping_neg();
            if bit == handshake::HEALTH {
                let reply = listener_reply(self, slot);
                self.start_last_chunk(slot, &reply, reason(by::PROXY, phase::HEALTH, code::HEALTH));
                return;
            }
            if connection.opened && bit == handshake::ACCEPT_SESSION {
                return self.connect(slot, fallback, 0, Vec::new());
            }
            if bit == handshake::TLS {
                let wanted = ask & bit != 0 && !connection.opened || connection.tls.is_some();
                if wanted {
                    return self.accept_tls(slot);
                }
                connection.skip_tls();
                continue;
            }
            let asks = ask & bit != 0 || bit == handshake::ACCEPT_SESSION;
            if asks && !connection.opened && connection.answered & bit == 0 {
                self.ask(slot, bit);
                return;
            }
            match bit {
                handshake::ACCEPT_PROXY => {
                    if !self.accept_proxy(slot) {
                        return;
                    }
                }
                bit if bit & POLICY_BITS != 0 => connection.handshakes &= !bit,
                // Answered but not cleared: TypeScript still owes the target.
                _ => return,
            }
            self.slots.mirror(slot);
        }
    }

    /// The connection waits for TypeScript's answer about a bit.
    pub(super) fn begin_question(&mut self, slot: u32, bit: i32) {
        let timeout = self
            .listener_of(slot)
            .map_or(0, |it| it.spec.verdict_timeout);
        let connection = self.slots.get_mut(slot);
        connection.mode = Mode::Ask(bit);
        connection.deadline_kind = Deadline::None;
        if connection.watch == Watch::No {
            let generation = connection.generation;
            self.unwatched.push_back((slot, generation, self.now));
        }
        if timeout > 0 {
            self.set_deadline(slot, Deadline::Verdict, self.now + timeout);
        }
    }

    fn ask(&mut self, slot: u32, bit: i32) {
        self.begin_question(slot, bit);
        let connection = self.slots.get_mut(slot);
        let tlvs = connection
            .extra
            .as_mut()
            .map(|extra| std::mem::take(&mut extra.tlvs));
        let (generation, listener) = (connection.generation, connection.listener as i32);
        let operands = record(
            event::HANDSHAKE,
            slot as i32,
            generation,
            [listener, bit, 0, 0, 0],
        );
        match tlvs {
            Some(tlvs) if !tlvs.is_empty() => {
                if !self.events.emit_bytes(operands, 5, &tlvs) {
                    // No room: asked again when there is some.
                    let connection = self.slots.get_mut(slot);
                    connection.extra().tlvs = tlvs;
                    connection.mode = Mode::Handshake;
                    self.run_when_room(slot);
                }
            }
            _ => {
                self.events.emit(operands);
            }
        }
    }

    /// Reads and parses the PROXY header; true once it is done.
    fn accept_proxy(&mut self, slot: u32) -> bool {
        loop {
            let limit = self
                .listener_of(slot)
                .map_or(proxy_in::MAX_V2, |listener| listener.spec.proxy_limit);
            let connection = self.slots.get_mut(slot);
            connection.set_step(conn_flag::PROXY_IN_STARTED, step::STARTED);
            let parsed = match &connection.input.buffer {
                Some(buffer) => parse_proxy(buffer.bytes(), limit),
                None => Parsed::Partial,
            };
            match parsed {
                Parsed::Complete {
                    length,
                    addresses,
                    tlvs,
                } => {
                    let buffer = &mut connection.input.buffer;
                    self.mover.buffers.consume(buffer, length);
                    connection.handshakes &= !handshake::ACCEPT_PROXY;
                    connection.set_step(conn_flag::PROXY_IN_STARTED, step::COMPLETED);
                    if !tlvs.is_empty() {
                        connection.extra().tlvs = tlvs;
                    }
                    if let Some((src, dst)) = addresses {
                        self.slots.mirror_addresses(slot, src, dst);
                    }
                    return true;
                }
                Parsed::Error(code) => {
                    self.end_with(slot, reason(by::CLIENT, phase::ACCEPT_PROXY, code), 0);
                    return false;
                }
                Parsed::Partial => {
                    if !self.read_more(slot, proxy_in::FIXED_V2 + limit + 1024, phase::ACCEPT_PROXY)
                    {
                        return false;
                    }
                }
            }
        }
    }

    /// Reads more of what a handshake needs, up to `limit` bytes in all. False where
    /// it has to wait or has ended.
    pub(super) fn read_more(&mut self, slot: u32, limit: usize, phase: i32) -> bool {
        let before = self.slots.get(slot).input.buffered();
        let filled = self.fill(slot, limit);
        let connection = self.slots.get_mut(slot);
        if connection.input.buffered() > before {
            return true;
        }
        if filled == Filled::Ended {
            self.end_early(slot, phase);
            return false;
        }
        connection.mode = Mode::Handshake;
        self.watch(slot, Watch::Read);
        false
    }

    /// Buffers payload for TypeScript and tells of it what is new.
    pub(super) fn inspect(&mut self, slot: u32) {
        let now = self.now;
        let connection = self.slots.get_mut(slot);
        let (limit, before) = (connection.extra().inspect_limit, connection.traffic);
        self.fill(slot, limit);
        let connection = self.slots.get_mut(slot);
        if connection.traffic != before {
            connection.last_io = now;
        }
        if let Some((code, errno)) = connection.input.take_failure() {
            let reason = reason(by::CLIENT, phase_of(connection), code);
            return self.end_with(slot, reason, errno);
        }
        self.slots.mirror_bytes(slot);
        self.watch(slot, Watch::Read);
        self.report_inspection(slot);
    }

    /// Sends a BYTES event where something changed since the last one.
    pub(super) fn report_inspection(&mut self, slot: u32) {
        let now = self.now;
        let connection = self.slots.get_mut(slot);
        let length = connection.input.buffered();
        let (eof, generation) = (connection.input.ended(), connection.generation);
        let extra = connection.extra();
        let mut flags = 0;
        if eof {
            flags |= bytes_flag::EOF;
        }
        if length >= extra.inspect_limit {
            flags |= bytes_flag::FULL;
        }
        if extra.inspect_expired {
            flags |= bytes_flag::EXPIRED;
        }
        let nothing = length == 0 && flags == 0;
        if nothing || extra.inspect_reported == Some((length, flags)) {
            return;
        }
        if flags == 0
            && let Some((position, at)) = extra.inspect_shown
            && (at + SHOW_REST > now || !self.events.consumed(position))
        {
            // Every rule looks at all of it again: what comes meanwhile is shown together.
            if !std::mem::replace(&mut extra.inspect_waits, true) {
                self.shown.push_back((slot, generation));
            }
            return;
        }
        let bytes = connection.input.bytes();
        let epoch = connection
            .extra
            .as_ref()
            .map_or(0, |extra| extra.inspect_epoch);
        let operands = record(
            event::BYTES,
            slot as i32,
            generation,
            [0, 0, flags, epoch, 0],
        );
        let position = self.events.position();
        if !self.events.emit_bytes(operands, 3, bytes) {
            self.run_when_room(slot);
            return;
        }
        let extra = connection.extra();
        extra.inspect_shown = Some((position, now));
        extra.inspect_expired = false;
        extra.inspect_reported = Some((length, flags & !bytes_flag::EXPIRED));
        if flags != 0 {
            let timeout = self
                .listener_of(slot)
                .map_or(0, |it| it.spec.verdict_timeout);
            if timeout > 0 {
                self.set_deadline(slot, Deadline::Verdict, self.now + timeout);
            }
        }
    }

    /// Shows what has come since policy read the last BYTES event, up to the first
    /// inspection that it has not read.
    pub(super) fn show_more(&mut self) {
        while let Some(&(slot, generation)) = self.shown.front() {
            if self.slots.find(slot as i32, generation).is_some() {
                let connection = self.slots.get_mut(slot);
                let shown = connection.extra().inspect_shown;
                let waits = shown.is_some_and(|(position, at)| {
                    at + SHOW_REST > self.now || !self.events.consumed(position)
                });
                if waits && connection.mode == Mode::Inspect {
                    return;
                }
                if std::mem::take(&mut connection.extra().inspect_waits)
                    && connection.mode == Mode::Inspect
                {
                    self.report_inspection(slot);
                }
            }
            self.shown.pop_front();
        }
    }

    /// A SEND command while policy is asked: the bytes are in `command_bytes`. They are
    /// few, and a socket that has sent next to nothing takes them at once; a client
    /// whose socket does not has let its window shut, and is not waited for.
    pub(super) fn handshake_send(&mut self, slot: u32) {
        let bytes = std::mem::take(&mut self.command_bytes);
        let connection = self.slots.get_mut(slot);
        let written = write(connection, &bytes, false, &mut self.mover.buffers);
        let length = bytes.len();
        self.command_bytes = bytes;
        let (code, errno) = match written {
            Ok(count) if count == length && connection.ready.writes() => {
                self.slots.mirror_bytes(slot);
                return;
            }
            Ok(_) | Err(Errno::AGAIN) => (code::CLIENT_TIMEOUT, 0),
            Err(error) => data::explain(connection, error, &mut self.mover.buffers),
        };
        let phase = phase_of(connection);
        self.end_with(slot, reason(by::CLIENT, phase, code), errno);
    }

    /// A client whose connection waits for something else: has it gone?
    pub(super) fn check_client(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        // In a tarpit a FIN is a client that leaves: nobody will answer what it sent before.
        let leaves = connection.mode == Mode::Tarpit && connection.ready.has_fin();
        if !connection.ready.has_hangup() && !leaves {
            return;
        }
        let error = connection.take_error();
        if error.is_none() && !leaves && !data::is_drained(connection) {
            // A unix socket whose peer has closed behind what it sent: that is a FIN.
            return;
        }
        let code = error.map_or(code::ABORTED, sys::code_of);
        let phase = match connection.mode {
            // What was going on is the server's side of it.
            Mode::Connecting => {
                let server = connection.peer;
                phase_of(self.slots.get(server))
            }
            _ => phase_of(connection),
        };
        let errno = error.map_or(0, Errno::raw_os_error);
        self.end_with(slot, reason(by::CLIENT, phase, code), errno);
    }

    /// Sends `bytes`, then closes: `HH_SEND_LAST_CHUNK`.
    pub(super) fn start_last_chunk(&mut self, slot: u32, bytes: &[u8], reason: i32) {
        let connection = self.slots.get_mut(slot);
        connection.reason = reason;
        enter_last_chunk(connection, &mut self.mover);
        let extra = connection.extra.get_or_insert_default();
        self.mover.buffers.give_back(&mut extra.out);
        if !bytes.is_empty() {
            extra.out = Some(self.mover.buffers.lend(bytes));
        }
        self.set_deadline(slot, Deadline::Linger, self.now + LAST_CHUNK_TIMEOUT);
        self.send_last_chunk(slot);
    }

    pub(super) fn send_last_chunk(&mut self, slot: u32) {
        match self.flush_out(slot) {
            Ok((_, true)) => {
                let connection = self.slots.get_mut(slot);
                connection.set_step(conn_flag::LAST_CHUNK_STARTED, step::COMPLETED);
                connection.handshakes = 0;
                connection.mode = Mode::Linger;
                connection.want_shutw();
                self.set_deadline(slot, Deadline::Linger, self.now + LAST_CHUNK_TIMEOUT);
                self.linger(slot);
            }
            Ok((sent, false)) => {
                if sent > 0 {
                    self.set_last_deadline(slot);
                }
                self.watch(slot, Watch::ReadWrite);
            }
            Err(_) => self.end(slot),
        }
    }

    /// What waits for a client gets as long as any bytes that do, but some seconds at least.
    fn set_last_deadline(&mut self, slot: u32) {
        let patience = self.patience_with(slot, slot).max(LAST_CHUNK_TIMEOUT);
        self.set_deadline(slot, Deadline::Linger, self.now + patience);
    }

    /// Reads and forgets, so that unread payload does not turn the close into a
    /// reset that overtakes the last chunk.
    pub(super) fn linger(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        let (buffers, scratch) = (&mut self.mover.buffers, &mut self.mover.scratch);
        // close_notify may have found no room.
        connection.run_close_steps(true, buffers);
        let over = loop {
            if connection.extra().forgotten >= LINGER_LIMIT {
                break true;
            }
            let before = connection.traffic;
            match read(connection, scratch, buffers) {
                Got::Bytes(_) | Got::Records => {
                    connection.extra().forgotten += data::cost(connection, before);
                }
                Got::Nothing => break false,
                Got::End => break !connection.owes_end() || connection.input.ended_broken(),
            }
        };
        if over {
            return self.end(slot);
        }
        let wanted = if connection.owes_end() {
            Watch::ReadWrite
        } else {
            Watch::Read
        };
        self.slots.mirror(slot);
        self.watch(slot, wanted);
    }

    /// Writes what is in `extra.out`: bytes written now, and whether it is empty.
    pub(super) fn flush_out(&mut self, slot: u32) -> Result<(usize, bool), Errno> {
        let connection = self.slots.get_mut(slot);
        let Some(mut extra) = connection.extra.take() else {
            return Ok((0, true));
        };
        let mut total = 0;
        let mut outcome = Ok(());
        while let Some(buffer) = &extra.out {
            if !connection.ready.writes() {
                break;
            }
            match write(connection, buffer.bytes(), false, &mut self.mover.buffers) {
                Ok(count) => {
                    total += count;
                    self.mover.buffers.consume(&mut extra.out, count);
                }
                Err(Errno::AGAIN) => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let mut empty = extra.out.is_none();
        connection.extra = Some(extra);
        outcome?;
        if empty {
            empty = data::flush(connection, &mut self.mover.buffers)?;
        }
        Ok((total, empty))
    }

    /// A CLOSE command.
    pub(super) fn obey_close(&mut self, slot: u32, reason: i32, mode: i32, hold: u64) {
        let connection = self.slots.get_mut(slot);
        connection.reason = reason;
        match mode {
            close_mode::TARPIT => {
                connection.mode = Mode::Tarpit;
                self.set_deadline(slot, Deadline::Tarpit, self.now + hold);
                self.watch(slot, Watch::Read);
                self.check_client(slot);
                return;
            }
            close_mode::RESET => {
                if let Some(fd) = &connection.fd {
                    sys::reset_on_close(fd);
                }
            }
            _ => return self.close_behind(slot),
        }
        self.end(slot);
    }

    /// Unread, a ClientHello or the payload of a client that found no server would
    /// turn the close into a reset. One turn's worth of it is read.
    fn forget_unread(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        let (buffers, scratch) = (&mut self.mover.buffers, &mut self.mover.scratch);
        let before = connection.traffic;
        connection.ready.look_again();
        while data::cost(connection, before) < BUDGET {
            match read(connection, scratch, buffers) {
                Got::Bytes(_) | Got::Records => {}
                Got::Nothing | Got::End => return,
            }
        }
    }

    /// Closes with a FIN, behind what policy itself has sent. A session that
    /// forwards is cut where it stands: its bytes are not policy's.
    fn close_behind(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if matches!(
            connection.mode,
            Mode::Stream | Mode::LastChunk | Mode::Linger
        ) {
            return self.end(slot);
        }
        if matches!(
            connection.mode,
            Mode::Ask(handshake::TLS) | Mode::Held | Mode::Connecting
        ) {
            self.forget_unread(slot);
        }
        let connection = self.slots.get_mut(slot);
        if connection.bytes_out == 0 && !connection.unsent() {
            // Nothing was lost on the way: the end is a clean one.
            data::notify(connection, &mut self.mover.buffers);
            return self.end(slot);
        }
        self.detach(slot);
        enter_last_chunk(self.slots.get_mut(slot), &mut self.mover);
        self.set_last_deadline(slot);
        self.send_last_chunk(slot);
    }
}

/// Only what policy has sent goes out from here on.
fn enter_last_chunk(connection: &mut Connection, mover: &mut Mover) {
    connection.mode = Mode::LastChunk;
    connection.handshakes = handshake::SEND_LAST_CHUNK;
    connection.set_step(conn_flag::LAST_CHUNK_STARTED, step::STARTED);
    connection.input.release(mover);
}

/// Phase of a connection, from what it waits for.
pub(super) fn phase_of(connection: &Connection) -> i32 {
    match connection.mode {
        Mode::Handshake | Mode::Ask(_) | Mode::Inspect => {
            match connection.handshakes & connection.handshakes.wrapping_neg() {
                handshake::HEALTH => phase::HEALTH,
                handshake::MONITOR_IN => phase::MONITOR_IN,
                handshake::ACCEPT_PROXY => phase::ACCEPT_PROXY,
                handshake::TCP_RULES => phase::TCP_RULES,
                handshake::TLS => phase::TLS,
                handshake::CUSTOM => phase::CUSTOM,
                _ if connection.mode == Mode::Inspect => phase::CONTENT,
                _ => phase::ACCEPT_SESSION,
            }
        }
        Mode::Held => phase::QUEUE,
        Mode::Tarpit => phase::ACCEPT_SESSION,
        Mode::Connecting => match connection.handshakes & connection.handshakes.wrapping_neg() {
            handshake::SOCKS => phase::SOCKS,
            handshake::SEND_PROXY => phase::SEND_PROXY,
            handshake::TLS_OUT => phase::TLS_OUT,
            _ => phase::CONNECT,
        },
        Mode::Stream | Mode::Applet => phase::DATA,
        Mode::LastChunk | Mode::Linger => phase::SEND_LAST_CHUNK,
    }
}

fn listener_reply(worker: &Worker, slot: u32) -> Vec<u8> {
    worker
        .listener_of(slot)
        .map_or_else(Vec::new, |listener| listener.spec.health_reply.clone())
}

enum Parsed {
    Complete {
        length: usize,
        addresses: Option<(Option<std::net::SocketAddr>, Option<std::net::SocketAddr>)>,
        tlvs: Vec<u8>,
    },
    Partial,
    Error(i32),
}

fn parse_proxy(bytes: &[u8], limit: usize) -> Parsed {
    match proxy_in::parse(bytes, limit) {
        Ok(Status::Partial) => Parsed::Partial,
        Ok(Status::Complete(header)) => {
            let address = |endpoint: Endpoint| match endpoint {
                Endpoint::Inet(address) => Some(address),
                Endpoint::Unix => None,
            };
            Parsed::Complete {
                length: header.length,
                addresses: header
                    .addresses
                    .map(|it| (address(it.src), address(it.dst))),
                tlvs: header.tlvs.to_vec(),
            }
        }
        Err(error) => Parsed::Error(error.code()),
    }
}

const _: () = assert!(layout::MAX_CHUNK as usize <= layout::EVENT_SLAB_BYTES as usize / 4);
