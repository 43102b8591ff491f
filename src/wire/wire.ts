// Generated from crates/wire by `npm run generate`. Do not edit: a difference fails CI.

/** Hash of every name and value below; the addon must have the same. */
export const WIRE_VERSION = 2140370321

/**
 * Connection flags. `SHR`, `SHW` and `ERR` are all that policy needs; the
 * rest is internal status that only the decode twin prints. Written by the
 * engine alone; a flag is never taken back unless its line says so.
 */
export const ConnFlag = {
  /** No more payload comes: set together with DATA_SHUTR. */
  SHR: 1,
  /** No more payload is sent: set together with DATA_SHUTW. */
  SHW: 2,
  /**
   * The connection failed: set together with CTRL_FAILED or DATA_FAILED, and with the
   * state ERROR. An end by a time-out, by policy or by a handshake's answer is no failure.
   */
  ERR: 4,
  /**
   * A file descriptor is allocated: set by accept and by the connect command, cleared by
   * the close.
   */
  FD_ALLOCATED: 8,
  /** Ctrl layer initialized: set together with FD_ALLOCATED. */
  CTRL_INIT: 16,
  /** Ctrl layer connected: set by accept, and once the connect has succeeded. */
  CTRL_CONNECTED: 32,
  /** Every handshake handler of the ctrl layer is done: set with the state ESTABLISHED. */
  CTRL_HANDLERS_DONE: 64,
  /**
   * The ctrl layer failed: set by an error of the socket, in its connect, a read, a write,
   * or told by the poller.
   */
  CTRL_FAILED: 128,
  /** Ctrl layer read side shut: set with CSHR_DONE. */
  CTRL_SHUTR: 256,
  /** Ctrl layer write side shut: set with CSHW_DONE. */
  CTRL_SHUTW: 512,
  /** Data layer initialized: set together with FD_ALLOCATED. */
  DATA_INIT: 1024,
  /**
   * Data layer connected. Raw: set by accept where no TLS is expected, when policy lets a
   * client through without TLS, and with a server's state ESTABLISHED; cleared when a rule
   * starts TLS. TLS: set when its handshake is complete.
   */
  DATA_CONNECTED: 2048,
  /** Every handshake handler of the data layer is done: set with the state ESTABLISHED. */
  DATA_HANDLERS_DONE: 4096,
  /**
   * The data layer failed: set by a TLS handshake that fails and by records that cannot be
   * trusted. An end without close_notify is no failure but a reason, `tls-truncated`.
   */
  DATA_FAILED: 8192,
  /** Data layer read side shut: set with DSHR_DONE. */
  DATA_SHUTR: 16384,
  /** Data layer write side shut: set with DSHW_DONE. */
  DATA_SHUTW: 32768,
  /**
   * Nothing is read from it, because the other side of its session takes no more: set and
   * cleared while payload is forwarded, cleared by the close.
   */
  HELD_BACK: 65536,
  /**
   * Two-bit step: a PROXY header is accepted. Wanted by accept, or when policy asks for
   * one; started when it is awaited; completed when it is parsed. Low bit: started.
   */
  PROXY_IN_STARTED: 131072,
  /** The same step. High bit: not completed. */
  PROXY_IN_PENDING: 262144,
  /**
   * Two-bit step: a PROXY header is sent. Wanted by the connect command; started when it
   * is built; completed when all of it is with the kernel. Low bit: started.
   */
  PROXY_OUT_STARTED: 524288,
  /** The same step. High bit: not completed. */
  PROXY_OUT_PENDING: 1048576,
  /**
   * Two-bit step: the TLS handshake. Wanted by accept, by the connect command and by a
   * rule that starts it; taken back where a client goes on without TLS; started with the
   * first record of ours; completed with DATA_CONNECTED. Low bit: started.
   */
  DATA_OPEN_STARTED: 2097152,
  /** The same step. High bit: not completed. */
  DATA_OPEN_PENDING: 4194304,
  /**
   * Two-bit step: a SOCKS tunnel is asked for. Wanted by the connect command; started
   * with the first message; completed by the proxy's last. Low bit: started.
   */
  SOCKS_STARTED: 8388608,
  /** The same step. High bit: not completed. */
  SOCKS_PENDING: 16777216,
  /**
   * Two-bit step: the last chunk is sent. Started by a REPLY, by a CLOSE behind bytes of
   * policy, and by the alert of a TLS handshake that failed; completed when all of it is
   * with the kernel. Low bit: started.
   */
  LAST_CHUNK_STARTED: 33554432,
  /** The same step. High bit: not completed. */
  LAST_CHUNK_PENDING: 67108864,
} as const

/**
 * Values of a two-bit multi-step operation: `x & 1` is started at least,
 * `x & 2` is not completed.
 */
export const Step = {
  /** Not wanted. */
  NOT_WANTED: 0,
  /** Started and completed. */
  COMPLETED: 1,
  /** Wanted and not started. */
  WANTED: 2,
  /** Started and not completed. */
  STARTED: 3,
} as const

/**
 * Close operations of a connection. The low four bits say what is wanted,
 * the next four what is done; a step that is wanted and not done is
 * retained and finished asynchronously. The close of the descriptor wants
 * and does whatever is left.
 */
export const CloseOp = {
  /**
   * Data layer shutr wanted: the end of the payload was read, or nobody reads it any
   * more.
   */
  DSHR: 1,
  /** Data layer shutw wanted: the other side has ended, or policy ends. */
  DSHW: 2,
  /** Ctrl layer shutr wanted: together with DSHR. */
  CSHR: 4,
  /** Ctrl layer shutw wanted: together with DSHW. */
  CSHW: 8,
  /**
   * Data layer shutr done: raw, the socket's end was read; TLS, close_notify or the end
   * without one.
   */
  DSHR_DONE: 16,
  /**
   * Data layer shutw done: everything in front of it is with the kernel, with TLS
   * close_notify too.
   */
  DSHW_DONE: 32,
  /** Ctrl layer shutr done: DSHR_DONE, and the socket's own end was told. */
  CSHR_DONE: 64,
  /** Ctrl layer shutw done: DSHW_DONE, and the FIN is sent. */
  CSHW_DONE: 128,
} as const

/** Handshake handlers. They run before payload flows, lowest bit first. */
export const Handshake = {
  /** Incoming. Mode health: send the health reply and die. */
  HEALTH: 1,
  /** Incoming. The source may be in monitor-net: TypeScript is asked. */
  MONITOR_IN: 2,
  /** Incoming. A PROXY protocol header (v1 or v2) is awaited. */
  ACCEPT_PROXY: 4,
  /** Incoming. The `rules.connection` rules run. */
  TCP_RULES: 8,
  /** Incoming. The TLS data layer's accept. */
  TLS: 16,
  /** Incoming. The `rules.handshake` rules see the first bytes. */
  CUSTOM: 32,
  /** Incoming. The session is made and its target chosen. */
  ACCEPT_SESSION: 64,
  /** Outgoing. The connect() of the ctrl layer. */
  L4_CONNECT: 128,
  /** Outgoing. A SOCKS4a or SOCKS5 proxy is asked for the tunnel. */
  SOCKS: 256,
  /** Outgoing. The PROXY protocol header is sent. */
  SEND_PROXY: 512,
  /** Outgoing. The TLS data layer's connect. */
  TLS_OUT: 1024,
  /** Either. Send the bytes pointed to, then die. */
  SEND_LAST_CHUNK: 2048,
} as const

/** States of a connection. `ConnNext` has the steps between them. */
export const ConnState = {
  /** Nothing is in the slot yet, or what was there is closed and had not failed. */
  CLOSED: 0,
  /** A client, from accept until its session is linked to a server or an applet. */
  ACCEPTED: 1,
  /** A server, from the connect command until its last handshake is done. */
  CONNECTING: 2,
  /** Payload may flow: every handshake is done, on both sides. */
  ESTABLISHED: 3,
  /**
   * Failed, together with the flag ERR. It stays so behind the close, as long as the
   * record is its own.
   */
  ERROR: 4,
} as const

/**
 * The states that may follow each, as bits `1 << state`: the one table of steps, for
 * both engines. A step that it does not have changes nothing.
 */
export const ConnNext = {
  /** Behind CLOSED: the slot is taken, for a client or for a server. */
  CLOSED: 6,
  /** Behind ACCEPTED. */
  ACCEPTED: 25,
  /** Behind CONNECTING. */
  CONNECTING: 25,
  /** Behind ESTABLISHED. */
  ESTABLISHED: 17,
  /** Behind ERROR: nothing but the slot's next connection. */
  ERROR: 0,
} as const

/**
 * Event kinds. A record is `kind, slot, generation, a, b, c, d, e`. Bytes are
 * `offset, length` in the event slab and valid only while the event is
 * dispatched.
 */
export const Event = {
  /**
   * A handshake that TypeScript must decide. a: listener, b: handshake
   * bit, c: offset and d: length of bytes: for TLS the ClientHello message (or,
   * where `e` is not COMPLETE, what came instead), else the PROXY v2 TLVs, if
   * any. e: HelloStatus, for TLS.
   */
  HANDSHAKE: 1,
  /**
   * Buffered payload for an inspection. a: offset, b: length, c: BytesFlag,
   * d: epoch of the INSPECT command: an older one is outdated.
   */
  BYTES: 2,
  /** The outgoing connection is established. a: its slot, b: milliseconds since the connect command. */
  CONNECTED: 3,
  /**
   * The outgoing connection failed; the client is still there. a: reason
   * word, b: errno or 0, c: milliseconds since the connect command.
   */
  CONNECT_FAILED: 4,
  /**
   * The connection ended; its table record is valid while this event is
   * dispatched. a: reason word, b: errno or 0, c: clock in ms, d: connect time in ms or -1,
   * e: our port towards the server, where WANT_SOURCE asked for it, or 0.
   */
  CLOSED: 5,
  /**
   * A verdict came too late: the default was taken. a: handshake bit or
   * 0, b: 1 where the default was to open, 0 where it was to close.
   */
  VERDICT_TIMEOUT: 6,
  /** Payload for an applet. a: offset, b: length, c: BytesFlag. */
  DATA: 7,
  /** Payload of an applet left its buffer. a: bytes. */
  SENT: 8,
  /** accept() failed and the listener pauses. slot: listener, a: errno. */
  LISTENER_PAUSED: 9,
  /** A worker closed its part of a listener. slot: listener. */
  LISTENER_CLOSED: 10,
  /**
   * A TLS handshake is complete. a: handshake bit (TLS or TLS_OUT), b: protocol
   * version in bits 16 to 31, cipher suite in bits 0 to 15, both as on the wire,
   * c: TlsFlag, d: offset, e: length of the bytes: one byte of length, the ALPN
   * protocol, and the peer's certificate in DER if it sent one.
   */
  SECURED: 11,
  /**
   * A client's TLS handshake waits for the client for the first time: what costs CPU
   * is done. Where ProceedFlag TELL_WAITING asked for it.
   */
  HANDSHAKE_WAITS: 12,
} as const

/** What is known about the bytes of a BYTES or DATA event. */
export const BytesFlag = {
  /** The client sent its FIN: no more bytes will come. */
  EOF: 1,
  /** The limit is reached: no more bytes will be buffered. */
  FULL: 2,
  /** The inspect delay has passed. */
  EXPIRED: 4,
} as const

/** What the bytes of a HANDSHAKE event about TLS are. */
export const HelloStatus = {
  /** A ClientHello handshake message, without record headers. */
  COMPLETE: 0,
  /** Bytes that are no TLS record: what the client sent first. */
  NOT_TLS: 1,
  /** TLS records that hold no ClientHello. */
  MALFORMED: 2,
  /** A ClientHello of more than MAX_HELLO bytes. */
  TOO_LARGE: 3,
  /** A record that is longer than records may be. */
  OVERFLOW: 4,
  /** A ClientHello in more than MAX_HELLO_PIECES pieces. */
  DRIPPED: 5,
} as const

/** What is known about a finished TLS handshake. */
export const TlsFlag = {
  /** The session was resumed: no certificate was exchanged now. */
  RESUMED: 1,
  /** The peer's certificate was verified. */
  VERIFIED: 2,
} as const

/**
 * Command kinds. A record is `kind, slot, generation, a, b, c, d, e`. Bytes
 * are `offset, length` in the command slab; the engine copies them.
 */
export const Command = {
  /**
   * Go on with the handshakes. a: bits to clear, b: bits to set, c: bytes to consume,
   * d: TLS context, where it answers TLS without clearing it, e: ProceedFlag.
   */
  PROCEED: 1,
  /**
   * Buffer payload and send BYTES events. a: limit in bytes, b: delay in
   * ms (0: none), c: bytes to consume first, d: epoch for its BYTES events.
   */
  INSPECT: 2,
  /**
   * Connect to a route and forward. a: route, b: ConnectFlag, c: bytes to
   * consume, d: offset and e: length of extra PROXY v2 TLVs.
   */
  CONNECT: 3,
  /** Hand the payload to an applet. a: first credit in bytes, b: unused, c: bytes to consume. */
  APPLET: 4,
  /**
   * Payload from an applet, or of a handshake while policy is asked (at most
   * 16 kB, no FIN). a: offset, b: length, c: SendFlag.
   */
  SEND: 5,
  /** The applet consumed payload. a: bytes. */
  CREDIT: 6,
  /** Send the last chunk, then die. a: offset, b: length, c: reason word. */
  REPLY: 7,
  /** Close. a: reason word, b: CloseMode, c: hold time in ms for TARPIT. */
  CLOSE: 8,
  /** A time-out of this connection alone. a: Timeout, b: ms (0: none, -1: as configured). */
  SET_TIMEOUT: 9,
  /**
   * The first buffered bytes of a client become others, while policy is asked; INSPECT,
   * PROCEED or another answer follows. a: offset, b: length (at most 16 kB), c: how many
   * bytes they replace.
   */
  REPLACE: 10,
} as const

/** Options of a PROCEED command. */
export const ProceedFlag = {
  /** Send a HANDSHAKE_WAITS event of the TLS handshake that begins. */
  TELL_WAITING: 1,
} as const

/** Options of a CONNECT command. */
export const ConnectFlag = {
  /** Send a CONNECTED event. */
  WANT_CONNECTED: 1,
  /**
   * Write our own address and port towards the server into its record, and tell the port
   * with CLOSED. It costs a system call.
   */
  WANT_SOURCE: 2,
} as const

/** How a CLOSE command ends the connection. */
export const CloseMode = {
  /** Close with FIN, behind what policy itself has sent; what is forwarded is cut. */
  CLOSE: 0,
  /** Close at once with RST. */
  RESET: 1,
  /** Hold the connection silently, then close it. */
  TARPIT: 2,
} as const

/** Options of a SEND command. */
export const SendFlag = {
  /** Shut the write side after these bytes. */
  FIN: 1,
} as const

/** Which time-out a SET_TIMEOUT command is about. */
export const Timeout = {
  /** Client inactivity. */
  CLIENT: 0,
  /** Client inactivity once either side is shut. */
  CLIENT_FIN: 1,
  /** Server inactivity. */
  SERVER: 2,
  /** Server inactivity once either side is shut. */
  SERVER_FIN: 3,
  /** Inactivity once both sides have sent payload. */
  TUNNEL: 4,
  /** From the next CONNECT command to the end of the outgoing handshakes. */
  CONNECT: 5,
} as const

/** Who ended the connection. */
export const By = {
  /** The client. */
  CLIENT: 1,
  /** The server. */
  SERVER: 2,
  /** Sluice itself: a resource, a limit or a shutdown. */
  PROXY: 3,
  /** A policy: a rule or an applet. */
  POLICY: 4,
  /** A time-out. */
  TIMEOUT: 5,
} as const

/** What the connection was doing when it ended. */
export const Phase = {
  /** Being accepted: nothing was read yet. */
  ACCEPT: 1,
  /** HH_HEALTH: the bind answers health checks and nothing else. */
  HEALTH: 2,
  /** HH_MONITOR_IN: is the source a monitoring system? */
  MONITOR_IN: 3,
  /** HH_ACCEPT_PROXY: a PROXY header is awaited. */
  ACCEPT_PROXY: 4,
  /** HH_TCP_RULES: the `rules.connection` rules run. */
  TCP_RULES: 5,
  /** HH_TLS on the client's side (TLS). */
  TLS: 6,
  /** Handshake rules, on the client's first bytes. */
  HANDSHAKE: 7,
  /** HH_ACCEPT_SESSION: session rules and the choice of a target. */
  ACCEPT_SESSION: 8,
  /** Waiting in a backend's or server's queue. */
  QUEUE: 9,
  /** HH_L4_CONNECT: connecting to the server. */
  CONNECT: 10,
  /** HH_SOCKS: asking a SOCKS proxy for the tunnel. */
  SOCKS: 11,
  /** HH_SEND_PROXY: sending a PROXY header to the server. */
  SEND_PROXY: 12,
  /** HH_TLS on the server's side (TLS). */
  TLS_OUT: 13,
  /** Reading a request (HTTP). */
  REQUEST: 14,
  /** Waiting for or reading a response (HTTP). */
  RESPONSE: 15,
  /** Payload flows. */
  DATA: 16,
  /** Closing: one side is shut. */
  CLOSE: 17,
  /** HH_SEND_LAST_CHUNK: sending a reply before the close. */
  SEND_LAST_CHUNK: 18,
} as const

/** Why, in detail. */
export const Code = {
  /** A clean end: both sides sent their FIN. */
  DONE: 1,
  /** The peer reset the connection. */
  RESET: 2,
  /** The peer closed before it should have. */
  ABORTED: 3,
  /** The connection was refused. */
  REFUSED: 4,
  /** The network or host cannot be reached. */
  UNREACHABLE: 5,
  /** Another socket error; the errno is in the log line. */
  IO_ERROR: 6,
  /** The address cannot be used (bind before connect, bad socket path). */
  BAD_ADDRESS: 7,
  /** No file descriptor was left (EMFILE or ENFILE). */
  FD_EXHAUSTED: 8,
  /** No local port was left (EADDRNOTAVAIL). */
  PORTS_EXHAUSTED: 9,
  /** The kernel had no memory. */
  NO_MEMORY: 10,
  /** The connection table is full. */
  TABLE_FULL: 11,
  /** No connect within the connect time-out. */
  CONNECT_TIMEOUT: 12,
  /** The client was silent for its inactivity time-out. */
  CLIENT_TIMEOUT: 13,
  /** The server was silent for its inactivity time-out. */
  SERVER_TIMEOUT: 14,
  /** The client did not finish after one side was shut. */
  CLIENT_FIN_TIMEOUT: 15,
  /** The server did not finish after one side was shut. */
  SERVER_FIN_TIMEOUT: 16,
  /** The tunnel was silent for its time-out. */
  TUNNEL_TIMEOUT: 17,
  /** A handshake did not end by its deadline. */
  HANDSHAKE_TIMEOUT: 18,
  /** TypeScript gave no verdict by its deadline, and the default is to close. */
  VERDICT_TIMEOUT: 19,
  /** No server slot came free within the queue time-out. */
  QUEUE_TIMEOUT: 20,
  /** The queue was full. */
  QUEUE_FULL: 21,
  /** The bytes are no PROXY header. */
  PROXY_SIGNATURE: 22,
  /** The PROXY header is malformed. */
  PROXY_MALFORMED: 23,
  /** The PROXY header is too long. */
  PROXY_TOO_LONG: 24,
  /** The CRC32C of the PROXY v2 header does not match. */
  PROXY_CHECKSUM: 25,
  /** The sender may not send PROXY headers. */
  PROXY_UNTRUSTED: 26,
  /** The SOCKS proxy answered nonsense. */
  SOCKS_MALFORMED: 27,
  /** The SOCKS proxy wants an authentication that is not configured. */
  SOCKS_NO_METHOD: 28,
  /** The SOCKS proxy refused the user. */
  SOCKS_AUTH: 29,
  /** The SOCKS proxy refused the request. */
  SOCKS_REFUSED: 30,
  /** A rule rejected the connection. */
  REJECTED: 31,
  /** A rule tarpitted the connection and its time is over. */
  TARPIT: 32,
  /** A reply was sent and the connection closed. */
  REPLIED: 33,
  /** A rule threw or answered nonsense, and the default is to close. */
  POLICY_ERROR: 34,
  /** A handshake rule wanted more bytes than its limit. */
  HANDSHAKE_LIMIT: 35,
  /** No backend was chosen. */
  NO_BACKEND: 36,
  /** No server of the backend is usable. */
  NO_SERVER: 37,
  /** The health reply was sent. */
  HEALTH: 38,
  /** The monitor reply was sent. */
  MONITOR: 39,
  /** The applet threw. */
  APPLET_ERROR: 40,
  /** The proxy is stopping and the drain deadline has passed. */
  SHUTDOWN: 41,
  /** Closed by the program or the operator. */
  KILLED: 42,
  /** A defect of Sluice. */
  INTERNAL: 43,
  /** The peer's host name did not resolve. */
  RESOLVE: 44,
  /** The client does not speak TLS. */
  NOT_TLS: 45,
  /** The client speaks plain HTTP on a TLS port. */
  PLAIN_HTTP: 46,
  /** The ClientHello is larger than 16 kB, record headers not counted. */
  TLS_HELLO_TOO_LARGE: 47,
  /** A TLS record or message is malformed, or does not decrypt. */
  TLS_MALFORMED: 48,
  /** No TLS version in common. */
  TLS_VERSION: 49,
  /** No cipher suite, group or signature scheme in common. */
  TLS_CIPHER: 50,
  /** No certificate for the server name that the client asked for. */
  TLS_NO_CERTIFICATE: 51,
  /** No application protocol (ALPN) in common. */
  TLS_ALPN: 52,
  /** The peer sent a fatal TLS alert; its name is in the log line. */
  TLS_ALERT: 53,
  /** The peer gave no certificate. */
  TLS_CERT_MISSING: 54,
  /** The peer's certificate has expired or is not valid yet. */
  TLS_CERT_EXPIRED: 55,
  /** The server's certificate is for another name. */
  TLS_CERT_NAME: 56,
  /** The peer's certificate is of no trusted authority, or self-signed. */
  TLS_CERT_UNTRUSTED: 57,
  /** The peer's certificate is revoked. */
  TLS_CERT_REVOKED: 58,
  /** The peer's certificate cannot be used for another reason. */
  TLS_CERT_INVALID: 59,
  /** The peer closed without close_notify: payload may be missing. */
  TLS_TRUNCATED: 60,
  /** The peer wants to renegotiate. */
  TLS_RENEGOTIATION: 61,
  /** Another failure of the TLS layer. */
  TLS_ERROR: 62,
  /** The ClientHello came in more than 2048 pieces. */
  TLS_HELLO_DRIPPED: 63,
  /** Bytes in clear came behind a request to start TLS. */
  TLS_CLEAR_BYTES: 64,
} as const

/**
 * Words of a connection's record in the table. Written by the engine while
 * the generation matches, read by TypeScript.
 */
export const Field = {
  /** Generation of the slot; 0 is never used. */
  GENERATION: 0,
  /** ConnState. */
  STATE: 1,
  /** ConnFlag bits. */
  FLAGS: 2,
  /** CloseOp bits, wanted and done. */
  CLOSE_OPS: 3,
  /** Handshake bits that are pending. */
  HANDSHAKES: 4,
  /** Reason word of the end; final once CLOSED is told, and 0 while nobody has ended. */
  REASON: 5,
  /** Listener that accepted the connection, or -1. */
  LISTENER: 6,
  /**
   * Slot of the other side's connection in the table, or -1: set by the connect command,
   * taken back when the server is detached.
   */
  PEER: 7,
  /**
   * Address family of source and destination: Family. Of a client the source is its own
   * address, or that of its PROXY header. Of a server the destination is where the socket
   * goes (the SOCKS proxy, where there is one), and the source is ours: filled in once it
   * is established, where ConnectFlag WANT_SOURCE asked for it.
   */
  FAMILY: 8,
  /** Source port in bits 0 to 15, destination port in bits 16 to 31. */
  PORTS: 9,
  /** Source address, 16 bytes in network order; IPv4 uses the first four. */
  SRC: 10,
  /** Destination address, 16 bytes in network order. */
  DST: 14,
  /** Bytes received from the peer of this connection, low word. */
  BYTES_IN: 18,
  /** Bytes received, high word. */
  BYTES_IN_HIGH: 19,
  /** Bytes sent to the peer of this connection, low word. */
  BYTES_OUT: 20,
  /** Bytes sent, high word. */
  BYTES_OUT_HIGH: 21,
  /** Clock at accept or at the start of the connect, in ms. */
  OPENED_AT: 22,
  /** Clock when the payload began to flow, in ms, or 0. */
  ESTABLISHED_AT: 23,
} as const

/** Address families of the connection table. */
export const Family = {
  /** Unknown. */
  NONE: 0,
  /** Unix socket. */
  UNIX: 1,
  /** IPv4. */
  INET: 4,
  /** IPv6. */
  INET6: 6,
} as const

/** Words of a worker's control block. */
export const Control = {
  /** Position behind the last event written. Written by the engine. */
  EVENT_HEAD: 0,
  /** Position of the next event to read. Written by TypeScript. */
  EVENT_TAIL: 16,
  /**
   * Above 0 while somebody waits for an end of a connection: the engine rings for those
   * events at once that it would else leave to the next ring. Written by TypeScript.
   */
  EAGER: 17,
  /** 1 while the doorbell is rung and not answered. Swapped by the engine, cleared by TypeScript. */
  EVENT_WAKE: 32,
  /** 1 once the worker's thread has died. A word, because the ring may be full. Written by the engine. */
  FATAL: 33,
  /** Position behind the last command written. Written by TypeScript. */
  COMMAND_HEAD: 48,
  /** Position of the next command to read. Written by the engine. */
  COMMAND_TAIL: 64,
  /** 1 while the worker sleeps in its poller and needs a wake. Written by the engine. */
  SLEEPING: 80,
  /** 1 while TypeScript has commands that did not fit. Written by TypeScript, cleared by the engine. */
  COMMANDS_WAITING: 81,
} as const

/** Sizes. Capacities are powers of two. */
export const Layout = {
  /** Words of a record in either ring. */
  RECORD_WORDS: 8,
  /** Words of a connection's record in the table. */
  CONNECTION_WORDS: 24,
  /** Words of the control block. */
  CONTROL_WORDS: 96,
  /** Records of the event ring. */
  EVENT_CAPACITY: 16384,
  /** Records of the command ring. */
  COMMAND_CAPACITY: 16384,
  /** Bytes of the event slab. */
  EVENT_SLAB_BYTES: 2097152,
  /** Bytes of the command slab. */
  COMMAND_SLAB_BYTES: 2097152,
  /** Mask of a free-running position. */
  POSITION_MASK: 2147483647,
  /** Largest chunk of payload in one event or command. */
  MAX_CHUNK: 65536,
  /** Most bytes of a ClientHello message, without record headers: it may fill a record. */
  MAX_HELLO: 16384,
  /** Most records that a ClientHello comes in, and most times that a part of it comes. */
  MAX_HELLO_PIECES: 2048,
} as const

/**
 * Field names that are known by number: those that the engine reads, and those that rules ask
 * for most. 0 is any other.
 */
export const HttpName = {
  /** `host` */
  HOST: 1,
  /** `content-length` */
  CONTENT_LENGTH: 2,
  /** `transfer-encoding` */
  TRANSFER_ENCODING: 3,
  /** `connection` */
  CONNECTION: 4,
  /** `keep-alive` */
  KEEP_ALIVE: 5,
  /** `proxy-connection` */
  PROXY_CONNECTION: 6,
  /** `te` */
  TE: 7,
  /** `trailer` */
  TRAILER: 8,
  /** `upgrade` */
  UPGRADE: 9,
  /** `http2-settings` */
  HTTP2_SETTINGS: 10,
  /** `expect` */
  EXPECT: 11,
  /** `content-type` */
  CONTENT_TYPE: 12,
  /** `content-encoding` */
  CONTENT_ENCODING: 13,
  /** `content-language` */
  CONTENT_LANGUAGE: 14,
  /** `content-range` */
  CONTENT_RANGE: 15,
  /** `content-disposition` */
  CONTENT_DISPOSITION: 16,
  /** `content-security-policy` */
  CONTENT_SECURITY_POLICY: 17,
  /** `accept` */
  ACCEPT: 18,
  /** `accept-encoding` */
  ACCEPT_ENCODING: 19,
  /** `accept-language` */
  ACCEPT_LANGUAGE: 20,
  /** `accept-ranges` */
  ACCEPT_RANGES: 21,
  /** `authorization` */
  AUTHORIZATION: 22,
  /** `proxy-authorization` */
  PROXY_AUTHORIZATION: 23,
  /** `www-authenticate` */
  WWW_AUTHENTICATE: 24,
  /** `proxy-authenticate` */
  PROXY_AUTHENTICATE: 25,
  /** `cookie` */
  COOKIE: 26,
  /** `set-cookie` */
  SET_COOKIE: 27,
  /** `cache-control` */
  CACHE_CONTROL: 28,
  /** `pragma` */
  PRAGMA: 29,
  /** `expires` */
  EXPIRES: 30,
  /** `age` */
  AGE: 31,
  /** `vary` */
  VARY: 32,
  /** `date` */
  DATE: 33,
  /** `etag` */
  ETAG: 34,
  /** `last-modified` */
  LAST_MODIFIED: 35,
  /** `if-match` */
  IF_MATCH: 36,
  /** `if-none-match` */
  IF_NONE_MATCH: 37,
  /** `if-modified-since` */
  IF_MODIFIED_SINCE: 38,
  /** `if-unmodified-since` */
  IF_UNMODIFIED_SINCE: 39,
  /** `if-range` */
  IF_RANGE: 40,
  /** `range` */
  RANGE: 41,
  /** `location` */
  LOCATION: 42,
  /** `referer` */
  REFERER: 43,
  /** `origin` */
  ORIGIN: 44,
  /** `user-agent` */
  USER_AGENT: 45,
  /** `server` */
  SERVER: 46,
  /** `via` */
  VIA: 47,
  /** `forwarded` */
  FORWARDED: 48,
  /** `x-forwarded-for` */
  X_FORWARDED_FOR: 49,
  /** `x-forwarded-proto` */
  X_FORWARDED_PROTO: 50,
  /** `x-forwarded-host` */
  X_FORWARDED_HOST: 51,
  /** `x-forwarded-port` */
  X_FORWARDED_PORT: 52,
  /** `x-real-ip` */
  X_REAL_IP: 53,
  /** `x-request-id` */
  X_REQUEST_ID: 54,
  /** `traceparent` */
  TRACEPARENT: 55,
  /** `tracestate` */
  TRACESTATE: 56,
  /** `x-requested-with` */
  X_REQUESTED_WITH: 57,
  /** `x-api-key` */
  X_API_KEY: 58,
  /** `allow` */
  ALLOW: 59,
  /** `retry-after` */
  RETRY_AFTER: 60,
  /** `link` */
  LINK: 61,
  /** `alt-svc` */
  ALT_SVC: 62,
  /** `strict-transport-security` */
  STRICT_TRANSPORT_SECURITY: 63,
  /** `access-control-allow-origin` */
  ACCESS_CONTROL_ALLOW_ORIGIN: 64,
  /** `access-control-allow-credentials` */
  ACCESS_CONTROL_ALLOW_CREDENTIALS: 65,
  /** `access-control-allow-headers` */
  ACCESS_CONTROL_ALLOW_HEADERS: 66,
  /** `access-control-allow-methods` */
  ACCESS_CONTROL_ALLOW_METHODS: 67,
  /** `access-control-expose-headers` */
  ACCESS_CONTROL_EXPOSE_HEADERS: 68,
  /** `access-control-max-age` */
  ACCESS_CONTROL_MAX_AGE: 69,
  /** `access-control-request-headers` */
  ACCESS_CONTROL_REQUEST_HEADERS: 70,
  /** `access-control-request-method` */
  ACCESS_CONTROL_REQUEST_METHOD: 71,
  /** `sec-websocket-key` */
  SEC_WEBSOCKET_KEY: 72,
  /** `sec-websocket-accept` */
  SEC_WEBSOCKET_ACCEPT: 73,
  /** `sec-websocket-protocol` */
  SEC_WEBSOCKET_PROTOCOL: 74,
  /** `sec-websocket-version` */
  SEC_WEBSOCKET_VERSION: 75,
  /** `sec-websocket-extensions` */
  SEC_WEBSOCKET_EXTENSIONS: 76,
  /** `sec-fetch-site` */
  SEC_FETCH_SITE: 77,
  /** `sec-fetch-mode` */
  SEC_FETCH_MODE: 78,
  /** `sec-fetch-dest` */
  SEC_FETCH_DEST: 79,
  /** `upgrade-insecure-requests` */
  UPGRADE_INSECURE_REQUESTS: 80,
  /** `last-event-id` */
  LAST_EVENT_ID: 81,
} as const

/** Methods that are known by number. 0 is any other. */
export const HttpMethod = {
  /** `GET` */
  GET: 1,
  /** `HEAD` */
  HEAD: 2,
  /** `POST` */
  POST: 3,
  /** `PUT` */
  PUT: 4,
  /** `DELETE` */
  DELETE: 5,
  /** `OPTIONS` */
  OPTIONS: 6,
  /** `PATCH` */
  PATCH: 7,
  /** `CONNECT` */
  CONNECT: 8,
  /** `TRACE` */
  TRACE: 9,
} as const

/** Why a message is refused. */
export const HttpBad = {
  /** A line that does not end in CR LF: a LF alone, or a CR without its LF (RFC 9112 2.2). */
  LINE_END: 1,
  /** A NUL, or another byte that no head has. */
  BYTE: 2,
  /** The first line is no request line or status line. */
  START_LINE: 3,
  /** The version is neither HTTP/1.0 nor HTTP/1.1. */
  VERSION: 4,
  /** The target has no form that its method allows, or bytes that no target has. */
  TARGET: 5,
  /** The first line is longer than its limit. */
  TARGET_LONG: 6,
  /** A field line without a name, with a space before its colon, or folded (RFC 9112 5). */
  FIELD_LINE: 7,
  /** A field name longer than 255 bytes. */
  FIELD_NAME: 8,
  /** The head is longer than its limit. */
  HEAD_LONG: 9,
  /** More fields than the limit. */
  FIELDS: 10,
  /** No Host, several, one that is none, or another than the target's (RFC 9112 3.2). */
  HOST: 11,
  /** Content-Length is no number, or stands there twice (RFC 9112 6.3). */
  CONTENT_LENGTH: 12,
  /** Transfer-Encoding beside Content-Length, in HTTP/1.0, or not exactly `chunked` (RFC 9112 6.1). */
  TRANSFER_ENCODING: 13,
  /** A transfer coding that is real and not ours. */
  CODING: 14,
  /** An expectation other than 100-continue (RFC 9110 10.1.1). */
  EXPECT: 15,
  /** A body where there is none: CONNECT. */
  UNEXPECTED_BODY: 16,
  /** A status that none is, or 101 that nobody asked for. */
  STATUS: 17,
  /** A chunk whose size line or end is wrong (RFC 9112 7.1). */
  CHUNK: 18,
  /** A chunk's size line or the trailer section is longer than its limit. */
  CHUNK_LONG: 19,
  /** A trailer field that is no field line. */
  TRAILER: 20,
} as const

/**
 * Words of a request's or response's facts, as they stand in the event slab: then two words a
 * field (`HttpField`), then the bytes of the head. A span is its start, and its length above
 * bit 16.
 */
export const HttpFact = {
  /** Number of the request on its connection. */
  NUMBER: 0,
  /** `HttpFlag` bits; below them the `HttpMethod` of a request. */
  FLAGS: 1,
  /** Content-Length, the low 32 bits. */
  LENGTH_LOW: 2,
  /** The high 32 bits. */
  LENGTH_HIGH: 3,
  /** Requests: span of the target. Responses: the status. */
  TARGET: 4,
  /** Requests: span of the path. Responses: span of the reason. */
  PATH: 5,
  /** Requests: span of the query; starts at 0 where there is none. */
  QUERY: 6,
  /** Requests: span of the host. */
  HOST: 7,
  /** Requests: the host's port, or 0. */
  PORT: 8,
  /** Fields; above bit 16 the bytes of the head. */
  COUNTS: 9,
  /** A bit for each `HttpName` that is there and goes further: three words. */
  NAMES: 10,
  /** Words of the facts. */
  WORDS: 13,
} as const

/** What a head says in bits. The lowest 8 bits are a request's `HttpMethod`. */
export const HttpFlag = {
  /** HTTP/1.0. */
  HTTP_1_0: 256,
  /** The connection may be used again. */
  KEEP_ALIVE: 512,
  /** Another protocol is asked for, or begun. */
  UPGRADE: 1024,
  /** The client waits for 100 (Continue). */
  EXPECTS: 2048,
  /** The client reads trailers. */
  TRAILERS: 4096,
  /** The body comes in chunks. */
  CHUNKED: 8192,
  /** Content-Length was sent. */
  LENGTH: 16384,
  /** The body ends with the connection. */
  UNTIL_CLOSE: 32768,
  /** The target is absolute. */
  ABSOLUTE: 65536,
  /** The target is an authority: CONNECT. */
  AUTHORITY: 131072,
  /** The target is `*`. */
  ASTERISK: 262144,
} as const

/**
 * Bits of a field's two words: start and length of its name, what it is; start and length of
 * its value.
 */
export const HttpField = {
  /** First word: bits below it are the start of the name. */
  NAME_LENGTH_SHIFT: 16,
  /** First word: bits below it, 8 of them, are the length of the name. */
  ID_SHIFT: 24,
  /** In the number above it: of this connection only. */
  HOP: 128,
} as const

/**
 * Operations of an edit program: three words each, (operation, and an index or status above
 * bit 8; span of a name; span of a value), behind the number of operations; then the text.
 */
export const HttpEdit = {
  /** The field at the index goes. */
  REMOVE: 1,
  /** The field at the index has this value. */
  REPLACE: 2,
  /** Every field of the name goes. */
  REMOVE_ALL: 3,
  /** A field is added. */
  ADD: 4,
  /** Another method. */
  METHOD: 5,
  /** Another path. */
  PATH: 6,
  /** Another query. */
  QUERY: 7,
  /** No query. */
  NO_QUERY: 8,
  /** Another host. */
  HOST: 9,
  /** Another status: above bit 8. */
  STATUS: 10,
  /** Other words behind the status. */
  REASON: 11,
} as const

/** Word offsets of the regions of a worker's memory. */
export const Region = {
  EVENT_RING: 96,
  COMMAND_RING: 131168,
  EVENT_SLAB: 262240,
  COMMAND_SLAB: 786528,
  WORKER_WORDS: 1310816,
} as const

/** Label of a By, as logs and metrics print it. */
export type ByLabel =
  | 'client'
  | 'server'
  | 'proxy'
  | 'policy'
  | 'timeout'

/** By labels by value; index 0 is unused. */
export const ByLabels: readonly ByLabel[] = [
  'client',
  'client',
  'server',
  'proxy',
  'policy',
  'timeout',
]

/** Label of a Phase, as logs and metrics print it. */
export type PhaseLabel =
  | 'accept'
  | 'health'
  | 'monitor-in'
  | 'accept-proxy'
  | 'tcp-rules'
  | 'tls'
  | 'handshake'
  | 'accept-session'
  | 'queue'
  | 'connect'
  | 'socks'
  | 'send-proxy'
  | 'tls-out'
  | 'request'
  | 'response'
  | 'data'
  | 'close'
  | 'send-last-chunk'

/** Phase labels by value; index 0 is unused. */
export const PhaseLabels: readonly PhaseLabel[] = [
  'accept',
  'accept',
  'health',
  'monitor-in',
  'accept-proxy',
  'tcp-rules',
  'tls',
  'handshake',
  'accept-session',
  'queue',
  'connect',
  'socks',
  'send-proxy',
  'tls-out',
  'request',
  'response',
  'data',
  'close',
  'send-last-chunk',
]

/** Label of a Code, as logs and metrics print it. */
export type CodeLabel =
  | 'done'
  | 'reset'
  | 'aborted'
  | 'refused'
  | 'unreachable'
  | 'io-error'
  | 'bad-address'
  | 'fd-exhausted'
  | 'ports-exhausted'
  | 'no-memory'
  | 'table-full'
  | 'connect-timeout'
  | 'client-timeout'
  | 'server-timeout'
  | 'client-fin-timeout'
  | 'server-fin-timeout'
  | 'tunnel-timeout'
  | 'handshake-timeout'
  | 'verdict-timeout'
  | 'queue-timeout'
  | 'queue-full'
  | 'proxy-signature'
  | 'proxy-malformed'
  | 'proxy-too-long'
  | 'proxy-checksum'
  | 'proxy-untrusted'
  | 'socks-malformed'
  | 'socks-no-method'
  | 'socks-auth'
  | 'socks-refused'
  | 'rejected'
  | 'tarpit'
  | 'replied'
  | 'policy-error'
  | 'handshake-limit'
  | 'no-backend'
  | 'no-server'
  | 'health'
  | 'monitor'
  | 'applet-error'
  | 'shutdown'
  | 'killed'
  | 'internal'
  | 'resolve'
  | 'not-tls'
  | 'plain-http'
  | 'tls-hello-too-large'
  | 'tls-malformed'
  | 'tls-version'
  | 'tls-cipher'
  | 'tls-no-certificate'
  | 'tls-alpn'
  | 'tls-alert'
  | 'tls-cert-missing'
  | 'tls-cert-expired'
  | 'tls-cert-name'
  | 'tls-cert-untrusted'
  | 'tls-cert-revoked'
  | 'tls-cert-invalid'
  | 'tls-truncated'
  | 'tls-renegotiation'
  | 'tls-error'
  | 'tls-hello-dripped'
  | 'tls-clear-bytes'

/** Code labels by value; index 0 is unused. */
export const CodeLabels: readonly CodeLabel[] = [
  'done',
  'done',
  'reset',
  'aborted',
  'refused',
  'unreachable',
  'io-error',
  'bad-address',
  'fd-exhausted',
  'ports-exhausted',
  'no-memory',
  'table-full',
  'connect-timeout',
  'client-timeout',
  'server-timeout',
  'client-fin-timeout',
  'server-fin-timeout',
  'tunnel-timeout',
  'handshake-timeout',
  'verdict-timeout',
  'queue-timeout',
  'queue-full',
  'proxy-signature',
  'proxy-malformed',
  'proxy-too-long',
  'proxy-checksum',
  'proxy-untrusted',
  'socks-malformed',
  'socks-no-method',
  'socks-auth',
  'socks-refused',
  'rejected',
  'tarpit',
  'replied',
  'policy-error',
  'handshake-limit',
  'no-backend',
  'no-server',
  'health',
  'monitor',
  'applet-error',
  'shutdown',
  'killed',
  'internal',
  'resolve',
  'not-tls',
  'plain-http',
  'tls-hello-too-large',
  'tls-malformed',
  'tls-version',
  'tls-cipher',
  'tls-no-certificate',
  'tls-alpn',
  'tls-alert',
  'tls-cert-missing',
  'tls-cert-expired',
  'tls-cert-name',
  'tls-cert-untrusted',
  'tls-cert-revoked',
  'tls-cert-invalid',
  'tls-truncated',
  'tls-renegotiation',
  'tls-error',
  'tls-hello-dripped',
  'tls-clear-bytes',
]

/** Label of a HttpBad, as logs and metrics print it. */
export type HttpBadLabel =
  | 'line-end'
  | 'byte'
  | 'start-line'
  | 'version'
  | 'target'
  | 'target-long'
  | 'field-line'
  | 'field-name'
  | 'head-long'
  | 'fields'
  | 'host'
  | 'content-length'
  | 'transfer-encoding'
  | 'coding'
  | 'expect'
  | 'unexpected-body'
  | 'status'
  | 'chunk'
  | 'chunk-long'
  | 'trailer'

/** HttpBad labels by value; index 0 is unused. */
export const HttpBadLabels: readonly HttpBadLabel[] = [
  'line-end',
  'line-end',
  'byte',
  'start-line',
  'version',
  'target',
  'target-long',
  'field-line',
  'field-name',
  'head-long',
  'fields',
  'host',
  'content-length',
  'transfer-encoding',
  'coding',
  'expect',
  'unexpected-body',
  'status',
  'chunk',
  'chunk-long',
  'trailer',
]

/** Label of a HttpName, as logs and metrics print it. */
export type HttpNameLabel =
  | 'host'
  | 'content-length'
  | 'transfer-encoding'
  | 'connection'
  | 'keep-alive'
  | 'proxy-connection'
  | 'te'
  | 'trailer'
  | 'upgrade'
  | 'http2-settings'
  | 'expect'
  | 'content-type'
  | 'content-encoding'
  | 'content-language'
  | 'content-range'
  | 'content-disposition'
  | 'content-security-policy'
  | 'accept'
  | 'accept-encoding'
  | 'accept-language'
  | 'accept-ranges'
  | 'authorization'
  | 'proxy-authorization'
  | 'www-authenticate'
  | 'proxy-authenticate'
  | 'cookie'
  | 'set-cookie'
  | 'cache-control'
  | 'pragma'
  | 'expires'
  | 'age'
  | 'vary'
  | 'date'
  | 'etag'
  | 'last-modified'
  | 'if-match'
  | 'if-none-match'
  | 'if-modified-since'
  | 'if-unmodified-since'
  | 'if-range'
  | 'range'
  | 'location'
  | 'referer'
  | 'origin'
  | 'user-agent'
  | 'server'
  | 'via'
  | 'forwarded'
  | 'x-forwarded-for'
  | 'x-forwarded-proto'
  | 'x-forwarded-host'
  | 'x-forwarded-port'
  | 'x-real-ip'
  | 'x-request-id'
  | 'traceparent'
  | 'tracestate'
  | 'x-requested-with'
  | 'x-api-key'
  | 'allow'
  | 'retry-after'
  | 'link'
  | 'alt-svc'
  | 'strict-transport-security'
  | 'access-control-allow-origin'
  | 'access-control-allow-credentials'
  | 'access-control-allow-headers'
  | 'access-control-allow-methods'
  | 'access-control-expose-headers'
  | 'access-control-max-age'
  | 'access-control-request-headers'
  | 'access-control-request-method'
  | 'sec-websocket-key'
  | 'sec-websocket-accept'
  | 'sec-websocket-protocol'
  | 'sec-websocket-version'
  | 'sec-websocket-extensions'
  | 'sec-fetch-site'
  | 'sec-fetch-mode'
  | 'sec-fetch-dest'
  | 'upgrade-insecure-requests'
  | 'last-event-id'

/** HttpName labels by value; index 0 is unused. */
export const HttpNameLabels: readonly HttpNameLabel[] = [
  'host',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'http2-settings',
  'expect',
  'content-type',
  'content-encoding',
  'content-language',
  'content-range',
  'content-disposition',
  'content-security-policy',
  'accept',
  'accept-encoding',
  'accept-language',
  'accept-ranges',
  'authorization',
  'proxy-authorization',
  'www-authenticate',
  'proxy-authenticate',
  'cookie',
  'set-cookie',
  'cache-control',
  'pragma',
  'expires',
  'age',
  'vary',
  'date',
  'etag',
  'last-modified',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
  'location',
  'referer',
  'origin',
  'user-agent',
  'server',
  'via',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip',
  'x-request-id',
  'traceparent',
  'tracestate',
  'x-requested-with',
  'x-api-key',
  'allow',
  'retry-after',
  'link',
  'alt-svc',
  'strict-transport-security',
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-expose-headers',
  'access-control-max-age',
  'access-control-request-headers',
  'access-control-request-method',
  'sec-websocket-key',
  'sec-websocket-accept',
  'sec-websocket-protocol',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'sec-fetch-site',
  'sec-fetch-mode',
  'sec-fetch-dest',
  'upgrade-insecure-requests',
  'last-event-id',
]
