//! States of a connection, and which may follow which. Stream-interface states
//! live in TypeScript alone: the engine does not know sessions.

use crate::table::constants;

constants! {
    /// States of a connection. `ConnNext` has the steps between them.
    conn_state => "ConnState" {
        /// Nothing is in the slot yet, or what was there is closed and had not failed.
        CLOSED = 0;
        /// A client, from accept until its session is linked to a server or an applet.
        ACCEPTED = 1;
        /// A server, from the connect command until its last handshake is done.
        CONNECTING = 2;
        /// Payload may flow: every handshake is done, on both sides.
        ESTABLISHED = 3;
        /// Failed, together with the flag ERR. It stays so behind the close, as long as the
        /// record is its own.
        ERROR = 4;
    }
}

constants! {
    /// The states that may follow each, as bits `1 << state`: the one table of steps, for
    /// both engines. A step that it does not have changes nothing.
    conn_next => "ConnNext", masks = true {
        /// Behind CLOSED: the slot is taken, for a client or for a server.
        CLOSED = 1 << conn_state::ACCEPTED | 1 << conn_state::CONNECTING;
        /// Behind ACCEPTED.
        ACCEPTED =
            1 << conn_state::ESTABLISHED | 1 << conn_state::ERROR | 1 << conn_state::CLOSED;
        /// Behind CONNECTING.
        CONNECTING =
            1 << conn_state::ESTABLISHED | 1 << conn_state::ERROR | 1 << conn_state::CLOSED;
        /// Behind ESTABLISHED.
        ESTABLISHED = 1 << conn_state::ERROR | 1 << conn_state::CLOSED;
        /// Behind ERROR: nothing but the slot's next connection.
        ERROR = 0;
    }
}
