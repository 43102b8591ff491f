/**
 * What is known of a client: addresses, TLS, counters, variables. Read from the connection table
 * when somebody asks, and kept where somebody may ask behind the end.
 */

import type { Logger } from 'pino'
import { formatIpv4 } from '../address/text.js'
import { unknownName } from '../base/unknown-name.js'
import { parseTlvs } from '../codec/proxy.js'
import type { ClientHello } from '../codec/tls.js'
import type { FailureFields } from '../log/failures.js'
import type { BackendView } from '../policy/live.js'
import type { CounterName, FieldValue, TlsInfo, TrackedCounter } from '../policy/types.js'
import type { Variables } from '../policy/vars.js'
import type { StickTable, TableKey } from '../tables/stick-table.js'
import { Family, Field } from '../wire/wire.js'
import type { FlowContext } from './context.js'
import type { Listener } from './frontend.js'
import { OwnTimeouts } from './own-timeouts.js'
import { Counter } from './rules/counters.js'
import { DownstreamTls } from './tls/downstream.js'
import type { Seen } from './view.js'

const NO_TLVS: ReadonlyMap<number, Uint8Array> = new Map()

/** What is known of some clients only: made on the first use, so that an idle session does not carry it. */
class Extra {
  peer: string | undefined = undefined
  tlvBytes: Uint8Array | undefined = undefined
  tlvs: ReadonlyMap<number, Uint8Array> | undefined = undefined
  log: Logger | undefined = undefined
  abort: AbortController | undefined = undefined
  fields: Record<string, FieldValue | undefined> | undefined = undefined
  timeouts: OwnTimeouts | undefined = undefined
  // Behind the end.
  srcPort = 0
  dstPort = 0
}

/** Bits of `facts`. */
const ENDED = 1 << 0
const KEPT = 1 << 1

/** `C`: the connections of its listener. */
export abstract class KnownClient<C> implements Omit<Seen, 'backend'> {
  /** Of the connection in the engine. */
  readonly slot: number
  readonly generation: number
  readonly listener: Listener<C>
  readonly #sequence: number
  /** Small facts, in one word: ENDED and KEPT; from bit 2 on they are the subclass's. */
  protected abstract facts: number

  #extra: Extra | undefined = undefined
  #secure: DownstreamTls | undefined = undefined
  /** A number, which takes no memory of its own, where it is an IPv4 address that was read once. */
  #src: string | number | undefined = undefined
  #dst: string | undefined = undefined
  #bytesIn = 0
  #bytesOut = 0
  /** What it tracks; the last is the first. */
  #counters: Counter | undefined = undefined
  #vars: Variables | undefined = undefined

  constructor(slot: number, generation: number, listener: Listener<C>, sequence: number) {
    this.slot = slot
    this.generation = generation
    this.listener = listener
    this.#sequence = sequence
  }

  abstract readonly bytes: Uint8Array
  abstract readonly last: boolean
  abstract priority: number

  get context(): FlowContext {
    return this.listener.context
  }

  /** It is gone: the record in the connection table may be another one's. */
  get ended(): boolean {
    return (this.facts & ENDED) !== 0
  }

  /** Somebody may look at it behind its end. */
  get kept(): boolean {
    return (this.facts & KEPT) !== 0
  }

  set kept(kept: boolean) {
    this.facts = kept ? this.facts | KEPT : this.facts & ~KEPT
  }

  get id(): string {
    return this.context.idPrefix + this.#sequence.toString(16).padStart(8, '0')
  }

  /** Whether this is its id. */
  is(id: string): boolean {
    const { idPrefix } = this.context
    // The text is made for the one that may be it.
    const sequence = Number.parseInt(id.slice(idPrefix.length), 16)
    return sequence === this.#sequence && this.id === id
  }

  get frontend(): string {
    return this.listener.frontend.name
  }

  get src(): string {
    if (typeof this.#src === 'number') return formatIpv4(this.#src)
    // Behind the end the record may be another connection's.
    this.#src ??= this.ended ? '' : this.context.table.src(this.slot)
    return this.#src
  }

  get srcPort(): number {
    return this.ended ? (this.#extra?.srcPort ?? 0) : this.context.table.srcPort(this.slot)
  }

  get dst(): string {
    this.#dst ??= this.ended ? '' : this.context.table.dst(this.slot)
    return this.#dst
  }

  get dstPort(): number {
    return this.ended ? (this.#extra?.dstPort ?? 0) : this.context.table.dstPort(this.slot)
  }

  get peer(): string {
    return this.#extra?.peer ?? this.src
  }

  get tlvBytes(): Uint8Array | undefined {
    return this.#extra?.tlvBytes
  }

  get proxyTlvs(): ReadonlyMap<number, Uint8Array> {
    const extra = this.#extra
    if (extra?.tlvBytes === undefined) return NO_TLVS
    extra.tlvs ??= parseTlvs(extra.tlvBytes)
    return extra.tlvs
  }

  get tls(): TlsInfo | undefined {
    return this.#secure?.info
  }

  get hello(): ClientHello | undefined {
    return this.#secure?.hello
  }

  get bytesIn(): number {
    return this.ended ? this.#bytesIn : this.context.table.bytesIn(this.slot)
  }

  get bytesOut(): number {
    return this.ended ? this.#bytesOut : this.context.table.bytesOut(this.slot)
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

  get vars(): Variables {
    // Without a prototype: a variable may have any name.
    this.#vars ??= Object.create(null) as Variables
    return this.#vars
  }

  get fields(): Record<string, FieldValue | undefined> {
    const extra = this.needExtra()
    extra.fields ??= Object.create(null) as Record<string, FieldValue | undefined>
    return extra.fields
  }

  /** The same, where anybody has asked for it. */
  get knownFields(): Record<string, FieldValue | undefined> | undefined {
    return this.#extra?.fields
  }

  get timeouts(): OwnTimeouts {
    const extra = this.needExtra()
    extra.timeouts ??= new OwnTimeouts((which, ms) => {
      if (!this.ended) this.context.engine.setTimeout(this.slot, this.generation, which, ms)
    })
    return extra.timeouts
  }

  /** Its own time-out in queues, ms; undefined where the backend's holds. */
  get queueTimeout(): number | undefined {
    return OwnTimeouts.queueOf(this.#extra?.timeouts)
  }

  get now(): number {
    return this.context.clock.now()
  }

  backendView(name: string): BackendView {
    const { backends } = this.context.targets
    const backend = backends.get(name)
    if (backend === undefined) throw unknownName('backend', String(name), backends.keys())
    return backend.view
  }

  get log(): Logger {
    const extra = this.needExtra()
    if (extra.log === undefined) {
      this.kept = true
      const { id, frontend, src, srcPort } = this
      extra.log = this.context.logger.child({ id, frontend, src, srcPort })
    }
    return extra.log
  }

  get signal(): AbortSignal {
    const extra = this.needExtra()
    if (extra.abort === undefined) {
      this.kept = true
      extra.abort = new AbortController()
      if (this.ended) extra.abort.abort()
    }
    return extra.abort.signal
  }

  /** What is known of its TLS; undefined where it has none. */
  get secure(): DownstreamTls | undefined {
    return this.#secure
  }

  /** The same, made where there is none yet. */
  makeSecure(): DownstreamTls {
    this.#secure ??= new DownstreamTls()
    return this.#secure
  }

  get serverTls(): TlsInfo | undefined {
    return this.#secure?.serverInfo
  }

  set serverTls(info: TlsInfo | undefined) {
    if (this.#secure !== undefined || info !== undefined) this.makeSecure().serverInfo = info
  }

  /** Tracks `key` unless the counter tracks something already, or the key does not fit. */
  track(name: CounterName, table: StickTable, key: string | number | Uint8Array): void {
    const counter = this.counter(name)
    if (counter.tracked) return
    const entry = table.track(key)
    if (entry !== undefined) counter.attach(table, entry, key)
  }

  /** The table of a handle in this proxy. */
  tableOf(handle: object): StickTable | undefined {
    return this.context.handles.get(handle)
  }

  /**
   * What the handle of `table` tracks: `key` from now on, unless it tracks something already. A key
   * that does not fit gives a counter that tracks nothing. Behind the end nothing is counted.
   */
  trackTable(table: StickTable, key: TableKey | undefined): Counter {
    const known = Counter.handled(this.#counters, table)
    if (known !== undefined) return known
    if (key !== undefined && this.ended) {
      const behind = new Counter(undefined, undefined, table)
      if (table.fits(key)) behind.watch(key)
      return behind
    }
    const entry = key === undefined ? undefined : table.track(key)
    if (key === undefined || entry === undefined) return new Counter(undefined, undefined, table)
    const counter = new Counter(this.#counters, undefined, table)
    this.#counters = counter
    counter.attach(table, entry, key)
    return counter
  }

  /** Its session is accepted: counts it in the tracked counters. */
  countSession(): void {
    Counter.sessionMade(this.#counters)
  }

  /** A PROXY header is going to replace the addresses: keeps the socket's peer. */
  keepPeer(): void {
    this.needExtra().peer ??= this.src
    this.#src = undefined
    this.#dst = undefined
  }

  setTlvs(bytes: Uint8Array): void {
    const extra = this.needExtra()
    extra.tlvBytes = bytes.slice()
    extra.tlvs = undefined
  }

  failed(level: 'warn' | 'error', fields: FailureFields, message: string): void {
    const { failures, logger } = this.context
    failures.report(logger, () => this.log, level, fields, message)
  }

  /** No more text of an address is kept than has to be. */
  protected forgetText(): void {
    const { table } = this.context
    if (typeof this.#src !== 'string' || table.get(this.slot, Field.FAMILY) !== Family.INET) return
    this.#src = table.get(this.slot, Field.SRC)
  }

  /** It ended. Precondition: the table record is still that of this connection. */
  end(): void {
    this.#bytesIn = this.bytesIn
    this.#bytesOut = this.bytesOut
    if (this.kept) this.keep()
    this.facts |= ENDED
    Counter.detach(this.#counters, this.#bytesIn, this.#bytesOut)
    this.#extra?.abort?.abort()
  }

  /** Somebody may look behind the end. */
  private keep(): void {
    const extra = this.needExtra()
    extra.srcPort = this.srcPort
    extra.dstPort = this.dstPort
    this.#src = this.src
    this.#dst = this.dst
  }

  private counter(name: CounterName): Counter {
    const known = Counter.named(this.#counters, name)
    if (known !== undefined) return known
    this.#counters = new Counter(this.#counters, name, undefined)
    return this.#counters
  }

  private needExtra(): Extra {
    this.#extra ??= new Extra()
    return this.#extra
  }
}
