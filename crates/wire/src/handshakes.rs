//! The handshake handlers, one bit each. The bit order is the precedence.

use crate::table::constants;

constants! {
    /// Handshake handlers. They run before payload flows, lowest bit first.
    handshake => "Handshake", masks = true {
        /// Incoming. Mode health: send the health reply and die.
        HEALTH = 1 << 0;
        /// Incoming. The source may be in monitor-net: TypeScript is asked.
        MONITOR_IN = 1 << 1;
        /// Incoming. A PROXY protocol header (v1 or v2) is awaited.
        ACCEPT_PROXY = 1 << 2;
        /// Incoming. The `rules.connection` rules run.
        TCP_RULES = 1 << 3;
        /// Incoming. The TLS data layer's accept.
        TLS = 1 << 4;
        /// Incoming. The `rules.handshake` rules see the first bytes.
        CUSTOM = 1 << 5;
        /// Incoming. The session is made and its target chosen.
        ACCEPT_SESSION = 1 << 6;
        /// Outgoing. The connect() of the ctrl layer.
        L4_CONNECT = 1 << 7;
        /// Outgoing. A SOCKS4a or SOCKS5 proxy is asked for the tunnel.
        SOCKS = 1 << 8;
        /// Outgoing. The PROXY protocol header is sent.
        SEND_PROXY = 1 << 9;
        /// Outgoing. The TLS data layer's connect.
        TLS_OUT = 1 << 10;
        /// Either. Send the bytes pointed to, then die.
        SEND_LAST_CHUNK = 1 << 11;
    }
}
