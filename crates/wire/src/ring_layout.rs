//! The shared memory: the connection table, and for each worker a control
//! block, two rings and two byte slabs, in one Int32Array each.
//!
//! ```text
//! worker memory, in words of 4 bytes:
//!   [0, CONTROL_WORDS)     control block; hot words on separate cache lines
//!   event ring             EVENT_CAPACITY records of RECORD_WORDS
//!   command ring           COMMAND_CAPACITY records of RECORD_WORDS
//!   event slab             EVENT_SLAB_BYTES bytes, a ring allocator
//!   command slab           COMMAND_SLAB_BYTES bytes, a ring allocator
//! ```
//!
//! Positions are free-running 31-bit counters: `(head - tail) & POSITION_MASK`
//! is what is in a ring. A slab allocation is freed when the record that names
//! it has been consumed, so slabs have no counters of their own in shared
//! memory: each producer remembers which record owns which bytes.

use crate::table::constants;

constants! {
    /// Words of a connection's record in the table. Written by the engine while
    /// the generation matches, read by TypeScript.
    field => "Field" {
        /// Generation of the slot; 0 is never used.
        GENERATION = 0;
        /// ConnState.
        STATE = 1;
        /// ConnFlag bits.
        FLAGS = 2;
        /// CloseOp bits, wanted and done.
        CLOSE_OPS = 3;
        /// Handshake bits that are pending.
        HANDSHAKES = 4;
        /// Reason word of the end; final once CLOSED is told, and 0 while nobody has ended.
        REASON = 5;
        /// Listener that accepted the connection, or -1.
        LISTENER = 6;
        /// Slot of the other side's connection in the table, or -1: set by the connect command,
        /// taken back when the server is detached.
        PEER = 7;
        /// Address family of source and destination: Family. Of a client the source is its own
        /// address, or that of its PROXY header. Of a server the destination is where the socket
        /// goes (the SOCKS proxy, where there is one), and the source is ours: filled in once it
        /// is established, where ConnectFlag WANT_SOURCE asked for it.
        FAMILY = 8;
        /// Source port in bits 0 to 15, destination port in bits 16 to 31.
        PORTS = 9;
        /// Source address, 16 bytes in network order; IPv4 uses the first four.
        SRC = 10;
        /// Destination address, 16 bytes in network order.
        DST = 14;
        /// Bytes received from the peer of this connection, low word.
        BYTES_IN = 18;
        /// Bytes received, high word.
        BYTES_IN_HIGH = 19;
        /// Bytes sent to the peer of this connection, low word.
        BYTES_OUT = 20;
        /// Bytes sent, high word.
        BYTES_OUT_HIGH = 21;
        /// Clock at accept or at the start of the connect, in ms.
        OPENED_AT = 22;
        /// Clock when the payload began to flow, in ms, or 0.
        ESTABLISHED_AT = 23;
    }
}

constants! {
    /// Address families of the connection table.
    family => "Family" {
        /// Unknown.
        NONE = 0;
        /// Unix socket.
        UNIX = 1;
        /// IPv4.
        INET = 4;
        /// IPv6.
        INET6 = 6;
    }
}

constants! {
    /// Words of a worker's control block.
    control => "Control" {
        /// Position behind the last event written. Written by the engine.
        EVENT_HEAD = 0;
        /// Position of the next event to read. Written by TypeScript.
        EVENT_TAIL = 16;
        /// Above 0 while somebody waits for an end of a connection: the engine rings for those
        /// events at once that it would else leave to the next ring. Written by TypeScript.
        EAGER = 17;
        /// 1 while the doorbell is rung and not answered. Swapped by the engine, cleared by TypeScript.
        EVENT_WAKE = 32;
        /// 1 once the worker's thread has died. A word, because the ring may be full. Written by the engine.
        FATAL = 33;
        /// Position behind the last command written. Written by TypeScript.
        COMMAND_HEAD = 48;
        /// Position of the next command to read. Written by the engine.
        COMMAND_TAIL = 64;
        /// 1 while the worker sleeps in its poller and needs a wake. Written by the engine.
        SLEEPING = 80;
        /// 1 while TypeScript has commands that did not fit. Written by TypeScript, cleared by the engine.
        COMMANDS_WAITING = 81;
    }
}

constants! {
    /// Sizes. Capacities are powers of two.
    layout => "Layout", masks = true {
        /// Words of a record in either ring.
        RECORD_WORDS = 8;
        /// Words of a connection's record in the table.
        CONNECTION_WORDS = 24;
        /// Words of the control block.
        CONTROL_WORDS = 96;
        /// Records of the event ring.
        EVENT_CAPACITY = 1 << 14;
        /// Records of the command ring.
        COMMAND_CAPACITY = 1 << 14;
        /// Bytes of the event slab.
        EVENT_SLAB_BYTES = 1 << 21;
        /// Bytes of the command slab.
        COMMAND_SLAB_BYTES = 1 << 21;
        /// Mask of a free-running position.
        POSITION_MASK = 0x7fff_ffff;
        /// Largest chunk of payload in one event or command.
        MAX_CHUNK = 1 << 16;
        /// Most bytes of a ClientHello message, without record headers: it may fill a record.
        MAX_HELLO = 1 << 14;
        /// Most records that a ClientHello comes in, and most times that a part of it comes.
        MAX_HELLO_PIECES = 2048;
    }
}

/// Word offset of the event ring in a worker's memory.
pub const EVENT_RING: usize = layout::CONTROL_WORDS as usize;
/// Word offset of the command ring.
pub const COMMAND_RING: usize =
    EVENT_RING + (layout::EVENT_CAPACITY * layout::RECORD_WORDS) as usize;
/// Word offset of the event slab.
pub const EVENT_SLAB: usize =
    COMMAND_RING + (layout::COMMAND_CAPACITY * layout::RECORD_WORDS) as usize;
/// Word offset of the command slab.
pub const COMMAND_SLAB: usize = EVENT_SLAB + (layout::EVENT_SLAB_BYTES / 4) as usize;
/// Words of a worker's memory.
pub const WORKER_WORDS: usize = COMMAND_SLAB + (layout::COMMAND_SLAB_BYTES / 4) as usize;
