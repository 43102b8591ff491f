//! The engine through its public API, with shared memory made here and a tiny
//! policy that answers through the rings as TypeScript does.

mod boundary;
mod ends;
mod faults;
mod forward;
mod lifecycle;
mod peers;
mod sockets;
mod support;
mod timeouts;
mod tls;
mod unread;
