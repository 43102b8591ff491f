//! Cold-path arguments: what a listener and a route are made from.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use sluice_engine::handshake::{proxy_in::MAX_V2, socks};
use sluice_engine::listener::{ListenAddress, ListenSpec};
use sluice_engine::route::{Destination, Route, SendProxy, Source, TlsTarget};
use sluice_engine::sys::{KeepAlive, Liveness, parse_address};

/// See `KeepAliveSpec` in src/engine/engine.ts.
#[napi(object, object_to_js = false)]
pub struct NativeKeepAlive {
    /// Seconds.
    pub idle: u32,
    /// Seconds.
    pub interval: u32,
    /// Probes.
    pub count: u32,
}

/// See `ListenSpec` in src/engine/engine.ts. `kind` is tcp, unix or fd.
#[napi(object, object_to_js = false)]
pub struct NativeListenSpec {
    /// tcp, unix or fd.
    pub kind: String,
    /// IP address, for tcp.
    pub host: Option<String>,
    /// Port, for tcp.
    pub port: Option<u32>,
    /// IPv6 only, for tcp.
    pub v6only: Option<bool>,
    /// Path, for unix.
    pub path: Option<String>,
    /// Permissions, for unix.
    pub mode: Option<u32>,
    /// Descriptor, for fd.
    pub fd: Option<i32>,
    /// Accept queue.
    pub backlog: i32,
    /// Connections at once.
    pub maxconn: u32,
    /// Seconds.
    pub defer_accept: i32,
    /// Queue length.
    pub fast_open: i32,
    /// SO_REUSEPORT.
    pub reuse_port: Option<bool>,
    /// Ask about TLS where a client is silent.
    pub silence_asks: Option<bool>,
    /// Most bytes of addresses and TLVs in a PROXY header of version 2.
    pub proxy_limit: Option<u32>,
    /// SO_KEEPALIVE.
    pub keep_alive: Option<NativeKeepAlive>,
    /// ms.
    pub user_timeout: Option<u32>,
    /// IP_TRANSPARENT.
    pub transparent: bool,
    /// SO_ORIGINAL_DST.
    pub original_dst: bool,
    /// Handshake bits.
    pub handshakes: i32,
    /// Bits to ask about.
    pub ask: i32,
    /// HH_HEALTH.
    pub health_reply: Option<Uint8Array>,
    /// ms.
    pub handshake_timeout: u32,
    /// ms.
    pub verdict_timeout: u32,
    /// Route or -1.
    pub fallback_route: i32,
    /// ms.
    pub client_timeout: u32,
    /// ms.
    pub client_fin_timeout: u32,
}

/// See `RouteSpec` in src/engine/engine.ts. `kind` is tcp or unix.
#[napi(object, object_to_js = false)]
pub struct NativeRouteSpec {
    /// tcp or unix.
    pub kind: String,
    /// IP address, for tcp.
    pub ip: Option<String>,
    /// Port, for tcp.
    pub port: Option<u32>,
    /// Path, for unix.
    pub path: Option<String>,
    /// Local IP address, or client.
    pub source_ip: Option<String>,
    /// Local port.
    pub source_port: Option<u32>,
    /// 0, 1 or 2.
    pub send_proxy: u32,
    /// CRC32C TLV.
    pub proxy_crc: bool,
    /// 4 or 5, 0 for none.
    pub socks_version: u32,
    /// User name.
    pub socks_user: Option<String>,
    /// Password.
    pub socks_password: Option<String>,
    /// Destination asked for.
    pub socks_host: Option<String>,
    /// Its port.
    pub socks_port: Option<u32>,
    /// Context of TLS.
    pub tls_context: Option<i32>,
    /// Name or IP address of the server.
    pub tls_server_name: Option<String>,
    /// SO_KEEPALIVE.
    pub keep_alive: Option<NativeKeepAlive>,
    /// ms.
    pub user_timeout: Option<u32>,
    /// ms.
    pub connect_timeout: u32,
    /// ms.
    pub server_timeout: u32,
    /// ms.
    pub server_fin_timeout: u32,
    /// ms.
    pub tunnel_timeout: u32,
}

impl TryFrom<NativeListenSpec> for ListenSpec {
    type Error = napi::Error;

    fn try_from(spec: NativeListenSpec) -> napi::Result<Self> {
        let address = match spec.kind.as_str() {
            "tcp" => ListenAddress::Tcp {
                address: socket_address(spec.host.as_deref(), spec.port)?,
                v6only: spec.v6only.unwrap_or(false),
            },
            "unix" => ListenAddress::Unix {
                path: PathBuf::from(required(spec.path, "path")?),
                mode: spec.mode,
            },
            "fd" => ListenAddress::Inherited(required(spec.fd, "fd")?),
            other => return Err(invalid(&format!("address kind '{other}'"))),
        };
        Ok(Self {
            address,
            backlog: spec.backlog,
            maxconn: spec.maxconn as usize,
            defer_accept: spec.defer_accept,
            fast_open: spec.fast_open,
            reuse_port: spec.reuse_port.unwrap_or(false),
            silence_asks: spec.silence_asks.unwrap_or(false),
            // Sizes of TypeScript may be larger than any header.
            proxy_limit: spec.proxy_limit.map_or(MAX_V2, |limit| limit as usize),
            liveness: liveness(spec.keep_alive, spec.user_timeout),
            transparent: spec.transparent,
            original_dst: spec.original_dst,
            handshakes: spec.handshakes,
            ask: spec.ask,
            health_reply: spec
                .health_reply
                .map(|bytes| bytes.to_vec())
                .unwrap_or_default(),
            handshake_timeout: u64::from(spec.handshake_timeout),
            verdict_timeout: u64::from(spec.verdict_timeout),
            fallback_route: spec.fallback_route,
            client_timeout: u64::from(spec.client_timeout),
            client_fin_timeout: u64::from(spec.client_fin_timeout),
        })
    }
}

impl NativeRouteSpec {
    /// The route; its TLS is made by the engine, which has the contexts.
    pub fn into_route(self, tls: Option<TlsTarget>) -> napi::Result<Route> {
        let spec = self;
        let destination = match spec.kind.as_str() {
            "tcp" => Destination::Tcp(socket_address(spec.ip.as_deref(), spec.port)?),
            "unix" => Destination::Unix(PathBuf::from(required(spec.path, "path")?)),
            other => return Err(invalid(&format!("address kind '{other}'"))),
        };
        let source = match spec.source_ip.as_deref() {
            None => None,
            Some("client") => Some(Source::Client),
            ip => Some(Source::Address(socket_address(ip, spec.source_port)?)),
        };
        let socks = if spec.socks_version == 0 {
            None
        } else {
            let host = required(spec.socks_host, "socks.host")?;
            Some(socks::Config {
                version: if spec.socks_version == 4 {
                    socks::Version::V4a
                } else {
                    socks::Version::V5
                },
                user: spec.socks_user.map(|user| user.into_bytes().into()),
                password: spec
                    .socks_password
                    .map(|password| password.into_bytes().into()),
                host: match host.parse::<IpAddr>() {
                    Ok(ip) => socks::Host::Ip(ip),
                    Err(_) => socks::Host::Name(host.into()),
                },
                port: port(spec.socks_port)?,
            })
        };
        Ok(Route {
            destination,
            source,
            send_proxy: match spec.send_proxy {
                0 => SendProxy::No,
                1 => SendProxy::V1,
                _ => SendProxy::V2 {
                    crc32c: spec.proxy_crc,
                },
            },
            socks,
            tls,
            liveness: liveness(spec.keep_alive, spec.user_timeout),
            connect_timeout: u64::from(spec.connect_timeout),
            server_timeout: u64::from(spec.server_timeout),
            server_fin_timeout: u64::from(spec.server_fin_timeout),
            tunnel_timeout: u64::from(spec.tunnel_timeout),
        })
    }
}

fn liveness(keep_alive: Option<NativeKeepAlive>, user_timeout: Option<u32>) -> Liveness {
    Liveness {
        keep_alive: keep_alive.map(|it| KeepAlive {
            idle: it.idle,
            interval: it.interval,
            count: it.count,
        }),
        user_timeout: user_timeout.unwrap_or(0),
    }
}

fn socket_address(ip: Option<&str>, number: Option<u32>) -> napi::Result<SocketAddr> {
    let text = ip.ok_or_else(|| invalid("an address without an IP"))?;
    parse_address(text, port(number)?).ok_or_else(|| invalid(&format!("IP address '{text}'")))
}

fn port(number: Option<u32>) -> napi::Result<u16> {
    let number = number.unwrap_or(0);
    u16::try_from(number).map_err(|_| invalid(&format!("port {number}")))
}

pub fn required<T>(value: Option<T>, name: &str) -> napi::Result<T> {
    value.ok_or_else(|| invalid(&format!("no {name}")))
}

pub fn invalid(what: &str) -> napi::Error {
    napi::Error::new(
        napi::Status::InvalidArg,
        format!("invalid argument: {what}"),
    )
}
