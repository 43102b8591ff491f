//! States of a connection. Stream-interface states live in
//! TypeScript alone: the engine does not know sessions.

use crate::table::constants;

constants! {
    /// States of a connection.
    conn_state => "ConnState" {
        /// No connection: the slot is free.
        CLOSED = 0;
        /// Accepted, handshakes may be pending.
        ACCEPTED = 1;
        /// An outgoing connection that is not established yet.
        CONNECTING = 2;
        /// Payload may flow.
        ESTABLISHED = 3;
        /// Failed; waits to be closed.
        ERROR = 4;
    }
}
