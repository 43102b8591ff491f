/** What a policy is written against: the connection that it sees. */

import type { Logger } from 'pino'
import type { Duration } from '../base/units.js'
import type { ClientHello } from '../codec/tls.js'
import type { Counts, DataType, ReadableIn, TableStore } from './counters.js'
import type { BackendView } from './live.js'
import type { Variables } from './vars.js'

/** One of the three tracked counters of a connection. */
export type CounterName = 'sc0' | 'sc1' | 'sc2'

/**
 * Live view of a stick-table entry, also behind the end of the connection. Every value is 0 until
 * the counter is tracked, and writes are then ignored. What the table does not store throws a
 * SluiceError (ERR_SLUICE_ARGUMENT) that names table and counter.
 */
export interface TrackedCounter extends Counts<DataType> {
  /** False until tracked. */
  readonly tracked: boolean
  /** As kept: an address as text, a number, text, or binary as hexadecimal digits. */
  readonly key: string | number | undefined
}

/** The same of a table whose handle is at hand: it has what the table stores, and nothing else. */
export type TrackedEntry<S = TableStore> = Counts<ReadableIn<S>> &
  Pick<TrackedCounter, 'tracked' | 'key'>

/** A peer's certificate. Fields are decoded on first use. */
export interface PeerCertificate {
  /** DER. */
  readonly raw: Uint8Array
  /** Common name, or ''. */
  readonly commonName: string
  /** Distinguished names in RFC 2253 order: 'CN=a,O=b'. */
  readonly subject: string
  readonly issuer: string
  /** Subject alternative names: 'DNS:a.example', 'IP Address:10.0.0.1'. */
  readonly altNames: readonly string[]
  /** Hexadecimal. */
  readonly serialNumber: string
  /** SHA-256 of the DER in lower-case hexadecimal. */
  readonly fingerprint: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** A TLS handshake that is complete. */
export interface TlsInfo {
  /** 'TLSv1.3' */
  readonly version: string
  /** IANA name. */
  readonly cipher: string
  /** The name the client asked for (SNI) in lower case; '' for none. */
  readonly serverName: string
  /** Chosen protocol, '' for none. */
  readonly alpn: string
  readonly resumed: boolean
  /** The peer gave a certificate and it was verified. */
  readonly verified: boolean
  readonly peerCertificate: PeerCertificate | undefined
  /** JA4 fingerprint of the client (FoxIO's definition); '' on the server's side. */
  readonly ja4: string
}

/** What a line of the log may have in `fields`. */
export type FieldValue = string | number | boolean | bigint | null

/**
 * Time-outs of one connection, assignable at any time: '30s', or undefined for what is configured.
 * '0s' is none. They hold from then on; `connect` for the next connect, `queue` for the next wait.
 */
export interface ConnectionTimeouts {
  /** Client inactivity. */
  client?: Duration | undefined
  /** Client inactivity once one side is shut. */
  clientFin?: Duration | undefined
  /** Server inactivity. */
  server?: Duration | undefined
  /** Server inactivity once one side is shut. */
  serverFin?: Duration | undefined
  /** Inactivity once both sides have sent payload; replaces client and server. */
  tunnel?: Duration | undefined
  /** From a connect to the end of the outgoing handshakes. More than '0s'. */
  connect?: Duration | undefined
  /** Longest wait for a server slot. */
  queue?: Duration | undefined
}

/** A connection as rules, applets and keys see it. */
export interface Connection {
  /** Unique in this process run: hexadecimal. */
  readonly id: string
  readonly frontend: string
  /** Address the client connected from, or the PROXY header's. '' for unix sockets. */
  readonly src: string
  readonly srcPort: number
  readonly dst: string
  readonly dstPort: number
  /** The socket's real peer; differs from `src` behind a PROXY header. */
  readonly peer: string
  /** PROXY v2 TLVs by type byte; empty where no header came. */
  readonly proxyTlvs: ReadonlyMap<number, Uint8Array>
  /** The client's TLS, once it is complete; undefined before, and where Sluice does not terminate it. */
  readonly tls: TlsInfo | undefined
  /** What the client's TLS hello said, once it came: also where it is not terminated. */
  readonly hello: ClientHello | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  readonly sc0: TrackedCounter
  readonly sc1: TrackedCounter
  readonly sc2: TrackedCounter
  /** Variables of this connection, free for policies to use. */
  readonly vars: Variables
  /**
   * What goes into the session's line of the log, and into the `session` event, as `fields`: up to
   * 32 of them, text up to 1024 characters.
   */
  readonly fields: Record<string, FieldValue | undefined>
  /** Place in a backend's queue: lower goes first. Default 0. It counts when the connection comes there. */
  priority: number
  /** Time-outs of this connection alone; undefined is what is configured. */
  readonly timeouts: ConnectionTimeouts
  /** The proxy's clock: ms since some fixed point, never going back. Virtual in tests. */
  readonly now: number
  /**
   * A backend as it is now, and its servers: `conn.backend('app').usable`.
   * @throws SluiceError (ERR_SLUICE_ARGUMENT) where the configuration has none of this name.
   */
  backend(name: string): BackendView
  /** pino child logger with the connection's bindings. */
  readonly log: Logger
  /** Aborted when the connection ends, for work a policy has under way. */
  readonly signal: AbortSignal
}

/** A connection as handshake rules see it. */
export interface FirstBytes extends Connection {
  /**
   * What the client sent, less what rules before took: for reading, at most the rule's `limit`.
   * It stays as it is while a rule thinks.
   */
  readonly bytes: Uint8Array
  /** No more will come: the client's FIN, the rule's limit or its deadline. */
  readonly last: boolean
}

export type ClientCertDemand = 'none' | 'optional' | 'required'

export type Key = string | number | Uint8Array | undefined
