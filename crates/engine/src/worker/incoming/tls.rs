//! The TLS server of a client's connection.

use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::event;
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use crate::connection::Watch;
use crate::connection::data::{self, Handshaking, set_nodelay};
use crate::stream::buffer::BufferPool;
use crate::sys;
use crate::tls::error::Failure;
use crate::tls::layer::Tls;
use crate::worker::Worker;

impl Worker {
    /// Policy has chosen a context: terminates TLS with it.
    /// `tells`: that it waits for its peer is told.
    pub(in crate::worker) fn start_tls(&mut self, slot: u32, context: i32, tells: bool) -> bool {
        let accepted = match self.contexts.downstream(context) {
            Some(config) => Tls::accept(config),
            None => Err(Failure {
                code: code::INTERNAL,
                alert: 0,
                by_peer: false,
            }),
        };
        let connection = self.slots.get_mut(slot);
        match accepted {
            Ok(mut tls) => {
                tls.prepend(connection.input.buffer.take());
                tls.tells = tells;
                connection.tls = Some(Box::new(tls));
                connection.set_step(conn_flag::DATA_OPEN_STARTED, step::STARTED);
                set_nodelay(connection);
                true
            }
            Err(failure) => {
                connection.fail(data::TLS_FAILED);
                let reason = reason(by::PROXY, phase::TLS, failure.code);
                self.end_with(self.stream_of(slot), reason, 0);
                false
            }
        }
    }

    pub(in crate::worker) fn secure_client(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        match data::handshake(connection, &mut self.mover.buffers) {
            Handshaking::Waiting => {
                let watch = if connection.ready.writes() {
                    Watch::Read
                } else {
                    Watch::ReadWrite
                };
                let tells = connection.tls.as_mut().map(|tls| &mut tls.tells);
                if tells.is_some_and(std::mem::take) {
                    self.emit(event::HANDSHAKE_WAITS, slot, [0; 5]);
                }
                self.watch(slot, watch);
            }
            Handshaking::Done => {
                if !self.tell_secured(slot, slot, handshake::TLS) {
                    return;
                }
                let connection = self.slots.get_mut(slot);
                connection.shake(handshake::TLS);
                connection.flags |= conn_flag::DATA_CONNECTED;
                connection.set_step(conn_flag::DATA_OPEN_STARTED, step::COMPLETED);
                self.mirror(slot);
                self.run_incoming(slot);
            }
            Handshaking::Aborted => self.end_in_tls(slot, code::ABORTED, 0),
            Handshaking::Broken(error) => {
                self.end_in_tls(slot, sys::code_of(error), error.raw_os_error());
            }
            Handshaking::Failed(failure) => {
                let by = if failure.by_peer {
                    by::CLIENT
                } else {
                    by::PROXY
                };
                let reason = reason(by, phase::TLS, failure.code);
                // The alert is the last chunk: it must arrive, although unread
                // records would turn the close into a reset.
                let alert = take_records(connection.tls.take(), &mut self.mover.buffers);
                self.stream_mut(slot).errno = failure.alert;
                self.start_last_chunk(slot, &alert, reason);
            }
        }
    }

    pub(in crate::worker) fn end_in_tls(&mut self, slot: u32, code: i32, errno: i32) {
        let id = self.stream_of(slot);
        self.end_with(id, reason(by::CLIENT, phase::TLS, code), errno);
    }
}

/// The records that TLS has not sent yet, of TLS that goes.
fn take_records(tls: Option<Box<Tls>>, buffers: &mut BufferPool) -> Vec<u8> {
    let Some(mut tls) = tls else {
        return Vec::new();
    };
    let records = tls.outgoing.as_ref();
    let records = records.map_or_else(Vec::new, |records| records.bytes().to_vec());
    tls.release(buffers);
    records
}
