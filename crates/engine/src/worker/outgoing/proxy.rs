//! PROXY headers to servers.

use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use crate::handshake::proxy_in::Endpoint;
use crate::handshake::proxy_out;
use crate::route::SendProxy;
use crate::worker::Worker;

impl Worker {
    /// Sends the PROXY header; true once it is out.
    pub(in crate::worker) fn send_proxy(&mut self, client: u32, server: u32) -> bool {
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
            let mut out = extra.out.take();
            self.mover.buffers.append(&mut out, &header);
            let connection = self.slots.get_mut(server);
            connection.extra().out = out;
            connection.set_step(conn_flag::PROXY_OUT_STARTED, step::STARTED);
        }
        match self.flush_out(server) {
            Ok((_, true)) => {
                let connection = self.slots.get_mut(server);
                connection.handshakes &= !handshake::SEND_PROXY;
                connection.set_step(conn_flag::PROXY_OUT_STARTED, step::COMPLETED);
                true
            }
            Ok((_, false)) => false,
            Err(error) => {
                self.fail_connect_with(client, error);
                false
            }
        }
    }
}
