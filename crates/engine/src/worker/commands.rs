//! Commands of TypeScript. One that names a connection which is gone, or which
//! is past the point the command is about, does nothing and is counted.

use std::sync::atomic::Ordering;

use sluice_wire::commands::{command, proceed_flag, send_flag};
use sluice_wire::handshakes::handshake;

use super::Worker;
use crate::connection::{Mode, Owner, Side};
use crate::ring::Record;
use crate::stream::Deadline;

/// Handshakes that the engine does once policy has agreed.
const ENGINE_BITS: i32 = handshake::HEALTH | handshake::ACCEPT_PROXY | handshake::TLS;

impl Worker {
    pub(super) fn run_commands(&mut self) {
        while let Some(record) = self.commands.take() {
            self.run_command(record);
        }
        if self.commands.finish() {
            // TypeScript waits for room: an empty batch of events wakes it.
            (self.doorbell)();
        }
    }

    fn run_command(&mut self, [kind, slot, generation, a, b, c, d, e]: Record) {
        let Some(slot) = self.slots.find(slot, generation) else {
            self.mailbox.stats.stale.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let connection = self.slots.get(slot);
        // Policy knows a server's slot from CONNECTED, but decides about clients only, and
        // those that have a stream.
        let decided = connection.side == Side::Server || connection.owner == Owner::None;
        if decided || !takes(connection.mode, kind, c) {
            self.mailbox.stats.late.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if matches!(kind, command::INSPECT | command::CONNECT | command::APPLET) {
            self.answer(slot, c);
        }
        match kind {
            command::PROCEED => self.proceed(slot, [a, b, c, d, e]),
            command::INSPECT => self.start_inspection(slot, a, b, d),
            command::CONNECT => {
                let mut tlvs = Vec::new();
                if e > 0 {
                    self.commands.bytes(d, e, &mut tlvs);
                }
                self.connect(slot, a, b, tlvs);
            }
            command::APPLET => self.attach_applet(slot, a.max(0) as u64),
            command::SEND => self.send(slot, a, b, c & send_flag::FIN != 0),
            command::CREDIT => self.applet_credit(slot, a.max(0) as u64),
            command::REPLY => self.reply(slot, a, b, c),
            command::SET_TIMEOUT => self.set_timeout(slot, a, b),
            command::REPLACE => self.replace(slot, a, b, c),
            _ => self.obey_close(slot, a, b, c.max(0) as u64),
        }
    }

    fn send(&mut self, slot: u32, offset: i32, length: i32, fin: bool) {
        self.command_bytes.clear();
        self.commands.bytes(offset, length, &mut self.command_bytes);
        if self.slots.get(slot).mode == Mode::Applet {
            self.applet_send(slot, fin);
        } else {
            self.handshake_send(slot);
        }
    }

    fn reply(&mut self, slot: u32, offset: i32, length: i32, reason: i32) {
        let mut bytes = std::mem::take(&mut self.command_bytes);
        bytes.clear();
        self.commands.bytes(offset, length, &mut bytes);
        self.detach(self.stream_of(slot));
        self.start_last_chunk(slot, &bytes, reason);
        self.command_bytes = bytes;
    }

    /// The first bytes of the client become others: what is next sees those.
    fn replace(&mut self, slot: u32, offset: i32, length: i32, replaced: i32) {
        let mut bytes = std::mem::take(&mut self.command_bytes);
        bytes.clear();
        self.commands.bytes(offset, length, &mut bytes);
        self.consume(slot, replaced);
        let connection = self.slots.get_mut(slot);
        self.mover
            .buffers
            .prepend(&mut connection.input.buffer, &bytes);
        self.command_bytes = bytes;
    }

    fn proceed(&mut self, slot: u32, [clear, set, consume, context, flags]: [i32; 5]) {
        let connection = self.slots.get_mut(slot);
        // A second answer to a question that is answered already changes nothing.
        let open = match connection.mode {
            Mode::Ask(bit) => {
                let bit = i32::from(bit);
                clear & bit != 0 || set != 0 || bit & ENGINE_BITS != 0
            }
            _ => clear & connection.handshakes() != 0 || set != 0,
        };
        if !open {
            self.mailbox.stats.late.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.consume(slot, consume);
        let connection = self.slots.get_mut(slot);
        if let Mode::Ask(bit) = connection.mode {
            // The engine does its own handshakes now; a policy's stay policy's.
            connection.answer(i32::from(bit) & ENGINE_BITS);
        }
        if connection.mode == Mode::Ask(handshake::TLS as u8) && clear & handshake::TLS == 0 {
            connection.mode = Mode::Handshake;
            if !self.start_tls(slot, context, flags & proceed_flag::TELL_WAITING != 0) {
                return;
            }
        }
        let connection = self.slots.get_mut(slot);
        // What policy sets, policy has decided.
        connection.answer(set & ENGINE_BITS);
        let session_made = clear & handshake::ACCEPT_SESSION != 0;
        connection.set_handshakes(connection.handshakes() & !clear | set);
        if clear & handshake::TLS != 0 {
            connection.skip_tls();
        } else if set & handshake::TLS != 0 {
            connection.want_tls();
        }
        let id = self.stream_of(slot);
        self.streams.get_mut(id).deadline_kind = Deadline::None;
        if session_made {
            self.hold(id);
            return;
        }
        self.mirror(slot);
        self.set_handshake_deadline(slot);
        self.run_incoming(slot);
    }

    /// The question is answered, by somebody who has taken `consumed` bytes of the
    /// payload: its deadline is over.
    fn answer(&mut self, slot: u32, consumed: i32) {
        self.stream_mut(slot).deadline_kind = Deadline::None;
        self.consume(slot, consumed);
    }

    fn consume(&mut self, slot: u32, count: i32) {
        let connection = self.slots.get_mut(slot);
        self.mover
            .buffers
            .consume(&mut connection.input.buffer, count.max(0) as usize);
    }
}

/// True where a client's connection in this mode takes this command.
fn takes(mode: Mode, kind: i32, send_flags: i32) -> bool {
    let undecided = matches!(mode, Mode::Ask(_) | Mode::Inspect | Mode::Held);
    match kind {
        command::PROCEED
        | command::INSPECT
        | command::CONNECT
        | command::APPLET
        | command::REPLACE => undecided,
        command::SEND => mode == Mode::Applet || undecided && send_flags & send_flag::FIN == 0,
        command::CREDIT => mode == Mode::Applet,
        command::REPLY => undecided || mode == Mode::Connecting,
        command::CLOSE | command::SET_TIMEOUT => true,
        _ => false,
    }
}
