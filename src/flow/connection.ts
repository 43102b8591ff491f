/**
 * An incoming connection: what policies see of it (`Connection`), and what the
 * core has under way for it. Made when policy first hears of the connection,
 * before a session exists; everything that costs something is made on demand.
 */

import type { Logger } from 'pino'
import type { Backend } from '../backend/backend.js'
import { parseTlvs } from '../codec/proxy.js'
import type { ClientHello } from '../codec/tls.js'
import type { FailureFields, FailureLog } from '../log/failures.js'
import type {
  ClientCertDemand,
  Connection,
  CounterName,
  TlsInfo,
  TrackedCounter,
  Variable,
  Verdict,
} from '../policy/types.js'
import type { StickTable } from '../tables/stick-table.js'
import type { ConnectionTable } from '../wire/table.js'
import { Phase } from '../wire/wire.js'
import type { AppletRuntime } from './applet/runtime.js'
import type { Listener } from './frontend.js'
import { Counter } from './rules/counters.js'
import { Prefix } from './rules/prefix.js'
import type { Session } from './session/session.js'
import { DownstreamTls } from './tls/downstream.js'

/** What all connections of a proxy share. */
export interface ConnectionContext {
  readonly table: ConnectionTable
  readonly logger: Logger
  /** Start of every `id`, hexadecimal. */
  readonly idPrefix: string
  readonly failures: FailureLog
}

const EMPTY = new Uint8Array(0)
const NO_TLVS: ReadonlyMap<number, Uint8Array> = new Map()

/** What only some connections need: made on the first use, so that an idle session does not carry it. */
class Work {
  errno = 0
  priority = 0
  expectsProxy = false
  index = 0
  waitUntil = 0
  promise: PromiseLike<unknown> | undefined = undefined
  cancelTimer: (() => void) | undefined = undefined
  verdict: Verdict | undefined = undefined
  prefix: Prefix | undefined = undefined
  handlerUntil = 0
  payload: Uint8Array = EMPTY
  payloadFlags = 0
  inbox: Uint8Array | undefined = undefined
  peer: string | undefined = undefined
  tlvBytes: Uint8Array | undefined = undefined
  tlvs: ReadonlyMap<number, Uint8Array> | undefined = undefined
  log: Logger | undefined = undefined
  abort: AbortController | undefined = undefined
}

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
  /** The engine was told that the session is made. */
  answered = false
  /** Somebody may look at the connection after its end. */
  kept = false
  /** Changes whenever an outstanding promise or timer loses its say. */
  ticket = 0
  /** Name of the rule or handler that decided last. */
  rule: string | undefined = undefined
  /** Chosen by a rule or handler. */
  backend: Backend | undefined = undefined
  session: Session | undefined = undefined
  applet: AppletRuntime | undefined = undefined

  #work: Work | undefined = undefined
  #secure: DownstreamTls | undefined = undefined
  #src: string | undefined = undefined
  #srcPort = 0
  #dst: string | undefined = undefined
  #dstPort = 0
  #bytesIn = 0
  #bytesOut = 0
  #sc0: Counter | undefined = undefined
  #sc1: Counter | undefined = undefined
  #sc2: Counter | undefined = undefined
  #vars: Record<string, Variable> | undefined = undefined

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
    return this.#work?.peer ?? this.src
  }

  /** TLVs of the PROXY v2 header that came, encoded. */
  get tlvBytes(): Uint8Array | undefined {
    return this.#work?.tlvBytes
  }

  get proxyTlvs(): ReadonlyMap<number, Uint8Array> {
    const work = this.#work
    if (work?.tlvBytes === undefined) return NO_TLVS
    work.tlvs ??= parseTlvs(work.tlvBytes)
    return work.tlvs
  }

  get tls(): TlsInfo | undefined {
    return this.#secure?.info
  }

  get hello(): ClientHello | undefined {
    return this.#secure?.hello
  }

  /** What is known of the connection's TLS; undefined where it has none. */
  get secure(): DownstreamTls | undefined {
    return this.#secure
  }

  /** The same, made where there is none yet. */
  makeSecure(): DownstreamTls {
    this.#secure ??= new DownstreamTls()
    return this.#secure
  }

  /** Chosen by a ClientHello rule: the name whose certificate is shown. */
  get certificateName(): string | undefined {
    return this.#secure?.certificateName
  }

  set certificateName(name: string | undefined) {
    this.makeSecure().certificateName = name
  }

  /** Chosen by a ClientHello rule. */
  get clientCertDemand(): ClientCertDemand | undefined {
    return this.#secure?.clientCertDemand
  }

  set clientCertDemand(demand: ClientCertDemand | undefined) {
    this.makeSecure().clientCertDemand = demand
  }

  /** TLS is not terminated: its bytes go to the backend as they are. */
  get passes(): boolean {
    return this.#secure?.passes ?? false
  }

  set passes(passes: boolean) {
    this.makeSecure().passes = passes
  }

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
    const work = this.#makeWork()
    if (work.log === undefined) {
      this.kept = true
      work.log = this.#context.logger.child({
        id: this.id,
        frontend: this.frontend,
        src: this.src,
        srcPort: this.srcPort,
      })
    }
    return work.log
  }

  /** Something of the policy failed on this connection: logged, not without bound. */
  failed(level: 'warn' | 'error', fields: FailureFields, message: string): void {
    const { failures, logger } = this.#context
    failures.report(logger, () => this.log, level, fields, message)
  }

  get signal(): AbortSignal {
    const work = this.#makeWork()
    if (work.abort === undefined) {
      this.kept = true
      work.abort = new AbortController()
      if (this.ended) work.abort.abort()
    }
    return work.abort.signal
  }

  // What is under way, or asked for; all of it at its default for most connections.

  /** errno of the last failed connect, or 0. */
  get errno(): number {
    return this.#work?.errno ?? 0
  }

  set errno(value: number) {
    if (this.#work !== undefined || value !== 0) this.#makeWork().errno = value
  }

  /** Place in queues: lower goes first. */
  get priority(): number {
    return this.#work?.priority ?? 0
  }

  set priority(value: number) {
    if (this.#work !== undefined || value !== 0) this.#makeWork().priority = value
  }

  /** A connection rule asked for a PROXY header. */
  get expectsProxy(): boolean {
    return this.#work?.expectsProxy ?? false
  }

  set expectsProxy(value: boolean) {
    if (this.#work !== undefined || value) this.#makeWork().expectsProxy = value
  }

  /** Position in the ruleset or in the list of handlers. */
  get index(): number {
    return this.#work?.index ?? 0
  }

  set index(value: number) {
    if (this.#work !== undefined || value !== 0) this.#makeWork().index = value
  }

  /** Clock at which implicit deadlines end, 0 before the first wait in a phase. */
  get waitUntil(): number {
    return this.#work?.waitUntil ?? 0
  }

  set waitUntil(value: number) {
    if (this.#work !== undefined || value !== 0) this.#makeWork().waitUntil = value
  }

  /** What is awaited. */
  get promise(): PromiseLike<unknown> | undefined {
    return this.#work?.promise
  }

  set promise(value: PromiseLike<unknown> | undefined) {
    if (this.#work !== undefined || value !== undefined) this.#makeWork().promise = value
  }

  /** Cancels the deadline of what is awaited. */
  get cancelTimer(): (() => void) | undefined {
    return this.#work?.cancelTimer
  }

  set cancelTimer(value: (() => void) | undefined) {
    if (this.#work !== undefined || value !== undefined) this.#makeWork().cancelTimer = value
  }

  /** The verdict that ended a ruleset. */
  get verdict(): Verdict | undefined {
    return this.#work?.verdict
  }

  set verdict(value: Verdict | undefined) {
    if (this.#work !== undefined || value !== undefined) this.#makeWork().verdict = value
  }

  /** Clock until which a custom handler may wait for bytes. */
  get handlerUntil(): number {
    return this.#work?.handlerUntil ?? 0
  }

  set handlerUntil(value: number) {
    if (this.#work !== undefined || value !== 0) this.#makeWork().handlerUntil = value
  }

  /** What content rules see. */
  get payload(): Uint8Array {
    return this.#work?.payload ?? EMPTY
  }

  set payload(value: Uint8Array) {
    if (this.#work !== undefined || value.length !== 0) this.#makeWork().payload = value
  }

  /** Holds what is shown of the client's first bytes. */
  get prefix(): Prefix {
    const work = this.#makeWork()
    work.prefix ??= new Prefix()
    return work.prefix
  }

  /** What was shown is gone: the next bytes are others. */
  forgetPayload(): void {
    const work = this.#work
    if (work === undefined) return
    work.prefix = undefined
    work.payload = EMPTY
    work.payloadFlags = 0
  }

  /** `BytesFlag` of the last bytes. */
  get payloadFlags(): number {
    return this.#work?.payloadFlags ?? 0
  }

  set payloadFlags(value: number) {
    if (this.#work !== undefined || value !== 0) this.#makeWork().payloadFlags = value
  }

  /** Bytes that came while an answer was awaited. */
  get inbox(): Uint8Array | undefined {
    return this.#work?.inbox
  }

  set inbox(value: Uint8Array | undefined) {
    if (this.#work !== undefined || value !== undefined) this.#makeWork().inbox = value
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
    if (entry !== undefined) counter.attach(table, entry, key)
  }

  /** The session was made: counts it in the tracked counters. */
  countSession(): void {
    this.#sc0?.sessionMade()
    this.#sc1?.sessionMade()
    this.#sc2?.sessionMade()
  }

  /** A PROXY header is going to replace the addresses: keeps the socket's peer. */
  keepPeer(): void {
    this.#makeWork().peer ??= this.src
    this.#src = undefined
    this.#dst = undefined
  }

  setTlvs(bytes: Uint8Array): void {
    const work = this.#makeWork()
    work.tlvBytes = bytes.slice()
    work.tlvs = undefined
  }

  /** Whatever was awaited has no say any more. */
  forget(): void {
    this.ticket++
    const work = this.#work
    if (work === undefined) return
    work.promise = undefined
    work.inbox = undefined
    if (work.cancelTimer !== undefined) {
      work.cancelTimer()
      work.cancelTimer = undefined
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
    this.forgetPayload()
    this.#sc0?.detach(this.#bytesIn, this.#bytesOut)
    this.#sc1?.detach(this.#bytesIn, this.#bytesOut)
    this.#sc2?.detach(this.#bytesIn, this.#bytesOut)
    this.#work?.abort?.abort()
  }

  #makeWork(): Work {
    this.#work ??= new Work()
    return this.#work
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
