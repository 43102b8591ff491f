//! The SOCKS client.

use rustix::io::Errno;
use sluice_wire::errors::{by, code};
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use crate::connection::{Side, extra};
use crate::handshake::socks;
use crate::stream::StreamId;
use crate::worker::Worker;
use crate::worker::fill::Filled;

/// How far a step came.
enum Step {
    /// The tunnel is there.
    Done,
    /// Something is to be sent first.
    Sends,
    /// More is to be read.
    Waits,
}

impl Worker {
    /// The SOCKS client; true once the tunnel is there.
    pub(in crate::worker) fn run_socks(&mut self, id: StreamId) -> bool {
        let server = self.streams.get(id).server;
        loop {
            match self.flush_ahead(id, Side::Server) {
                Ok((_, true)) => {}
                Ok((_, false)) => return false,
                Err(error) => {
                    self.fail_connect_with(id, error);
                    return false;
                }
            }
            match self.step_socks(id) {
                Ok(Step::Done) => {
                    let connection = self.slots.get_mut(server);
                    connection.shake(handshake::SOCKS);
                    connection.set_step(conn_flag::SOCKS_STARTED, step::COMPLETED);
                    return true;
                }
                Ok(Step::Sends) => continue,
                Ok(Step::Waits) => {}
                Err(error) => {
                    let by = match error.code() {
                        code::BAD_ADDRESS => by::PROXY,
                        _ => by::SERVER,
                    };
                    self.fail_connect(id, by, error.code(), 0);
                    return false;
                }
            }
            if !self.read_reply(id) {
                return false;
            }
        }
    }

    /// One step on what the server has answered.
    fn step_socks(&mut self, id: StreamId) -> Result<Step, socks::Error> {
        let stream = self.streams.get_mut(id);
        let connection = self.slots.get_mut(stream.server);
        let route = connection.route.clone();
        let config = route.as_ref().and_then(|route| route.socks.as_ref());
        let extra = connection.extra.get_or_insert_default();
        let (Some(config), extra::Step::Socks(state)) = (config, &mut extra.step) else {
            // Nobody has asked for it.
            return Ok(Step::Done);
        };
        let mut out = Vec::new();
        let progress = state.step(config, connection.input.bytes(), &mut out)?;
        if !out.is_empty() {
            self.mover.buffers.append(&mut stream.up.ahead, &out);
        }
        let buffer = &mut connection.input.buffer;
        self.mover.buffers.consume(buffer, progress.consumed);
        connection.set_step(conn_flag::SOCKS_STARTED, step::STARTED);
        if progress.done {
            return Ok(Step::Done);
        }
        Ok(if out.is_empty() {
            Step::Waits
        } else {
            Step::Sends
        })
    }

    /// Reads what the server answers in a handshake; false where it has to wait or failed.
    fn read_reply(&mut self, id: StreamId) -> bool {
        let server = self.streams.get(id).server;
        let before = self.slots.get(server).input.buffered();
        let filled = self.fill(server, self.mover.scratch.len());
        let connection = self.slots.get_mut(server);
        if connection.input.buffered() > before {
            return true;
        }
        if filled == Filled::Ended {
            match connection.input.take_failure() {
                Some((_, errno)) => {
                    self.fail_connect_with(id, Errno::from_raw_os_error(errno));
                }
                None => self.fail_connect(id, by::SERVER, code::ABORTED, 0),
            }
        }
        false
    }
}
