/**
 * An incoming connection: its way through the stages, what is under way, and its end. Made when
 * policy first hears of it, before a session exists; what costs something is made on demand.
 */

import type { Backend, Server } from '../backend/backend.js'
import { packReason } from '../wire/reason.js'
import { By, CloseMode, Code, Handshake, Phase } from '../wire/wire.js'
import type { AppletRuntime } from './applet/runtime.js'
import { KnownClient } from './known.js'
import type { PolicyCounts } from './rules/scope.js'
import type { Wait } from './rules/wait.js'
import type { SessionClient } from './session/client.js'
import { type Course, Rest } from './session/rest.js'
import { Session } from './session/session.js'
import { SiState } from './session/state.js'
import { Inspection } from './stage/inspection.js'
import { ConnectionView } from './view.js'

const EMPTY = new Uint8Array(0)

/** Bits of `facts` behind those of KnownClient. */
const ANSWERED = 1 << 2
const PHASE_SHIFT = 3
const PHASE_MASK = 0xff
/** To the end of the word: one more than the position. */
const STAGE_SHIFT = 11
/** What a step from stage to stage leaves as it is. */
const OWN = (1 << PHASE_SHIFT) - 1

/** What only some connections need: made on the first use, so that an idle session does not carry it. */
class Work {
  priority = 0
  wanted: Server | undefined = undefined
  strict = false
  expectsProxy = false
  wait: Wait | undefined = undefined
  inspection: Inspection | undefined = undefined
  consumed = 0
}

export class ClientConnection extends KnownClient<ClientConnection> implements SessionClient {
  protected facts = Phase.ACCEPT << PHASE_SHIFT
  decided = 0
  rule: string | undefined = undefined
  backend: Backend | undefined = undefined
  #session: Session | Rest | undefined = undefined
  #view: ConnectionView | undefined = undefined
  #work: Work | undefined = undefined

  // --- small facts, in one word with those of KnownClient ---

  /** Position of the stage under way; -1 before the first. */
  get stage(): number {
    return (this.facts >> STAGE_SHIFT) - 1
  }

  /** What policy is doing now: a value of `Phase`. */
  get phase(): number {
    return (this.facts >> PHASE_SHIFT) & PHASE_MASK
  }

  set phase(phase: number) {
    this.facts = (this.facts & ~(PHASE_MASK << PHASE_SHIFT)) | (phase << PHASE_SHIFT)
  }

  get answered(): boolean {
    return (this.facts & ANSWERED) !== 0
  }

  set answered(answered: boolean) {
    this.facts = answered ? this.facts | ANSWERED : this.facts & ~ANSWERED
  }

  /** The connection as policies hold it. */
  get subject(): ConnectionView {
    this.#view ??= new ConnectionView(this)
    return this.#view
  }

  get conn(): ConnectionView {
    return this.subject
  }

  get bytes(): Uint8Array {
    return this.#work?.inspection?.shown ?? EMPTY
  }

  get last(): boolean {
    return this.#work?.inspection?.last ?? false
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

  get recorded(): boolean {
    return this.context.records.wants(this.listener.frontend.config.log.sample)
  }

  /** The server that a policy chose. */
  get wanted(): Server | undefined {
    return this.#work?.wanted
  }

  /** That server or none. */
  get strict(): boolean {
    return this.#work?.strict ?? false
  }

  want(server: Server | undefined, strict: boolean): void {
    const work = this.needWork()
    work.wanted = server
    work.strict = strict
  }

  get priority(): number {
    return this.#work?.priority ?? 0
  }

  set priority(value: number) {
    this.needWork().priority = value
  }

  /** A connection rule asked for a PROXY header. */
  get expectsProxy(): boolean {
    return this.#work?.expectsProxy ?? false
  }

  set expectsProxy(expects: boolean) {
    this.needWork().expectsProxy = expects
  }

  get wait(): Wait | undefined {
    return this.#work?.wait
  }

  set wait(wait: Wait | undefined) {
    this.needWork().wait = wait
  }

  /** What is shown of its first bytes; undefined where nothing is. */
  get inspection(): Inspection | undefined {
    return this.#work?.inspection
  }

  set inspection(inspection: Inspection | undefined) {
    if (this.#work !== undefined || inspection !== undefined) {
      this.needWork().inspection = inspection
    }
  }

  /** The same, made where there is none yet. */
  inspect(): Inspection {
    const work = this.needWork()
    work.inspection ??= new Inspection()
    return work.inspection
  }

  /** Bytes that rules took, to be dropped with the next answer. */
  set consumed(count: number) {
    if (count > 0) this.needWork().consumed = count
  }

  takeConsumed(): number {
    const work = this.#work
    if (work === undefined || work.consumed === 0) return 0
    const { consumed } = work
    work.consumed = 0
    return consumed
  }

  // --- its session ---

  /** Undefined before there is one; made anew where it was idle. */
  get session(): Session | undefined {
    if (this.#session instanceof Rest) this.#session = Session.woken(this, this.#session)
    return this.#session
  }

  set session(session: Session) {
    this.#session = session
  }

  /** The same to look at, idle or not. */
  get course(): Course | undefined {
    return this.#session
  }

  /** What serves it; undefined where that is a server. */
  get applet(): AppletRuntime | undefined {
    return this.#session instanceof Session ? this.#session.applet : undefined
  }

  settle(rest: Rest | undefined): void {
    this.forgetText()
    if (rest !== undefined) this.#session = rest
  }

  /** Its session ended, after `connectTime` ms or without a connect: -1. */
  endSession(connectTime: number): void {
    const watched = this.context.observer.onTransition !== undefined
    if (this.#session instanceof Rest && !watched) this.#session = this.#session.ended()
    else this.session?.ended(connectTime)
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
      this.facts = (this.facts & OWN) | (stage.phase << PHASE_SHIFT) | ((i + 1) << STAGE_SHIFT)
      if (!stage.enter(this, shown, hello)) return
      shown = EMPTY
    }
  }

  /** Sends bytes of a handshake to the client: at most 16 kB. */
  send(bytes: Uint8Array): void {
    this.context.engine.send(this.slot, this.generation, bytes, false)
  }

  /** A handshake rule starts TLS, on what comes from here on. Throws where it cannot. */
  startTls(): void {
    const { listener, slot, generation } = this
    if (listener.bind.startTls !== 'rule') {
      throw new TypeError("startTls() is for a bind with tls and startTls: 'rule'")
    }
    if (this.hello !== undefined) throw new TypeError('startTls() a second time')
    const inspection = this.inspect()
    if (inspection.front.length > 0) throw new TypeError('prepend() before startTls()')
    if (inspection.left > 0) {
      // Somebody else may have put them there (CVE-2011-0411): nobody may take them for encrypted.
      this.close(packReason(By.CLIENT, Phase.HANDSHAKE, Code.TLS_CLEAR_BYTES))
      return
    }
    const { taken } = inspection
    this.forget()
    this.phase = Phase.TLS
    inspection.restart()
    this.context.engine.proceed(slot, generation, Handshake.TCP_RULES, Handshake.TLS, taken)
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
    if (this.course?.serverState === SiState.QUE) this.session?.leaveQueue()
  }

  /** Whatever was awaited has no say any more. */
  forget(): void {
    const work = this.#work
    if (work === undefined) return
    work.wait?.forget()
    work.wait = undefined
  }

  /** It neither waits for a place to do its TLS handshake nor holds one. */
  leaveAdmission(): void {
    const { secure } = this
    if (secure?.ticket === undefined) return
    const { ticket } = secure
    secure.ticket = undefined
    this.context.admission.leave(ticket)
  }

  override end(): void {
    this.forget()
    this.inspection = undefined
    super.end()
  }

  private needWork(): Work {
    this.#work ??= new Work()
    return this.#work
  }
}
