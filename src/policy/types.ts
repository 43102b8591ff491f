/**
 * What a policy is written against: the connection it sees and the verdicts it
 * gives. Constructors of verdicts are in verdicts.ts.
 */

import type { Logger } from 'pino'
import type { ClientHello } from '../codec/tls.js'
import type { Counts, DataType, ReadableIn, TableStore } from './counters.js'
import type { Names, NamesBackend, NamesTable } from './names.js'
import type { Variable, Variables } from './vars.js'

/** One of the three tracked counters of a connection. */
export type CounterName = 'sc0' | 'sc1' | 'sc2'

/**
 * Live view of a stick-table entry, also behind the end of the connection. Every value is 0 until
 * the counter is tracked, and writes are then ignored. What the table does not store throws a
 * SluiceError (ERR_SLUICE_ARGUMENT) that names table and counter.
 */
export interface TrackedCounter extends Counts<DataType>, Tracked {}

/** The same of a table whose handle is at hand: it has what the table stores, and nothing else. */
export type TrackedEntry<S = TableStore> = Counts<ReadableIn<S>> & Tracked

interface Tracked {
  /** False until tracked. */
  readonly tracked: boolean
  /** As kept: an address as text, a number, text, or binary as hexadecimal digits. */
  readonly key: string | number | undefined
}

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

/** A connection as rules, handlers, applets and keys see it. */
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
  /** pino child logger with the connection's bindings. */
  readonly log: Logger
  /** Aborted when the connection ends, for work a policy has under way. */
  readonly signal: AbortSignal
}

export type ClientCertDemand = 'none' | 'optional' | 'required'

/** What a rule answers. `undefined` goes on with the next rule. */
export type Verdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'reject'; readonly how: 'close' | 'reset' }
  | { readonly kind: 'tarpit'; readonly ms: number }
  | { readonly kind: 'reply'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'track'
      readonly counter: CounterName
      readonly key: Key
      readonly table: string
    }
  | { readonly kind: 'setVar'; readonly name: string; readonly value: Variable }
  | { readonly kind: 'backend'; readonly backend: string }
  | { readonly kind: 'expectProxy' }
  | { readonly kind: 'priority'; readonly value: number }
  /** ClientHello rules only: show the certificate of this name instead of the one asked for. */
  | { readonly kind: 'certificate'; readonly name: string }
  /** ClientHello rules only: ask the client for a certificate, or do not. */
  | { readonly kind: 'clientCert'; readonly demand: ClientCertDemand }
  /** ClientHello rules only: do not terminate; the bytes go to the backend as they are. */
  | { readonly kind: 'passthrough' }
  /** Content rules only: wait for more payload, within inspectDelay and inspectLimit. */
  | { readonly kind: 'more' }

export type Key = string | number | Uint8Array | undefined

// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return statement is an answer
export type Sync<T> = T | undefined | void
/** A verdict that means no other names than these. */
type VerdictAmong<N extends Names> = Verdict &
  NamesBackend<NoInfer<N['backend']>> &
  NamesTable<NoInfer<N['table']>>

/** A rule may answer with one verdict, several, or none; at once or by promise. */
export type RuleAnswer<N extends Names = Names> = Sync<VerdictAmong<N> | readonly VerdictAmong<N>[]>

export type RuleFunction<C = Connection, N extends Names = Names> = (
  conn: C,
) => RuleAnswer<N> | Promise<RuleAnswer<N>>

/**
 * A rule: a function (its name is the rule's name), a constant verdict, or either with options.
 * `N`: names of the configuration that it is for; a rule without them is for any.
 */
export type Rule<C = Connection, N extends Names = Names> =
  | RuleFunction<C, N>
  | VerdictAmong<N>
  | {
      name: string
      run: RuleFunction<C, N>
      /** Longest time for an answer, in ms or as '250ms'. Default: global.verdictTimeout. */
      deadline?: number | string
      /** When it throws, rejects or is late. Default: the frontend's defaultVerdict. */
      onError?: 'close' | 'open'
    }

/** Rules of one stage. `[]` has the compiler look at each by itself: its error is at its place. */
export type Rules<C = Connection, N extends Names = Names> = Rule<C, N>[] | []
