/**
 * The one interface between policy and mechanism. Two engines implement it:
 * `native` (Rust threads behind shared-memory rings) and `js` (`node:net`).
 * Policy never learns which one it runs on.
 *
 * A connection is named by `(conn, generation)`: its index in the connection
 * table and the generation of that slot. Every call with a stale generation is
 * a counted no-op (`stats().staleHandles`), never somebody else's connection.
 *
 * Life of an incoming connection, as policy sees it:
 *
 * ```text
 *  handshake(bit)  one call for each pending bit that the listener asks for,
 *       │          lowest bit first; answered by proceed, inspect, reply or close
 *       ▼
 *  handshake(ACCEPT_SESSION)   the last one: answered by connect, applet, inspect, reply or close
 *       │
 *       ├─ inspect → bytes ... ┐ any number of times
 *       │                      │
 *       ├─ connect → connected (if wanted) → closed
 *       │         └→ connectFailed → connect again | reply | close
 *       └─ applet  → data/sent ... → closed
 * ```
 *
 * `closed` comes exactly once for every connection of which policy heard at
 * all. While an answer is awaited the engine holds the verdict deadline: a late
 * answer finds a stale handle, because the default was taken.
 *
 * What counts as an answer:
 *
 * - `proceed` without the asked bit in `clear` (HEALTH, ACCEPT_PROXY, TLS): do that
 *   handshake; TLS needs a downstream context with it. With it: it is done or not wanted,
 *   so for TLS the payload stays as it is, ClientHello first.
 * - `connect`, `applet`, `inspect`, `reply` and `close` answer every bit that is
 *   still asked. So when TCP_RULES is asked and only ACCEPT_SESSION is pending
 *   behind it (table word HANDSHAKES), policy may answer both at once.
 * - `proceed` that clears ACCEPT_SESSION: the session is made and its target
 *   comes later (queue). The engine waits without a verdict deadline, and so it
 *   does after `connectFailed` (turn-around); policy holds those deadlines.
 * - After `bytes`, silence means more. A final answer is due, within the
 *   verdict deadline, after `bytes` with EOF, FULL or EXPIRED.
 */

import type { ListenAddress } from '../address/bind.js'
import type { ConnectionTable } from '../wire/table.js'
import type {
  BytesEvent,
  ClosedEvent,
  ConnectedEvent,
  ConnectFailedEvent,
  DataEvent,
  HandshakeEvent,
  HandshakeWaitsEvent,
  ListenerPausedEvent,
  SecuredEvent,
  SentEvent,
  VerdictTimeoutEvent,
} from './event.js'

export type EngineKind = 'native' | 'js'

/**
 * TCP keep-alive, in seconds: silence before the first probe, time between probes; and how many
 * of them may stay unanswered.
 */
export interface KeepAliveSpec {
  idle: number
  interval: number
  count: number
}

/** How a peer that has vanished is noticed. For TCP only. */
export interface LivenessSpec {
  /** Absent: no probes. */
  keepAlive?: KeepAliveSpec | undefined
  /** Longest time in ms that bytes may stay unacknowledged (TCP_USER_TIMEOUT); 0 or absent: the kernel's. */
  userTimeout?: number | undefined
}

/** What a listener does before and beside policy. All times in ms; 0 means none. */
export interface ListenSpec extends LivenessSpec {
  address: ListenAddress
  backlog: number
  /** Connections at once on this listener; accepting pauses at the limit. */
  maxconn: number
  /** Seconds the kernel may hold a connection back until bytes arrive; 0 is off. */
  deferAccept: number
  /** Length of the kernel's TCP Fast Open queue; 0 is off. */
  fastOpen: number
  /** Share the port with other processes (SO_REUSEPORT). Absent: whoever else has it is an error. */
  reusePort?: boolean
  /**
   * A client that has sent nothing when its time for the ClientHello is over is asked about, as
   * NOT_TLS without bytes: its server may speak first. Absent: it is closed.
   */
  silenceAsks?: boolean
  /** Most bytes of addresses and TLVs in a PROXY header of version 2. Absent: as many as there can be. */
  proxyLimit?: number
  /** Accept connections to addresses that are not local (IP_TRANSPARENT). */
  transparent: boolean
  /** Report the destination before NAT (SO_ORIGINAL_DST). */
  originalDst: boolean
  /** Handshake bits every connection starts with. ACCEPT_SESSION is always among them. */
  handshakes: number
  /** Which of these bits policy is asked about; the engine does the rest alone. */
  ask: number
  /** Reply of HEALTH, sent before everything else. */
  healthReply?: Uint8Array
  /** Longest time from accept to the session, for handshakes the engine does alone. */
  handshakeTimeout: number
  /** Longest time for one answer of policy. */
  verdictTimeout: number
  /** Route taken when the verdict is late, or -1 to close. */
  fallbackRoute: number
  /** Client inactivity. */
  clientTimeout: number
  /** Client inactivity once either side is shut; 0 means clientTimeout. */
  clientFinTimeout: number
}

/** Where somebody listens, with the real port; of a unix socket its path, and port 0. */
export interface BoundAddress {
  family: 'IPv4' | 'IPv6' | 'unix'
  address: string
  port: number
}

export interface ListenResult {
  listener: number
  address: BoundAddress
}

export interface SocksSpec {
  version: 4 | 5
  user?: string
  password?: string
  /** Destination asked of the SOCKS proxy; a name is resolved there. */
  host: string
  port: number
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

/** A chain and its key. */
export interface TlsCertificate {
  /** PEM: the end-entity certificate first, then its issuers. */
  chain: string
  /** PEM, not encrypted. */
  key: string
  /** An OCSP response in DER to staple; downstream contexts only. */
  ocsp?: Uint8Array
}

interface TlsCommonSpec {
  /** Protocols in order of preference; empty: ALPN is not used. */
  alpn: readonly string[]
  minVersion: TlsVersion
  maxVersion: TlsVersion
  /** IANA names, in order of preference; empty: the engine's default. */
  ciphers: readonly string[]
  /** IANA names of key exchange groups, in order of preference; empty: the engine's default. */
  groups: readonly string[]
  /** PEM certificates that peers' certificates are verified against; '' trusts none. */
  ca: string
  /** PEM revocation lists; '' for none. */
  crl: string
}

/** What TLS towards clients is made from. Which connection gets which context is policy's choice. */
export interface DownstreamTlsSpec extends TlsCommonSpec {
  /** One for each key type: the handshake takes the first that the client can use. At least one. */
  certificates: readonly TlsCertificate[]
  /** Ask clients for a certificate. 'optional' verifies one that comes. */
  clientCert: 'none' | 'optional' | 'required'
  /**
   * Contexts of the same group resume each other's sessions, and a context that replaces
   * another goes on with its tickets. Precondition: a group never mixes client certificate
   * demands or authorities, since a resumed session is not verified again.
   */
  sessionGroup: string
  /** Resume by tickets. */
  tickets: boolean
  /** Age at which ticket keys are rotated, ms. */
  ticketRotation: number
  /** Most sessions in the group's cache; 0: no cache. */
  sessionCache: number
}

/** What TLS towards servers is made from. */
export interface UpstreamTlsSpec extends TlsCommonSpec {
  /** False accepts every certificate. */
  verify: boolean
  /** Shown to servers that ask for one. */
  certificate?: TlsCertificate
  /** Most servers whose sessions are kept for resumption; 0: none. */
  sessionCache: number
}

/** One way out: an address and the handshakes that follow the connect. */
export interface RouteSpec extends LivenessSpec {
  address: { kind: 'tcp'; ip: string; port: number } | { kind: 'unix'; path: string }
  /** Local address to connect from; 'client' takes the client's own (transparent). */
  source?: { ip: string; port?: number } | 'client'
  /** Send a PROXY header of this version; 0 is off. */
  sendProxy: 0 | 1 | 2
  /** Add the CRC32C TLV to PROXY v2. */
  proxyCrc: boolean
  socks?: SocksSpec
  /** TLS behind the connect, SOCKS and PROXY. `serverName`: name or IP address for SNI and verification. */
  tls?: { context: number; serverName: string }
  /** From the connect command to the end of the outgoing handshakes. */
  connectTimeout: number
  serverTimeout: number
  serverFinTimeout: number
  /** Inactivity once both sides have sent payload; 0 keeps client and server time-outs. */
  tunnelTimeout: number
}

export interface EngineStats {
  /** Connections (both sides) that are open now. */
  connections: number
  /** Calls and commands whose handle was stale. */
  staleHandles: number
  /** Verdicts that came after their deadline. */
  lateVerdicts: number
  /** Pipes that hold bytes now. */
  pipesBorrowed: number
  /** Buffers that hold bytes now. */
  buffersBorrowed: number
  /** Times the engine woke policy, and events it delivered. */
  wakes: number
  events: number
  /** Times a full event ring held back accepting or reading. */
  ringFull: number
  /** Turns of workers that the policies' thread has run itself, where it may `lead`. */
  led: number
}

/**
 * What policy hears. The record is the engine's own, and one for all events: it and the bytes in
 * it are valid during the call only. Implementations may throw; the engine logs through `fault`
 * and goes on.
 */
export interface EngineEvents {
  /**
   * Decide `bit`. `bytes`: for TLS the ClientHello message, or what came instead as `hello`
   * says; else PROXY v2 TLVs where a header was read, or empty.
   */
  handshake(event: HandshakeEvent): void
  /** A client's TLS handshake waits for the client; once, where TELL_WAITING asked for it. */
  handshakeWaits(event: HandshakeWaitsEvent): void
  /** A TLS handshake is complete. `bytes`: the peer's certificate in DER; empty where it sent none. */
  secured(event: SecuredEvent): void
  /** Everything that is buffered, after `inspect`. */
  bytes(event: BytesEvent): void
  connected(event: ConnectedEvent): void
  /** The client is still connected. */
  connectFailed(event: ConnectFailedEvent): void
  /** The end. The table record of `conn` is still readable during the call. */
  closed(event: ClosedEvent): void
  verdictTimeout(event: VerdictTimeoutEvent): void
  /** Payload for an applet; give the credit back when it is consumed. */
  data(event: DataEvent): void
  /** Bytes of `send` left the engine. */
  sent(event: SentEvent): void
  /** accept() failed (EMFILE and the like); the listener resumes by itself. */
  listenerPaused(event: ListenerPausedEvent): void
  /** The engine cannot go on. */
  fatal(error: Error): void
  /** A handler above threw. */
  fault(error: unknown): void
}

/** Events that come in a record. */
export type EventName = Exclude<keyof EngineEvents, 'fatal' | 'fault'>

export interface Engine {
  readonly kind: EngineKind
  /** Its TLS goes on where the server name of a client is no host name, such as `a..b`. */
  readonly takesOddServerNames: boolean
  readonly workers: number
  /** Records of every connection, both engines in the same layout. */
  readonly table: ConnectionTable

  start(events: EngineEvents): void
  /** Binds and listens. Rejects with a SluiceError (ERR_SLUICE_LISTEN) naming the address. */
  listen(spec: ListenSpec): Promise<ListenResult>
  /**
   * Closes the listening socket; connections live on. Whoever connected before is served first, as
   * `maxconn` and the table have room: it resolves when nobody waits any more. `now`: does not wait
   * for that, also where it was called before; who waits is reset.
   */
  unlisten(listener: number, now?: boolean): Promise<void>
  /** Stops or resumes accepting without closing the socket. */
  pause(listener: number, paused: boolean): void
  /** Registers a way out; the number is valid until `unroute`. */
  route(spec: RouteSpec): number
  unroute(route: number): void
  /** Makes a context for TLS towards clients; valid until `tlsForget`. Throws a SluiceError (ERR_SLUICE_TLS) that says what is wrong. */
  downstreamTls(spec: DownstreamTlsSpec): number
  /** The same towards servers, for the TLS of routes. */
  upstreamTls(spec: UpstreamTlsSpec): number
  /** Connections that use the context keep it until they end. */
  tlsForget(context: number): void

  /**
   * Go on with the handshakes: clear and set pending bits, drop `consume` buffered bytes. TLS may
   * be set where policy is asked about it: what comes from here on is its first record.
   * `context`: of `downstreamTls`, where it answers TLS without clearing it. `flags`: ProceedFlag.
   */
  proceed(
    conn: number,
    generation: number,
    clear: number,
    set: number,
    consume: number,
    context?: number,
    flags?: number,
  ): void
  /** Buffer up to `limit` bytes and call `bytes` on each arrival, and once after `delay` ms (0: never). */
  inspect(conn: number, generation: number, limit: number, delay: number, consume: number): void
  /**
   * The first `consume` bytes that the client sent become `bytes` (copied, 1 byte to 16 kB), as if
   * it had sent those. While an answer is awaited; `inspect` or another answer follows at once.
   */
  replace(conn: number, generation: number, bytes: Uint8Array, consume: number): void
  /** Connect and forward. `flags`: ConnectFlag. `tlvs`: encoded TLVs for PROXY v2. */
  connect(
    conn: number,
    generation: number,
    route: number,
    flags: number,
    consume: number,
    tlvs?: Uint8Array,
  ): void
  /** Hand the payload to the caller; at most `credit` bytes are in flight towards it. */
  applet(conn: number, generation: number, credit: number, consume: number): void
  credit(conn: number, generation: number, bytes: number): void
  /**
   * Send bytes to an applet's client (copied). `fin` shuts the write side after them. While an
   * answer is awaited (a question, `inspect`) it sends a handshake's own bytes, at most 16 kB and
   * without `fin` and `sent`: a client that does not take them at once is closed.
   */
  send(conn: number, generation: number, bytes: Uint8Array, fin: boolean): void
  /**
   * Send a last chunk, then close. `reason`: packed By, Phase, Code. Throws a SluiceError
   * (ERR_SLUICE_ARGUMENT) for more than a megabyte (half of Layout.COMMAND_SLAB_BYTES).
   */
  reply(conn: number, generation: number, bytes: Uint8Array, reason: number): void
  /**
   * A time-out of this connection alone, from now on. `which`: Timeout. `ms`: 0 for none, -1 for
   * what is configured.
   */
  setTimeout(conn: number, generation: number, which: number, ms: number): void
  /**
   * Close. `mode`: CloseMode. `hold`: ms, for TARPIT. One that is closing already, in a tarpit or
   * behind a last chunk, is closed at once, for this reason.
   */
  close(conn: number, generation: number, reason: number, mode: number, hold: number): void

  /**
   * Somebody waits for an end (a queue for a slot): `closed` is told at once, and no longer
   * up to 2 ms later along with something else. Each call with true needs one with false.
   */
  eager(wanted: boolean): void

  /** The engine's clock in ms; starts near 0 with the engine. */
  now(): number
  stats(): EngineStats
  /** Closes everything at once and joins the threads. */
  stop(): Promise<void>
}
