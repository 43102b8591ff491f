//! Close reasons: by x phase x code. The lists are closed and append-only: do
//! not reorder or reuse values, they stand in logs and metrics. A name's label
//! is the name in lower case with dashes.

use crate::table::constants;

constants! {
    /// Who ended the connection.
    by => "By" {
        /// The client.
        CLIENT = 1;
        /// The server.
        SERVER = 2;
        /// Sluice itself: a resource, a limit or a shutdown.
        PROXY = 3;
        /// A policy: a rule or an applet.
        POLICY = 4;
        /// A time-out.
        TIMEOUT = 5;
    }
}

constants! {
    /// What the connection was doing when it ended.
    phase => "Phase" {
        /// Being accepted: nothing was read yet.
        ACCEPT = 1;
        /// HH_HEALTH: the bind answers health checks and nothing else.
        HEALTH = 2;
        /// HH_MONITOR_IN: is the source a monitoring system?
        MONITOR_IN = 3;
        /// HH_ACCEPT_PROXY: a PROXY header is awaited.
        ACCEPT_PROXY = 4;
        /// HH_TCP_RULES: the `rules.connection` rules run.
        TCP_RULES = 5;
        /// HH_TLS on the client's side (TLS).
        TLS = 6;
        /// Handshake rules, on the client's first bytes.
        HANDSHAKE = 7;
        /// HH_ACCEPT_SESSION: session rules and the choice of a target.
        ACCEPT_SESSION = 8;
        /// Waiting in a backend's or server's queue.
        QUEUE = 9;
        /// HH_L4_CONNECT: connecting to the server.
        CONNECT = 10;
        /// HH_SOCKS: asking a SOCKS proxy for the tunnel.
        SOCKS = 11;
        /// HH_SEND_PROXY: sending a PROXY header to the server.
        SEND_PROXY = 12;
        /// HH_TLS on the server's side (TLS).
        TLS_OUT = 13;
        /// Reading a request (HTTP).
        REQUEST = 14;
        /// Waiting for or reading a response (HTTP).
        RESPONSE = 15;
        /// Payload flows.
        DATA = 16;
        /// Closing: one side is shut.
        CLOSE = 17;
        /// HH_SEND_LAST_CHUNK: sending a reply before the close.
        SEND_LAST_CHUNK = 18;
    }
}

constants! {
    /// Why, in detail.
    code => "Code" {
        /// A clean end: both sides sent their FIN.
        DONE = 1;
        /// The peer reset the connection.
        RESET = 2;
        /// The peer closed before it should have.
        ABORTED = 3;
        /// The connection was refused.
        REFUSED = 4;
        /// The network or host cannot be reached.
        UNREACHABLE = 5;
        /// Another socket error; the errno is in the log line.
        IO_ERROR = 6;
        /// The address cannot be used (bind before connect, bad socket path).
        BAD_ADDRESS = 7;
        /// No file descriptor was left (EMFILE or ENFILE).
        FD_EXHAUSTED = 8;
        /// No local port was left (EADDRNOTAVAIL).
        PORTS_EXHAUSTED = 9;
        /// The kernel had no memory.
        NO_MEMORY = 10;
        /// The connection table is full.
        TABLE_FULL = 11;
        /// No connect within the connect time-out.
        CONNECT_TIMEOUT = 12;
        /// The client was silent for its inactivity time-out.
        CLIENT_TIMEOUT = 13;
        /// The server was silent for its inactivity time-out.
        SERVER_TIMEOUT = 14;
        /// The client did not finish after one side was shut.
        CLIENT_FIN_TIMEOUT = 15;
        /// The server did not finish after one side was shut.
        SERVER_FIN_TIMEOUT = 16;
        /// The tunnel was silent for its time-out.
        TUNNEL_TIMEOUT = 17;
        /// A handshake did not end by its deadline.
        HANDSHAKE_TIMEOUT = 18;
        /// TypeScript gave no verdict by its deadline, and the default is to close.
        VERDICT_TIMEOUT = 19;
        /// No server slot came free within the queue time-out.
        QUEUE_TIMEOUT = 20;
        /// The queue was full.
        QUEUE_FULL = 21;
        /// The bytes are no PROXY header.
        PROXY_SIGNATURE = 22;
        /// The PROXY header is malformed.
        PROXY_MALFORMED = 23;
        /// The PROXY header is too long.
        PROXY_TOO_LONG = 24;
        /// The CRC32C of the PROXY v2 header does not match.
        PROXY_CHECKSUM = 25;
        /// The sender may not send PROXY headers.
        PROXY_UNTRUSTED = 26;
        /// The SOCKS proxy answered nonsense.
        SOCKS_MALFORMED = 27;
        /// The SOCKS proxy wants an authentication that is not configured.
        SOCKS_NO_METHOD = 28;
        /// The SOCKS proxy refused the user.
        SOCKS_AUTH = 29;
        /// The SOCKS proxy refused the request.
        SOCKS_REFUSED = 30;
        /// A rule rejected the connection.
        REJECTED = 31;
        /// A rule tarpitted the connection and its time is over.
        TARPIT = 32;
        /// A reply was sent and the connection closed.
        REPLIED = 33;
        /// A rule threw or answered nonsense, and the default is to close.
        POLICY_ERROR = 34;
        /// A handshake rule wanted more bytes than its limit.
        HANDSHAKE_LIMIT = 35;
        /// No backend was chosen.
        NO_BACKEND = 36;
        /// No server of the backend is usable.
        NO_SERVER = 37;
        /// The health reply was sent.
        HEALTH = 38;
        /// The monitor reply was sent.
        MONITOR = 39;
        /// The applet threw.
        APPLET_ERROR = 40;
        /// The proxy is stopping and the drain deadline has passed.
        SHUTDOWN = 41;
        /// Closed by the program or the operator.
        KILLED = 42;
        /// A defect of Sluice.
        INTERNAL = 43;
        /// The peer's host name did not resolve.
        RESOLVE = 44;
        /// The client does not speak TLS.
        NOT_TLS = 45;
        /// The client speaks plain HTTP on a TLS port.
        PLAIN_HTTP = 46;
        /// The ClientHello is larger than 16 kB, record headers not counted.
        TLS_HELLO_TOO_LARGE = 47;
        /// A TLS record or message is malformed, or does not decrypt.
        TLS_MALFORMED = 48;
        /// No TLS version in common.
        TLS_VERSION = 49;
        /// No cipher suite, group or signature scheme in common.
        TLS_CIPHER = 50;
        /// No certificate for the server name that the client asked for.
        TLS_NO_CERTIFICATE = 51;
        /// No application protocol (ALPN) in common.
        TLS_ALPN = 52;
        /// The peer sent a fatal TLS alert; its name is in the log line.
        TLS_ALERT = 53;
        /// The peer gave no certificate.
        TLS_CERT_MISSING = 54;
        /// The peer's certificate has expired or is not valid yet.
        TLS_CERT_EXPIRED = 55;
        /// The server's certificate is for another name.
        TLS_CERT_NAME = 56;
        /// The peer's certificate is of no trusted authority, or self-signed.
        TLS_CERT_UNTRUSTED = 57;
        /// The peer's certificate is revoked.
        TLS_CERT_REVOKED = 58;
        /// The peer's certificate cannot be used for another reason.
        TLS_CERT_INVALID = 59;
        /// The peer closed without close_notify: payload may be missing.
        TLS_TRUNCATED = 60;
        /// The peer wants to renegotiate.
        TLS_RENEGOTIATION = 61;
        /// Another failure of the TLS layer.
        TLS_ERROR = 62;
        /// The ClientHello came in more than 2048 pieces.
        TLS_HELLO_DRIPPED = 63;
        /// Bytes in clear came behind a request to start TLS.
        TLS_CLEAR_BYTES = 64;
    }
}

/// Packs a close reason into one word: by in bits 0 to 3, phase in bits 4 to
/// 11, code in bits 12 to 23.
#[must_use]
pub const fn reason(by: i32, phase: i32, code: i32) -> i32 {
    by | phase << 4 | code << 12
}

/// The code of a reason word.
#[must_use]
pub const fn reason_code(reason: i32) -> i32 {
    (reason >> 12) & 0xfff
}

/// The phase of a reason word.
#[must_use]
pub const fn reason_phase(reason: i32) -> i32 {
    (reason >> 4) & 0xff
}

/// The `by` of a reason word.
#[must_use]
pub const fn reason_by(reason: i32) -> i32 {
    reason & 0xf
}
