/**
 * An incoming connection: what is known of it, what is under way, and its end. Made when policy
 * first hears of it, before a session exists; everything that costs something is made on demand.
 */

import type { Logger } from 'pino'
import type { Backend } from '../backend/backend.js'
import { parseTlvs } from '../codec/proxy.js'
import type { ClientHello } from '../codec/tls.js'
import type { FailureFields } from '../log/failures.js'
import type { CounterName, TlsInfo, TrackedCounter, Variable, Verdict } from '../policy/types.js'
import type { StickTable } from '../tables/stick-table.js'
import { packReason } from '../wire/reason.js'
import { By, CloseMode, Code, Phase } from '../wire/wire.js'
import type { FlowContext } from './context.js'
import type { Listener } from './frontend.js'
import type { RuleStage } from './rules/compile.js'
import { Counter } from './rules/counters.js'
import { type EndingVerdict, Outcome, type PolicyCounts } from './rules/scope.js'
import type { Wait } from './rules/wait.js'
import type { SessionClient } from './session/client.js'
import { Session } from './session/session.js'
import { Inspection } from './stage/inspection.js'
import { applyHelloVerdict } from './tls/choices.js'
import { DownstreamTls } from './tls/downstream.js'
import { ConnectionView, type Seen } from './view.js'

const EMPTY = new Uint8Array(0)
const NO_TLVS: ReadonlyMap<number, Uint8Array> = new Map()

/** What only some connections need: made on the first use, so that an idle session does not carry it. */
class Extra {
  priority = 0
  expectsProxy = false
  wait: Wait | undefined = undefined
  inspection: Inspection | undefined = undefined
  peer: string | undefined = undefined
  tlvBytes: Uint8Array | undefined = undefined
  tlvs: ReadonlyMap<number, Uint8Array> | undefined = undefined
  log: Logger | undefined = undefined
  abort: AbortController | undefined = undefined
  // Behind the end.
  srcPort = 0
  dstPort = 0
}

export class ClientConnection implements Seen, SessionClient {
  readonly slot: number
  readonly generation: number
  readonly listener: Listener<ClientConnection>
  readonly context: FlowContext
  readonly #sequence: number

  /** Position of the stage under way; -1 before the first. */
  stage = -1
  phase: number = Phase.ACCEPT
  decided = 0
  ended = false
  answered = false
  kept = false
  rule: string | undefined = undefined
  backend: Backend | undefined = undefined
  session: Session | undefined = undefined

  #view: ConnectionView | undefined = undefined
  #extra: Extra | undefined = undefined
  #secure: DownstreamTls | undefined = undefined
  #src: string | undefined = undefined
  #dst: string | undefined = undefined
  #bytesIn = 0
  #bytesOut = 0
  #sc0: Counter | undefined = undefined
  #sc1: Counter | undefined = undefined
  #sc2: Counter | undefined = undefined
  #vars: Record<string, Variable> | undefined = undefined

  constructor(
    slot: number,
    generation: number,
    listener: Listener<ClientConnection>,
    context: FlowContext,
    sequence: number,
  ) {
    this.slot = slot
    this.generation = generation
    this.listener = listener
    this.context = context
    this.#sequence = sequence
  }

  // --- what policy sees of it ---

  /** The connection as policies hold it. */
  get subject(): ConnectionView {
    this.#view ??= new ConnectionView(this)
    return this.#view
  }

  get id(): string {
    return this.context.idPrefix + this.#sequence.toString(16).padStart(8, '0')
  }

  get frontend(): string {
    return this.listener.frontend.name
  }

  get src(): string {
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
    return this.#counter('sc0')
  }

  get sc1(): TrackedCounter {
    return this.#counter('sc1')
  }

  get sc2(): TrackedCounter {
    return this.#counter('sc2')
  }

  get vars(): Record<string, Variable> {
    // Without a prototype: a variable may have any name.
    this.#vars ??= Object.create(null) as Record<string, Variable>
    return this.#vars
  }

  get log(): Logger {
    const extra = this.#needExtra()
    if (extra.log === undefined) {
      this.kept = true
      const { id, frontend, src, srcPort } = this
      extra.log = this.context.logger.child({ id, frontend, src, srcPort })
    }
    return extra.log
  }

  get signal(): AbortSignal {
    const extra = this.#needExtra()
    if (extra.abort === undefined) {
      this.kept = true
      extra.abort = new AbortController()
      if (this.ended) extra.abort.abort()
    }
    return extra.abort.signal
  }

  get payload(): Uint8Array {
    return this.#extra?.inspection?.payload ?? EMPTY
  }

  // --- what is under way, or asked for; at its default for most connections ---

  get over(): boolean {
    return this.decided !== 0 || this.ended
  }

  get counts(): PolicyCounts {
    return this.listener.frontend
  }

  get defaultBackend(): Backend | undefined {
    return this.listener.frontend.backend
  }

  get priority(): number {
    return this.#extra?.priority ?? 0
  }

  set priority(value: number) {
    this.#needExtra().priority = value
  }

  /** A connection rule asked for a PROXY header. */
  get expectsProxy(): boolean {
    return this.#extra?.expectsProxy ?? false
  }

  get wait(): Wait | undefined {
    return this.#extra?.wait
  }

  set wait(wait: Wait | undefined) {
    this.#needExtra().wait = wait
  }

  /** What is shown of its first bytes; undefined where nothing is. */
  get inspection(): Inspection | undefined {
    return this.#extra?.inspection
  }

  set inspection(inspection: Inspection | undefined) {
    if (this.#extra !== undefined || inspection !== undefined) {
      this.#needExtra().inspection = inspection
    }
  }

  /** The same, made where there is none yet. */
  inspect(): Inspection {
    const extra = this.#needExtra()
    extra.inspection ??= new Inspection()
    return extra.inspection
  }

  get final(): boolean {
    return this.#extra?.inspection?.final ?? false
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

  // --- what changes it ---

  /** The stage under way is through: on with those behind it. */
  passed(): void {
    this.enter(this.stage + 1, EMPTY, 0)
  }

  /** Walks the stages from position `at` on, as far as they go. `bytes`, `hello`: for the first. */
  enter(at: number, bytes: Uint8Array, hello: number): void {
    const { stages } = this.listener
    let shown = bytes
    for (let i = at; i < stages.length; i++) {
      const stage = stages[i] as (typeof stages)[number]
      this.stage = i
      this.phase = stage.phase
      if (!stage.enter(this, shown, hello)) return
      shown = EMPTY
    }
  }

  /** Tracks `key` unless the counter tracks something already, or the key does not fit. */
  track(name: CounterName, table: StickTable, key: string | number | Uint8Array): void {
    const counter = this.#counter(name)
    if (counter.tracked) return
    const entry = table.track(key)
    if (entry !== undefined) counter.attach(table, entry, key)
  }

  apply(verdict: Verdict, stage: RuleStage, rule: string): number {
    if (verdict.kind !== 'expectProxy') return applyHelloVerdict(this, verdict, stage, rule)
    if (stage !== 'connection') throw new TypeError('expectProxy() is for connection rules only')
    this.#needExtra().expectsProxy = true
    return Outcome.NEXT
  }

  /** The session of this connection, made where there is none yet. */
  makeSession(): Session {
    if (this.session !== undefined) return this.session
    this.listener.frontend.sessions++
    this.session = new Session(this)
    return this.session
  }

  /** Its session is accepted: counts it in the tracked counters. */
  countSession(): void {
    this.#sc0?.sessionMade()
    this.#sc1?.sessionMade()
    this.#sc2?.sessionMade()
  }

  /** A PROXY header is going to replace the addresses: keeps the socket's peer. */
  keepPeer(): void {
    this.#needExtra().peer ??= this.src
    this.#src = undefined
    this.#dst = undefined
  }

  setTlvs(bytes: Uint8Array): void {
    const extra = this.#needExtra()
    extra.tlvBytes = bytes.slice()
    extra.tlvs = undefined
  }

  failed(level: 'warn' | 'error', fields: FailureFields, message: string): void {
    const { failures, logger } = this.context
    failures.report(logger, () => this.log, level, fields, message)
  }

  // --- its end ---

  /**
   * Closes it with a reason word, unless an end is decided. `mode`: CloseMode. `hold`: ms, for
   * TARPIT. `closed` follows.
   */
  close(reason: number, mode: number = CloseMode.CLOSE, hold = 0): void {
    if (this.over) return
    this.decide(reason)
    this.context.engine.close(this.slot, this.generation, reason, mode, hold)
  }

  /** Sends a last chunk, and closes. */
  reply(bytes: Uint8Array, reason: number): void {
    if (this.over) return
    this.decide(reason)
    this.context.engine.reply(this.slot, this.generation, bytes, reason)
  }

  enforce(verdict: EndingVerdict): void {
    const { phase } = this
    switch (verdict.kind) {
      case 'reply':
        this.reply(verdict.bytes, packReason(By.POLICY, phase, Code.REPLIED))
        return
      case 'tarpit': {
        const reason = packReason(By.POLICY, phase, Code.TARPIT)
        this.close(reason, CloseMode.TARPIT, Math.round(verdict.ms))
        return
      }
      default: {
        const mode = verdict.how === 'reset' ? CloseMode.RESET : CloseMode.CLOSE
        this.close(packReason(By.POLICY, phase, Code.REJECTED), mode)
      }
    }
  }

  failClosed(late: boolean): void {
    this.close(
      late
        ? packReason(By.TIMEOUT, this.phase, Code.VERDICT_TIMEOUT)
        : packReason(By.POLICY, this.phase, Code.POLICY_ERROR),
    )
  }

  guard(fn: () => void): void {
    if (this.ended) return
    try {
      fn()
    } catch (error) {
      this.defect(error)
    }
  }

  /** A defect of ours: this connection's problem only. */
  defect(error: unknown): void {
    this.context.logger.error({ err: error }, 'internal error')
    this.close(packReason(By.PROXY, this.phase, Code.INTERNAL))
  }

  /** An end is decided, for `reason`: nothing is awaited any more, and no queue has it. */
  decide(reason: number): void {
    this.decided = reason
    this.forget()
    this.leaveAdmission()
    this.session?.leaveQueue()
  }

  /** Whatever was awaited has no say any more. */
  forget(): void {
    const extra = this.#extra
    if (extra === undefined) return
    extra.wait?.forget()
    extra.wait = undefined
    if (extra.inspection !== undefined) extra.inspection.inbox = undefined
  }

  /** It neither waits for a place to do its TLS handshake nor holds one. */
  leaveAdmission(): void {
    const ticket = this.#secure?.ticket
    if (this.#secure === undefined || ticket === undefined) return
    this.#secure.ticket = undefined
    this.context.admission.leave(ticket)
  }

  /** The connection ended. Precondition: the table record is still that of this connection. */
  end(): void {
    this.#bytesIn = this.bytesIn
    this.#bytesOut = this.bytesOut
    if (this.kept) this.#keep()
    this.forget()
    this.ended = true
    this.inspection = undefined
    this.#sc0?.detach(this.#bytesIn, this.#bytesOut)
    this.#sc1?.detach(this.#bytesIn, this.#bytesOut)
    this.#sc2?.detach(this.#bytesIn, this.#bytesOut)
    this.#extra?.abort?.abort()
  }

  /** Somebody may look behind the end. */
  #keep(): void {
    const extra = this.#needExtra()
    extra.srcPort = this.srcPort
    extra.dstPort = this.dstPort
    this.#src = this.src
    this.#dst = this.dst
  }

  #counter(name: CounterName): Counter {
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

  #needExtra(): Extra {
    this.#extra ??= new Extra()
    return this.#extra
  }
}
