/**
 * A client that was accepted, before its payload flows: handshakes in the order of their bits,
 * the questions to policy about them, inspection. What the client sends is kept here until
 * somebody takes it.
 */

import type { Socket } from 'node:net'
import { packReason } from '../../../wire/reason.js'
import {
  By,
  BytesFlag,
  Code,
  ConnFlag,
  ConnState,
  Field,
  Handshake,
  Phase,
  Timeout,
} from '../../../wire/wire.js'
import type { EngineEvent } from '../../event.js'
import type { OwnTimeouts } from '../../model/own-timeouts.js'
import { PendingHandshakes, Runner } from '../../model/pending.js'
import { phaseOfHandshake } from '../../model/phase.js'
import { Chunks } from '../chunks.js'
import type { Failure } from '../reason.js'
import type { Origin, Shared } from '../shared.js'
import { Side, type SideHandler } from '../side.js'
import { DownstreamHandshake, type DownstreamOwner } from '../tls/downstream.js'
import { IncomingDeadline } from './deadline.js'
import { AwaitedHello } from './hello.js'
import { Inspection } from './inspection.js'
import { ProxyHeader } from './proxy.js'

const NO_BYTES = new Uint8Array(0)

/** Flags of every connection that was accepted. */
const ACCEPTED =
  ConnFlag.FD_ALLOCATED | ConnFlag.CTRL_INIT | ConnFlag.CTRL_CONNECTED | ConnFlag.DATA_INIT

/** The client's FIN before it should have come. */
export const ABORTED: Failure = { by: By.CLIENT, code: Code.ABORTED, errno: 0 }

const Mode = {
  /** Handshakes run, or policy is asked about one. */
  HANDSHAKE: 0,
  INSPECT: 1,
  /** Every handshake is done; policy has the connection, no deadline runs. */
  HELD: 2,
  /** Nothing is asked any more: payload flows or is about to, or the end has come. */
  OVER: 3,
} as const

/** What becomes of the client, but for what policy answers. */
export interface IncomingOwner {
  /** Its socket is closed. */
  gone(side: Side): void
  /** It is to end. `alert`: what TLS has to say about it is on its way. */
  incomingFailed(failure: Failure, alert: boolean): void
  /** The last chunk of a handshake that the engine does alone. */
  reply(bytes: Uint8Array, reason: number): void
  /** A verdict was late and the default is to open: it takes the fallback route. */
  incomingOpened(): void
}

export class Incoming implements SideHandler, DownstreamOwner {
  readonly side: Side
  /** What the client has sent and nobody has taken. */
  readonly input = new Chunks()
  /** Policy gave the connection time-outs of its own. */
  own: OwnTimeouts | undefined
  readonly #shared: Shared
  readonly #origin: Origin
  readonly #owner: IncomingOwner
  readonly #pending: PendingHandshakes
  readonly #deadline: IncomingDeadline
  #mode: number = Mode.HANDSHAKE
  readonly #proxy = new ProxyHeader()
  readonly #hello = new AwaitedHello()
  /** Once policy has chosen a context, until it is complete. */
  #tls: DownstreamHandshake | undefined
  readonly #inspection = new Inspection()

  /** Precondition: `slot` was allocated and its record holds the addresses. */
  constructor(shared: Shared, origin: Origin, owner: IncomingOwner, slot: number, socket: Socket) {
    const { table } = shared.slots
    this.#shared = shared
    this.#origin = origin
    this.#owner = owner
    const openedAt = shared.now()
    this.#deadline = new IncomingDeadline(shared, openedAt)
    this.#pending = new PendingHandshakes(origin.spec.handshakes, origin.spec.ask)
    this.side = new Side(table, slot, socket, this)
    this.side.state(ConnState.ACCEPTED)
    const { bits } = this.#pending
    const proxied = bits & Handshake.ACCEPT_PROXY ? ConnFlag.PROXY_IN_PENDING : 0
    const data = bits & Handshake.TLS ? ConnFlag.DATA_OPEN_PENDING : ConnFlag.DATA_CONNECTED
    this.side.flags(ACCEPTED | proxied | data, 0)
    table.set(slot, Field.LISTENER, origin.id)
    table.set(slot, Field.OPENED_AT, openedAt)
    this.#recordPending()
  }

  /** What the client is doing, for a close reason. */
  get phase(): number {
    return phaseOfHandshake(this.#pending.first)
  }

  /** An answer of policy is awaited. */
  get answerable(): boolean {
    if (this.#mode === Mode.HANDSHAKE) return this.#pending.asking !== 0
    return this.#mode !== Mode.OVER
  }

  /** The default of a late verdict was to open: policy is asked nothing any more. */
  get opened(): boolean {
    return this.#pending.opened
  }

  /** Goes on with the first pending handshake. */
  advance(): void {
    if (this.#mode !== Mode.HANDSHAKE || this.#pending.asking !== 0) return
    switch (this.#pending.runner) {
      case Runner.POLICY:
        if (this.#pending.first === Handshake.TLS && !this.#hello.there) this.#awaitHello()
        else this.#ask()
        break
      case Runner.ENGINE:
        this.#runAlone(this.#pending.first)
        break
      case Runner.FALLBACK:
        this.#owner.incomingOpened()
        break
      case Runner.NOBODY:
        if (this.#pending.first === Handshake.TLS) this.#skipTls()
        this.#done(this.#pending.first)
        this.advance()
        break
      default:
        this.#mode = Mode.HELD
        this.#disarm()
    }
  }

  /** @returns false where the answer is not awaited. */
  proceed(clear: number, set: number, consume: number, context: number, flags: number): boolean {
    if (!this.answerable || !this.#pending.accepts(clear, set)) return false
    if (this.#pending.asking === Handshake.TLS) {
      const terminated = (clear & Handshake.TLS) === 0
      const found = terminated ? this.#shared.tls.downstreamOf(context) : undefined
      if (terminated && !found) return false
      if (found) this.#tls = new DownstreamHandshake(this.#shared, this.side, this, found, flags)
      else this.#skipTls()
      this.#hello.forget()
    }
    this.#pending.proceed(clear, set)
    this.#answered(consume)
    if (set & Handshake.ACCEPT_PROXY) this.side.flags(ConnFlag.PROXY_IN_PENDING, 0)
    if (set & Handshake.TLS) this.side.flags(ConnFlag.DATA_OPEN_PENDING, ConnFlag.DATA_CONNECTED)
    this.#recordPending()
    this.#mode = Mode.HANDSHAKE
    queueMicrotask(() => this.advance())
    return true
  }

  /** @returns false where the answer is not awaited. */
  inspect(limit: number, delay: number, consume: number): boolean {
    if (!this.answerable) return false
    this.#answered(consume)
    this.#mode = Mode.INSPECT
    this.#inspection.begin(limit, delay, () => this.#show(BytesFlag.EXPIRED))
    this.#readAhead()
    this.#awaitBytes()
    if (this.input.length > 0 || this.side.eof) {
      queueMicrotask(() => {
        if (this.#mode === Mode.INSPECT) this.#show(0)
      })
    }
    return true
  }

  /** The first `consume` bytes become others. @returns false where no answer is awaited. */
  replace(bytes: Uint8Array, consume: number): boolean {
    if (!this.answerable) return false
    this.input.consume(consume)
    this.input.unshift(Buffer.from(bytes))
    return true
  }

  /** Every handshake is done by an answer that drops `consume` bytes; false where none is awaited. */
  finish(consume: number): boolean {
    if (!this.answerable) return false
    this.#answered(consume)
    this.over()
    return true
  }

  /** Nothing is asked any more; what the client sends is kept. */
  over(): void {
    this.#disarm()
    this.#mode = Mode.OVER
    this.#pending.allDone()
    this.#recordPending()
  }

  /** Policy has the connection again, without a deadline. */
  hold(): void {
    this.#mode = Mode.HELD
  }

  /** The end has come; its reason is fixed already. */
  stop(): void {
    this.#disarm()
    this.#mode = Mode.OVER
    this.input.clear()
    this.#hello.forget()
  }

  data(side: Side, chunk: Buffer): void {
    this.input.push(chunk)
    if (!this.#inspection.takesMore(this.input.length)) side.pause()
    this.#arrived()
  }

  end(_side: Side): void {
    this.#arrived()
  }

  drain(_side: Side): void {}

  gone(side: Side): void {
    this.#owner.gone(side)
  }

  tlsDone(tell: () => void): void {
    this.#tls = undefined
    this.#disarm()
    this.#done(Handshake.TLS)
    tell()
    this.advance()
  }

  tlsEnded(failure: Failure | undefined, alert: boolean): void {
    this.#owner.incomingFailed(failure ?? ABORTED, alert)
  }

  #ask(): void {
    const { id, spec } = this.#origin
    const bit = this.#pending.ask()
    this.#deadline.set(spec.verdictTimeout, () => this.#verdictLate())
    const event = this.#event()
    event.listener = id
    event.bit = bit
    if (bit === Handshake.TLS && this.#hello.there) {
      this.#hello.fill(event)
    } else {
      event.bytes = this.#proxy.tellTlvs()
      event.hello = 0
    }
    this.#shared.dispatch.tell('handshake', event)
  }

  /** Asks policy about the ClientHello once it is there. It stays in the input. */
  #awaitHello(): void {
    if (this.#hello.look(this.input.view())) this.#ask()
    else if (this.side.eof) this.#failed(By.CLIENT, Code.ABORTED)
    else this.#giveTime(0)
  }

  /** `bit`: the handshake that is awaited; 0 for the ClientHello. */
  #giveTime(bit: number): void {
    const { handshakeTimeout, silenceAsks } = this.#origin.spec
    this.#deadline.setFor(bit, handshakeTimeout, () => {
      if (bit !== 0 || !silenceAsks || this.input.length > 0) {
        this.#failed(By.TIMEOUT, Code.HANDSHAKE_TIMEOUT)
      } else {
        this.#hello.silent()
        this.#ask()
      }
    })
  }

  #runAlone(bit: number): void {
    const { spec } = this.#origin
    if (bit === Handshake.HEALTH) {
      this.#disarm()
      const reason = packReason(By.PROXY, Phase.HEALTH, Code.HEALTH)
      this.#owner.reply(spec.healthReply ?? NO_BYTES, reason)
      return
    }
    this.#giveTime(bit)
    if (bit === Handshake.TLS) {
      const early = this.input.view()
      this.input.clear()
      this.#tls?.start(early)
      return
    }
    this.side.flags(ConnFlag.PROXY_IN_STARTED, 0)
    this.#acceptProxy()
  }

  #acceptProxy(): void {
    const { table } = this.#shared.slots
    const outcome = this.#proxy.take(
      this.input,
      this.#origin.spec.proxyLimit,
      table,
      this.side.slot,
    )
    if (outcome === 'partial') {
      if (this.side.eof) this.#failed(By.CLIENT, Code.ABORTED)
    } else if (outcome !== 'done') {
      this.#failed(By.CLIENT, outcome)
    } else {
      this.side.flags(0, ConnFlag.PROXY_IN_PENDING)
      this.#readAhead()
      this.#disarm()
      this.#done(Handshake.ACCEPT_PROXY)
      this.advance()
    }
  }

  #verdictLate(): void {
    const opened = this.#origin.spec.fallbackRoute >= 0
    const bit = this.#pending.first
    this.#shared.counters.lateVerdicts++
    // The default is taken first: what policy answers from here on is late.
    this.#inspection.cancelDelay()
    if (opened) {
      this.#mode = Mode.HANDSHAKE
      if (bit === Handshake.TLS) this.#skipTls()
      this.#pending.open()
      this.#recordPending()
    } else {
      this.#failed(By.TIMEOUT, Code.VERDICT_TIMEOUT)
    }
    const event = this.#event()
    event.bit = bit
    event.opened = opened
    this.#shared.dispatch.tell('verdictTimeout', event)
    if (opened) this.advance()
  }

  /** Bytes or a FIN came while policy has the connection. */
  #arrived(): void {
    if (this.#mode === Mode.INSPECT) {
      this.#awaitBytes()
      this.#show(0)
    } else if (this.#mode === Mode.HANDSHAKE && this.#pending.runner === Runner.ENGINE) {
      if (this.#pending.first === Handshake.ACCEPT_PROXY) this.#acceptProxy()
    } else if (this.#mode === Mode.HANDSHAKE && this.#pending.first === Handshake.TLS) {
      if (this.#pending.asking === 0 && !this.#hello.there) this.advance()
    }
  }

  /** A client that is asked for bytes must not be silent for ever. */
  #awaitBytes(): void {
    const { clientTimeout } = this.#origin.spec
    const ms = this.own?.pick(Timeout.CLIENT, clientTimeout) ?? clientTimeout
    this.#deadline.set(ms, () => this.#failed(By.TIMEOUT, Code.CLIENT_TIMEOUT))
  }

  #show(extra: number): void {
    const event = this.#event()
    this.#inspection.fill(event, this.input.view(), extra, this.side.eof)
    // Nothing more will come of itself: an answer is due.
    if (event.flags !== 0) {
      this.#deadline.set(this.#origin.spec.verdictTimeout, () => this.#verdictLate())
    }
    this.#shared.dispatch.tell('bytes', event)
  }

  /** The record of an event about this connection, to be filled and told at once. */
  #event(): EngineEvent {
    return this.#shared.dispatch.about(this.side.slot, this.side.generation)
  }

  #failed(by: number, code: number): void {
    this.#owner.incomingFailed({ by, code, errno: 0 }, false)
  }

  #answered(consume: number): void {
    this.#pending.answered()
    this.#disarm()
    this.#inspection.answered()
    if (consume > 0) this.input.consume(consume)
    this.#readAhead()
  }

  #readAhead(): void {
    if (this.#inspection.takesMore(this.input.length)) this.side.resume()
  }

  /** The payload is what the client sends, without TLS. */
  #skipTls(): void {
    this.side.flags(ConnFlag.DATA_CONNECTED, ConnFlag.DATA_OPEN_PENDING)
  }

  #done(bit: number): void {
    this.#pending.done(bit)
    this.#recordPending()
  }

  #recordPending(): void {
    this.#shared.slots.table.set(this.side.slot, Field.HANDSHAKES, this.#pending.bits)
  }

  #disarm(): void {
    this.#deadline.clear()
    this.#inspection.cancelDelay()
  }
}
