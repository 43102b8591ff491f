//! Ways out: an address and the handshakes that follow the connect.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::handshake::socks;
use crate::sys::Liveness;

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// Local address of an outgoing connection.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A fixed address; port 0 lets the kernel choose.
    Address(SocketAddr),
    /// The client's own address (transparent; needs privileges).
    Client,
}

/// Which PROXY header is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendProxy {
    /// None.
    No,
    /// Version 1.
    V1,
    /// Version 2; `crc32c` adds the checksum TLV.
    V2 {
        /// Add the CRC32C TLV.
        crc32c: bool,
    },
}

/// TLS of a route.
#[derive(Clone, Debug)]
pub struct TlsTarget {
    /// What connections are made from.
    pub config: Arc<ClientConfig>,
    /// For SNI (names only), verification and resumption.
    pub name: ServerName<'static>,
    /// False where every certificate is accepted.
    pub verify: bool,
}

/// One way out. Times are in milliseconds; 0 means none.
#[derive(Debug)]
pub struct Route {
    /// Where to.
    pub destination: Destination,
    /// Where from.
    pub source: Option<Source>,
    /// PROXY header.
    pub send_proxy: SendProxy,
    /// SOCKS tunnel.
    pub socks: Option<socks::Config>,
    /// TLS.
    pub tls: Option<TlsTarget>,
    /// How a server that has vanished is noticed.
    pub liveness: Liveness,
    /// From the connect command to the end of the outgoing handshakes.
    pub connect_timeout: u64,
    /// Server inactivity.
    pub server_timeout: u64,
    /// Server inactivity once either side is shut.
    pub server_fin_timeout: u64,
    /// Inactivity once both sides have sent payload.
    pub tunnel_timeout: u64,
}

impl Route {
    /// True where connections get options once they last.
    #[must_use]
    pub fn probes(&self) -> bool {
        self.liveness.wanted() && matches!(self.destination, Destination::Tcp(_))
    }

    /// True where a connect is usually finished when it returns: the kernel
    /// runs a loopback handshake before connect() comes back.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.destination {
            Destination::Tcp(address) => address.ip().is_loopback(),
            Destination::Unix(_) => true,
        }
    }
}
