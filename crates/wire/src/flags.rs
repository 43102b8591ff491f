//! What a connection shows: its flags, and the close operations wanted and done.

use crate::table::constants;

constants! {
    /// Connection flags. `SHR`, `SHW` and `ERR` are all that policy needs; the
    /// rest is internal status that only the decode twin prints. Written by the
    /// engine alone; a flag is never taken back unless its line says so.
    conn_flag => "ConnFlag" {
        /// No more payload comes: set together with DATA_SHUTR.
        SHR = 1 << 0;
        /// No more payload is sent: set together with DATA_SHUTW.
        SHW = 1 << 1;
        /// The connection failed: set together with CTRL_FAILED or DATA_FAILED, and with the
        /// state ERROR. An end by a time-out, by policy or by a handshake's answer is no failure.
        ERR = 1 << 2;
        /// A file descriptor is allocated: set by accept and by the connect command, cleared by
        /// the close.
        FD_ALLOCATED = 1 << 3;
        /// Ctrl layer initialized: set together with FD_ALLOCATED.
        CTRL_INIT = 1 << 4;
        /// Ctrl layer connected: set by accept, and once the connect has succeeded.
        CTRL_CONNECTED = 1 << 5;
        /// Every handshake handler of the ctrl layer is done: set with the state ESTABLISHED.
        CTRL_HANDLERS_DONE = 1 << 6;
        /// The ctrl layer failed: set by an error of the socket, in its connect, a read, a write,
        /// or told by the poller.
        CTRL_FAILED = 1 << 7;
        /// Ctrl layer read side shut: set with CSHR_DONE.
        CTRL_SHUTR = 1 << 8;
        /// Ctrl layer write side shut: set with CSHW_DONE.
        CTRL_SHUTW = 1 << 9;
        /// Data layer initialized: set together with FD_ALLOCATED.
        DATA_INIT = 1 << 10;
        /// Data layer connected. Raw: set by accept where no TLS is expected, when policy lets a
        /// client through without TLS, and with a server's state ESTABLISHED; cleared when a rule
        /// starts TLS. TLS: set when its handshake is complete.
        DATA_CONNECTED = 1 << 11;
        /// Every handshake handler of the data layer is done: set with the state ESTABLISHED.
        DATA_HANDLERS_DONE = 1 << 12;
        /// The data layer failed: set by a TLS handshake that fails and by records that cannot be
        /// trusted. An end without close_notify is no failure but a reason, `tls-truncated`.
        DATA_FAILED = 1 << 13;
        /// Data layer read side shut: set with DSHR_DONE.
        DATA_SHUTR = 1 << 14;
        /// Data layer write side shut: set with DSHW_DONE.
        DATA_SHUTW = 1 << 15;
        /// Nothing is read from it, because the other side of its session takes no more: set and
        /// cleared while payload is forwarded, cleared by the close.
        HELD_BACK = 1 << 16;
        /// Two-bit step: a PROXY header is accepted. Wanted by accept, or when policy asks for
        /// one; started when it is awaited; completed when it is parsed. Low bit: started.
        PROXY_IN_STARTED = 1 << 17;
        /// The same step. High bit: not completed.
        PROXY_IN_PENDING = 1 << 18;
        /// Two-bit step: a PROXY header is sent. Wanted by the connect command; started when it
        /// is built; completed when all of it is with the kernel. Low bit: started.
        PROXY_OUT_STARTED = 1 << 19;
        /// The same step. High bit: not completed.
        PROXY_OUT_PENDING = 1 << 20;
        /// Two-bit step: the TLS handshake. Wanted by accept, by the connect command and by a
        /// rule that starts it; taken back where a client goes on without TLS; started with the
        /// first record of ours; completed with DATA_CONNECTED. Low bit: started.
        DATA_OPEN_STARTED = 1 << 21;
        /// The same step. High bit: not completed.
        DATA_OPEN_PENDING = 1 << 22;
        /// Two-bit step: a SOCKS tunnel is asked for. Wanted by the connect command; started
        /// with the first message; completed by the proxy's last. Low bit: started.
        SOCKS_STARTED = 1 << 23;
        /// The same step. High bit: not completed.
        SOCKS_PENDING = 1 << 24;
        /// Two-bit step: the last chunk is sent. Started by a REPLY, by a CLOSE behind bytes of
        /// policy, and by the alert of a TLS handshake that failed; completed when all of it is
        /// with the kernel. Low bit: started.
        LAST_CHUNK_STARTED = 1 << 25;
        /// The same step. High bit: not completed.
        LAST_CHUNK_PENDING = 1 << 26;
    }
}

constants! {
    /// Values of a two-bit multi-step operation: `x & 1` is started at least,
    /// `x & 2` is not completed.
    step => "Step" {
        /// Not wanted.
        NOT_WANTED = 0b00;
        /// Started and completed.
        COMPLETED = 0b01;
        /// Wanted and not started.
        WANTED = 0b10;
        /// Started and not completed.
        STARTED = 0b11;
    }
}

constants! {
    /// Close operations of a connection. The low four bits say what is wanted,
    /// the next four what is done; a step that is wanted and not done is
    /// retained and finished asynchronously. The close of the descriptor wants
    /// and does whatever is left.
    close_op => "CloseOp" {
        /// Data layer shutr wanted: the end of the payload was read, or nobody reads it any
        /// more.
        DSHR = 1 << 0;
        /// Data layer shutw wanted: the other side has ended, or policy ends.
        DSHW = 1 << 1;
        /// Ctrl layer shutr wanted: together with DSHR.
        CSHR = 1 << 2;
        /// Ctrl layer shutw wanted: together with DSHW.
        CSHW = 1 << 3;
        /// Data layer shutr done: raw, the socket's end was read; TLS, close_notify or the end
        /// without one.
        DSHR_DONE = 1 << 4;
        /// Data layer shutw done: everything in front of it is with the kernel, with TLS
        /// close_notify too.
        DSHW_DONE = 1 << 5;
        /// Ctrl layer shutr done: DSHR_DONE, and the socket's own end was told.
        CSHR_DONE = 1 << 6;
        /// Ctrl layer shutw done: DSHW_DONE, and the FIN is sent.
        CSHW_DONE = 1 << 7;
    }
}
