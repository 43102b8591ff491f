//! Event kinds: engine to TypeScript.

use crate::table::constants;

constants! {
    /// Event kinds. A record is `kind, slot, generation, a, b, c, d, e`. Bytes are
    /// `offset, length` in the event slab and valid only while the event is
    /// dispatched.
    event => "Event" {
        /// A handshake that TypeScript must decide. a: listener, b: handshake
        /// bit, c: offset and d: length of bytes: for TLS the ClientHello message (or,
        /// where `e` is not COMPLETE, what came instead), else the PROXY v2 TLVs, if
        /// any. e: HelloStatus, for TLS.
        HANDSHAKE = 1;
        /// Buffered payload for an inspection. a: offset, b: length, c: BytesFlag,
        /// d: epoch of the INSPECT command: an older one is outdated.
        BYTES = 2;
        /// The outgoing connection is established. a: its slot, b: milliseconds since the connect command.
        CONNECTED = 3;
        /// The outgoing connection failed; the client is still there. a: reason
        /// word, b: errno or 0, c: milliseconds since the connect command.
        CONNECT_FAILED = 4;
        /// The connection ended; its table record is valid while this event is
        /// dispatched. a: reason word, b: errno or 0, c: clock in ms, d: connect time in ms or -1,
        /// e: our port towards the server, where WANT_SOURCE asked for it, or 0.
        CLOSED = 5;
        /// A verdict came too late: the default was taken. a: handshake bit or
        /// 0, b: 1 where the default was to open, 0 where it was to close.
        VERDICT_TIMEOUT = 6;
        /// Payload for an applet. a: offset, b: length, c: BytesFlag.
        DATA = 7;
        /// Payload of an applet left its buffer. a: bytes.
        SENT = 8;
        /// accept() failed and the listener pauses. slot: listener, a: errno.
        LISTENER_PAUSED = 9;
        /// A worker closed its part of a listener. slot: listener.
        LISTENER_CLOSED = 10;
        /// A TLS handshake is complete. a: handshake bit (TLS or TLS_OUT), b: protocol
        /// version in bits 16 to 31, cipher suite in bits 0 to 15, both as on the wire,
        /// c: TlsFlag, d: offset, e: length of the bytes: one byte of length, the ALPN
        /// protocol, and the peer's certificate in DER if it sent one.
        SECURED = 11;
        /// A client's TLS handshake waits for the client for the first time: what costs CPU
        /// is done. Where ProceedFlag TELL_WAITING asked for it.
        HANDSHAKE_WAITS = 12;
    }
}

constants! {
    /// What the bytes of a HANDSHAKE event about TLS are.
    hello_status => "HelloStatus" {
        /// A ClientHello handshake message, without record headers.
        COMPLETE = 0;
        /// Bytes that are no TLS record: what the client sent first.
        NOT_TLS = 1;
        /// TLS records that hold no ClientHello.
        MALFORMED = 2;
        /// A ClientHello of more than MAX_HELLO bytes.
        TOO_LARGE = 3;
        /// A record that is longer than records may be.
        OVERFLOW = 4;
        /// A ClientHello in more than MAX_HELLO_PIECES pieces.
        DRIPPED = 5;
    }
}

constants! {
    /// What is known about a finished TLS handshake.
    tls_flag => "TlsFlag" {
        /// The session was resumed: no certificate was exchanged now.
        RESUMED = 1 << 0;
        /// The peer's certificate was verified.
        VERIFIED = 1 << 1;
    }
}

constants! {
    /// What is known about the bytes of a BYTES or DATA event.
    bytes_flag => "BytesFlag" {
        /// The client sent its FIN: no more bytes will come.
        EOF = 1 << 0;
        /// The limit is reached: no more bytes will be buffered.
        FULL = 1 << 1;
        /// The inspect delay has passed.
        EXPIRED = 1 << 2;
    }
}
