//! PROXY headers of clients.

use sluice_wire::errors::{by, phase, reason};
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use crate::handshake::proxy_in::{self, Endpoint, Status};
use crate::worker::Worker;

impl Worker {
    /// Reads and parses the PROXY header; true once it is done.
    pub(in crate::worker) fn accept_proxy(&mut self, slot: u32) -> bool {
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
                    connection.shake(handshake::ACCEPT_PROXY);
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
                    let id = self.stream_of(slot);
                    self.end_with(id, reason(by::CLIENT, phase::ACCEPT_PROXY, code), 0);
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
