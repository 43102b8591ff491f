/**
 * An incoming connection: what policies see of it (`Connection`), and what the
 * core has under way for it. Made when policy first hears of the connection,
 * before a session exists; everything that costs something is made on demand.
 */

import type { Logger } from 'pino'
import type { AppletRuntime } from '../applet/runtime.js'
import type { Backend } from '../backend/backend.js'
import type { ConnectionTable } from '../connection/table.js'
import { parseTlvs } from '../connection/tlv.js'
import { Phase } from '../engine/wire.js'
import { Counter } from '../rules/counters.js'
import type { ClientHello } from '../handshake/client-hello.js'
import type {
  Connection,
  CounterName,
  TlsInfo,
  TrackedCounter,
  Variable,
  Verdict,
} from '../rules/types.js'
import type { StickTable } from '../tables/stick-table.js'
import type { Listener } from './frontend.js'
import type { Session } from './session.js'

/** What all connections of a proxy share. */
export interface ConnectionContext {
  readonly table: ConnectionTable
  readonly logger: Logger
  /** Start of every `id`, hexadecimal. */
  readonly idPrefix: string
}

const EMPTY = new Uint8Array(0)
const NO_TLVS: ReadonlyMap<number, Uint8Array> = new Map()

export class ClientConnection implements Connection {
  readonly slot: number
  readonly generation: number
  readonly listener: Listener
  readonly #context: ConnectionContext
  readonly #sequence: number

  /** What policy is doing now: a value of `Phase`. */
  phase: number = Phase.ACCEPT
  /** Reason word of the core's own decision to close, 0 while there is none. */
  decided = 0
  ended = false
  /** errno of the last failed connect, or 0. */
  errno = 0
  /** The engine was told that the session is made. */
  answered = false
  /** Name of the rule or handler that decided last. */
  rule: string | undefined = undefined
  /** Chosen by a rule or handler. */
  backend: Backend | undefined = undefined
  priority = 0
  session: Session | undefined = undefined
  applet: AppletRuntime | undefined = undefined
  /** A connection rule asked for a PROXY header. */
  expectsProxy = false

  // What is under way. `ticket` changes whenever an outstanding promise or timer loses its say.
  ticket = 0
  cancelTimer: (() => void) | undefined = undefined
  /** Position in the ruleset or in the list of handlers. */
  index = 0
  /** Clock at which implicit deadlines end, 0 before the first wait in a phase. */
  waitUntil = 0
  promise: PromiseLike<unknown> | undefined = undefined
  /** The verdict that ended a ruleset. */
  verdict: Verdict | undefined = undefined
  /** Bytes that custom handlers took. */
  consumed = 0
  /** Clock until which a custom handler may wait for bytes. */
  handlerUntil = 0
  /** What content rules see. */
  payload: Uint8Array = EMPTY
  /** `BytesFlag` of the last bytes. */
  payloadFlags = 0
  /** Bytes that came while an answer was awaited. */
  inbox: Uint8Array | undefined = undefined

  /** Somebody may look at the connection after its end. */
  kept = false
  #src: string | undefined = undefined
  #srcPort = 0
  #dst: string | undefined = undefined
  #dstPort = 0
  #peer: string | undefined = undefined
  #tlvBytes: Uint8Array | undefined = undefined
  #tlvs: ReadonlyMap<number, Uint8Array> | undefined = undefined
  #bytesIn = 0
  #bytesOut = 0
  #sc0: Counter | undefined = undefined
  #sc1: Counter | undefined = undefined
  #sc2: Counter | undefined = undefined
  #vars: Record<string, Variable> | undefined = undefined
  #log: Logger | undefined = undefined
  #abort: AbortController | undefined = undefined

  constructor(
    slot: number,
    generation: number,
    listener: Listener,
    context: ConnectionContext,
    sequence: number,
  ) {
    this.slot = slot
    this.generation = generation
    this.listener = listener
    this.#context = context
    this.#sequence = sequence
  }

  get id(): string {
    return this.#context.idPrefix + this.#sequence.toString(16).padStart(8, '0')
  }

  get frontend(): string {
    return this.listener.frontend.name
  }

  get src(): string {
    if (this.#src === undefined) this.#readSource()
    return this.#src as string
  }

  get srcPort(): number {
    if (this.#src === undefined) this.#readSource()
    return this.#srcPort
  }

  get dst(): string {
    if (this.#dst === undefined) this.#readDestination()
    return this.#dst as string
  }

  get dstPort(): number {
    if (this.#dst === undefined) this.#readDestination()
    return this.#dstPort
  }

  get peer(): string {
    return this.#peer ?? this.src
  }

  get proxyTlvs(): ReadonlyMap<number, Uint8Array> {
    if (this.#tlvBytes === undefined) return NO_TLVS
    this.#tlvs ??= parseTlvs(this.#tlvBytes)
    return this.#tlvs
  }

  tls: TlsInfo | undefined = undefined
  hello: ClientHello | undefined = undefined

  get bytesIn(): number {
    return this.ended ? this.#bytesIn : this.#context.table.bytesIn(this.slot)
  }

  get bytesOut(): number {
    return this.ended ? this.#bytesOut : this.#context.table.bytesOut(this.slot)
  }

  get sc0(): TrackedCounter {
    return this.counter('sc0')
  }

  get sc1(): TrackedCounter {
    return this.counter('sc1')
  }

  get sc2(): TrackedCounter {
    return this.counter('sc2')
  }

  get vars(): Record<string, Variable> {
    // Without a prototype: a variable may have any name.
    this.#vars ??= Object.create(null) as Record<string, Variable>
    return this.#vars
  }

  get log(): Logger {
    if (this.#log === undefined) {
      this.kept = true
      this.#log = this.#context.logger.child({
        id: this.id,
        frontend: this.frontend,
        src: this.src,
        srcPort: this.srcPort,
      })
    }
    return this.#log
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.kept = true
      this.#abort = new AbortController()
      if (this.ended) this.#abort.abort()
    }
    return this.#abort.signal
  }

  counter(name: CounterName): Counter {
    switch (name) {
      case 'sc0':
        this.#sc0 ??= new Counter()
        return this.#sc0
      case 'sc1':
        this.#sc1 ??= new Counter()
        return this.#sc1
      case 'sc2':
        this.#sc2 ??= new Counter()
        return this.#sc2
    }
  }

  /** Tracks `key` unless the counter tracks something already, or the key does not fit. */
  track(name: CounterName, table: StickTable, key: string | number | Uint8Array): void {
    const counter = this.counter(name)
    if (counter.tracked) return
    const entry = table.track(key)
    if (entry !== undefined) counter.attach(table, entry)
  }

  /** The session was made: counts it in the tracked counters. */
  countSession(): void {
    this.#sc0?.sessionMade()
    this.#sc1?.sessionMade()
    this.#sc2?.sessionMade()
  }

  /** A PROXY header is going to replace the addresses: keeps the socket's peer. */
  keepPeer(): void {
    this.#peer ??= this.src
    this.#src = undefined
    this.#dst = undefined
  }

  setTlvs(bytes: Uint8Array): void {
    this.#tlvBytes = bytes.slice()
    this.#tlvs = undefined
  }

  /** Whatever was awaited has no say any more. */
  forget(): void {
    this.ticket++
    this.promise = undefined
    this.inbox = undefined
    if (this.cancelTimer !== undefined) {
      this.cancelTimer()
      this.cancelTimer = undefined
    }
  }

  /** The connection ended. Precondition: the table record is still that of this connection. */
  end(): void {
    this.#bytesIn = this.bytesIn
    this.#bytesOut = this.bytesOut
    if (this.kept) {
      if (this.#src === undefined) this.#readSource()
      if (this.#dst === undefined) this.#readDestination()
    }
    this.forget()
    this.ended = true
    this.payload = EMPTY
    this.#sc0?.detach(this.#bytesIn, this.#bytesOut)
    this.#sc1?.detach(this.#bytesIn, this.#bytesOut)
    this.#sc2?.detach(this.#bytesIn, this.#bytesOut)
    this.#abort?.abort()
  }

  #readSource(): void {
    // Behind the end the record may be another connection's.
    this.#src = this.ended ? '' : this.#context.table.src(this.slot)
    this.#srcPort = this.ended ? 0 : this.#context.table.srcPort(this.slot)
  }

  #readDestination(): void {
    this.#dst = this.ended ? '' : this.#context.table.dst(this.slot)
    this.#dstPort = this.ended ? 0 : this.#context.table.dstPort(this.slot)
  }
}
