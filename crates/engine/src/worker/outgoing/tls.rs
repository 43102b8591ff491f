//! The TLS client of a server's connection.

use sluice_wire::errors::{by, code};
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use crate::connection::data::{self, Handshaking, set_nodelay};
use crate::stream::{Stream, StreamId};
use crate::tls::error::Failure;
use crate::tls::layer::Tls;
use crate::worker::Worker;

impl Worker {
    /// The TLS client of a server's connection; true once it is complete.
    pub(in crate::worker) fn connect_tls(&mut self, id: StreamId) -> bool {
        let &Stream { client, server, .. } = self.streams.get(id);
        if self.slots.get(server).tls.is_none()
            && let Err(failure) = self.begin_tls(server)
        {
            self.slots.get_mut(server).fail(data::TLS_FAILED);
            self.fail_connect(id, by::PROXY, failure.code, 0);
            return false;
        }
        let connection = self.slots.get_mut(server);
        match data::handshake(connection, &mut self.mover.buffers) {
            Handshaking::Waiting => false,
            Handshaking::Done => {
                if !self.tell_secured(client, server, handshake::TLS_OUT) {
                    return false;
                }
                let connection = self.slots.get_mut(server);
                connection.shake(handshake::TLS_OUT);
                connection.set_step(conn_flag::DATA_OPEN_STARTED, step::COMPLETED);
                true
            }
            Handshaking::Aborted => {
                self.fail_connect(id, by::SERVER, code::ABORTED, 0);
                false
            }
            Handshaking::Broken(error) => {
                self.fail_connect_with(id, error);
                false
            }
            Handshaking::Failed(failure) => {
                // The alert goes out if the socket takes it; nobody waits for it.
                let _ = data::flush(connection, &mut self.mover.buffers);
                let by = if failure.by_peer {
                    by::SERVER
                } else {
                    by::PROXY
                };
                self.fail_connect(id, by, failure.code, failure.alert);
                false
            }
        }
    }

    /// The TLS of the connection's route, over what was read already.
    fn begin_tls(&mut self, server: u32) -> Result<(), Failure> {
        let connection = self.slots.get_mut(server);
        let target = connection.route.as_ref().and_then(|it| it.tls.clone());
        let Some(target) = target else {
            return Ok(());
        };
        let mut tls = Tls::connect(target.config, target.name, target.verify)?;
        tls.prepend(connection.input.buffer.take());
        connection.tls = Some(Box::new(tls));
        connection.set_step(conn_flag::DATA_OPEN_STARTED, step::STARTED);
        set_nodelay(connection);
        Ok(())
    }
}
