//! PROXY headers to servers.

use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use crate::connection::Side;
use crate::handshake::proxy_in::Endpoint;
use crate::handshake::proxy_out;
use crate::route::SendProxy;
use crate::stream::{Stream, StreamId};
use crate::worker::Worker;

impl Worker {
    /// Sends the PROXY header; true once it is out.
    pub(in crate::worker) fn send_proxy(&mut self, id: StreamId) -> bool {
        let &Stream { client, server, .. } = self.streams.get(id);
        let addresses = self.slots.addresses(client);
        let connection = self.slots.get_mut(server);
        if connection.step(conn_flag::PROXY_OUT_STARTED) == step::WANTED {
            let (src, dst) = match addresses {
                Some((src, dst)) => (Endpoint::Inet(src), Endpoint::Inet(dst)),
                None => (Endpoint::Unix, Endpoint::Unix),
            };
            let version = connection
                .route
                .as_ref()
                .map_or(SendProxy::No, |it| it.send_proxy);
            let extra = connection.extra();
            let mut header = Vec::with_capacity(64);
            match version {
                SendProxy::No => {}
                SendProxy::V1 => proxy_out::build_v1(&mut header, &src, &dst),
                SendProxy::V2 { crc32c } => {
                    proxy_out::build_v2(&mut header, &src, &dst, &extra.tlvs, crc32c);
                }
            }
            let ahead = &mut self.streams.get_mut(id).up.ahead;
            self.mover.buffers.append(ahead, &header);
            connection.set_step(conn_flag::PROXY_OUT_STARTED, step::STARTED);
        }
        match self.flush_ahead(id, Side::Server) {
            Ok((_, true)) => {
                let connection = self.slots.get_mut(server);
                connection.shake(handshake::SEND_PROXY);
                connection.set_step(conn_flag::PROXY_OUT_STARTED, step::COMPLETED);
                true
            }
            Ok((_, false)) => false,
            Err(error) => {
                self.fail_connect_with(id, error);
                false
            }
        }
    }
}
