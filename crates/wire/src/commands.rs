//! Command kinds: TypeScript to engine.

use crate::table::constants;

constants! {
    /// Command kinds. A record is `kind, slot, generation, a, b, c, d, e`. Bytes
    /// are `offset, length` in the command slab; the engine copies them.
    command => "Command" {
        /// Go on with the handshakes. a: bits to clear, b: bits to set, c: bytes to consume,
        /// d: TLS context, where it answers TLS without clearing it, e: ProceedFlag.
        PROCEED = 1;
        /// Buffer payload and send BYTES events. a: limit in bytes, b: delay in
        /// ms (0: none), c: bytes to consume first, d: epoch for its BYTES events.
        INSPECT = 2;
        /// Connect to a route and forward. a: route, b: ConnectFlag, c: bytes to
        /// consume, d: offset and e: length of extra PROXY v2 TLVs.
        CONNECT = 3;
        /// Hand the payload to an applet. a: first credit in bytes, b: unused, c: bytes to consume.
        APPLET = 4;
        /// Payload from an applet, or of a handshake while policy is asked (at most
        /// 16 kB, no FIN). a: offset, b: length, c: SendFlag.
        SEND = 5;
        /// The applet consumed payload. a: bytes.
        CREDIT = 6;
        /// Send the last chunk, then die. a: offset, b: length, c: reason word.
        REPLY = 7;
        /// Close. a: reason word, b: CloseMode, c: hold time in ms for TARPIT.
        CLOSE = 8;
        /// A time-out of this connection alone. a: Timeout, b: ms (0: none, -1: as configured).
        SET_TIMEOUT = 9;
        /// The first buffered bytes of a client become others, while policy is asked; INSPECT,
        /// PROCEED or another answer follows. a: offset, b: length (at most 16 kB), c: how many
        /// bytes they replace.
        REPLACE = 10;
    }
}

constants! {
    /// Which time-out a SET_TIMEOUT command is about.
    timeout => "Timeout" {
        /// Client inactivity.
        CLIENT = 0;
        /// Client inactivity once either side is shut.
        CLIENT_FIN = 1;
        /// Server inactivity.
        SERVER = 2;
        /// Server inactivity once either side is shut.
        SERVER_FIN = 3;
        /// Inactivity once both sides have sent payload.
        TUNNEL = 4;
        /// From the next CONNECT command to the end of the outgoing handshakes.
        CONNECT = 5;
    }
}

constants! {
    /// Options of a PROCEED command.
    proceed_flag => "ProceedFlag" {
        /// Send a HANDSHAKE_WAITS event of the TLS handshake that begins.
        TELL_WAITING = 1 << 0;
    }
}

constants! {
    /// Options of a CONNECT command.
    connect_flag => "ConnectFlag" {
        /// Send a CONNECTED event.
        WANT_CONNECTED = 1 << 0;
        /// Write our own address and port towards the server into its record, and tell the port
        /// with CLOSED. It costs a system call.
        WANT_SOURCE = 1 << 1;
    }
}

constants! {
    /// How a CLOSE command ends the connection.
    close_mode => "CloseMode" {
        /// Close with FIN, behind what policy itself has sent; what is forwarded is cut.
        CLOSE = 0;
        /// Close at once with RST.
        RESET = 1;
        /// Hold the connection silently, then close it.
        TARPIT = 2;
    }
}

constants! {
    /// Options of a SEND command.
    send_flag => "SendFlag" {
        /// Shut the write side after these bytes.
        FIN = 1 << 0;
    }
}
