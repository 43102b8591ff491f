//! What a connection shows: its flags, and the close operations wanted and done.

use crate::table::constants;

constants! {
    /// Connection flags. `SHR`, `SHW` and `ERR` are all that policy needs; the
    /// rest is internal status that only the decode twin prints. Written by the
    /// engine, read by TypeScript.
    conn_flag => "ConnFlag" {
        /// The read side is shut: the peer will send nothing more.
        SHR = 1 << 0;
        /// The write side is shut: nothing more will be sent.
        SHW = 1 << 1;
        /// The connection failed; the close reason says how.
        ERR = 1 << 2;
        /// A file descriptor is allocated.
        FD_ALLOCATED = 1 << 3;
        /// Ctrl layer initialized.
        CTRL_INIT = 1 << 4;
        /// Ctrl layer connected.
        CTRL_CONNECTED = 1 << 5;
        /// Every handshake handler of the ctrl layer is done.
        CTRL_HANDLERS_DONE = 1 << 6;
        /// The ctrl layer failed.
        CTRL_FAILED = 1 << 7;
        /// Ctrl layer read side shut.
        CTRL_SHUTR = 1 << 8;
        /// Ctrl layer write side shut.
        CTRL_SHUTW = 1 << 9;
        /// Data layer initialized.
        DATA_INIT = 1 << 10;
        /// Data layer connected.
        DATA_CONNECTED = 1 << 11;
        /// Every handshake handler of the data layer is done.
        DATA_HANDLERS_DONE = 1 << 12;
        /// The data layer failed.
        DATA_FAILED = 1 << 13;
        /// Data layer read side shut.
        DATA_SHUTR = 1 << 14;
        /// Data layer write side shut.
        DATA_SHUTW = 1 << 15;
        /// The data layer wants to read.
        WANT_READ = 1 << 16;
        /// The data layer wants to write.
        WANT_WRITE = 1 << 17;
        /// Two-bit step: a PROXY header is accepted. Low bit: started.
        PROXY_IN_STARTED = 1 << 18;
        /// Two-bit step: a PROXY header is accepted. High bit: not completed.
        PROXY_IN_PENDING = 1 << 19;
        /// Two-bit step: a PROXY header is sent. Low bit: started.
        PROXY_OUT_STARTED = 1 << 20;
        /// Two-bit step: a PROXY header is sent. High bit: not completed.
        PROXY_OUT_PENDING = 1 << 21;
        /// Two-bit step: the data layer's accept or connect. Low bit: started.
        DATA_OPEN_STARTED = 1 << 22;
        /// Two-bit step: the data layer's accept or connect. High bit: not completed.
        DATA_OPEN_PENDING = 1 << 23;
        /// Two-bit step: a SOCKS tunnel is asked for. Low bit: started.
        SOCKS_STARTED = 1 << 24;
        /// Two-bit step: a SOCKS tunnel is asked for. High bit: not completed.
        SOCKS_PENDING = 1 << 25;
        /// Two-bit step: the last chunk is sent. Low bit: started.
        LAST_CHUNK_STARTED = 1 << 26;
        /// Two-bit step: the last chunk is sent. High bit: not completed.
        LAST_CHUNK_PENDING = 1 << 27;
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
    /// retained and finished asynchronously.
    close_op => "CloseOp" {
        /// Data layer shutr wanted.
        DSHR = 1 << 0;
        /// Data layer shutw wanted.
        DSHW = 1 << 1;
        /// Ctrl layer shutr wanted.
        CSHR = 1 << 2;
        /// Ctrl layer shutw wanted.
        CSHW = 1 << 3;
        /// Data layer shutr done.
        DSHR_DONE = 1 << 4;
        /// Data layer shutw done.
        DSHW_DONE = 1 << 5;
        /// Ctrl layer shutr done.
        CSHR_DONE = 1 << 6;
        /// Ctrl layer shutw done.
        CSHW_DONE = 1 << 7;
    }
}
