//! The handshakes that move bytes. Parsers are sans-I/O: they see bytes and
//! say what they mean; "partial" is not an error. Which handshakes a
//! connection goes through is TypeScript's decision.

pub mod client_hello;
pub mod proxy_in;
pub mod proxy_out;
pub mod socks;
