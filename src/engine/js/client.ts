/**
 * An incoming connection from accept to its end: handshakes in the order of
 * their bits, inspection, the way out or the applet, the close.
 *
 * Commands of policy are checked against the mode here; one that comes in the
 * wrong mode (a second answer, an answer after the default was taken) is a
 * counted no-op like one with a stale handle.
 */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { PROXY_V2_FIXED, PROXY_V2_MAX, parseProxyHeader } from '../../codec/proxy.js'
import { type Framed, HelloReader } from '../../codec/tls.js'
import { packReason } from '../../wire/reason.js'
import {
  By,
  BytesFlag,
  CloseMode,
  Code,
  ConnectFlag,
  ConnFlag,
  ConnState,
  Field,
  Handshake,
  HelloStatus,
  Phase,
  ProceedFlag,
} from '../../wire/wire.js'
import type { EngineEvent } from '../event.js'
import { recordProxied } from '../model/addresses.js'
import { PendingHandshakes, Runner } from '../model/pending.js'
import { phaseOfHandshake } from '../model/phase.js'
import { recordSource } from './addresses.js'
import { AppletStream } from './applet-stream.js'
import { Chunks } from './chunks.js'
import { Closing } from './closing.js'
import type { Core, Origin } from './core.js'
import { Forward } from './forward.js'
import { Abort, Outbound } from './outbound.js'
import { isClientSilence, streamFailure } from './reason.js'
import { Side, type SideHandler } from './side.js'
import { timer } from './timer.js'
import type { DownstreamContext } from './tls-contexts.js'
import { peerCertificate, summarize, type TlsHandshakeOwner } from './tls-layer.js'

/** Bytes that are read ahead of policy, so that a FIN or RST behind them is seen; the longest PROXY header fits. */
const READ_AHEAD = PROXY_V2_FIXED + PROXY_V2_MAX + 1024

const Mode = {
  /** Handshakes run, or policy is asked about one. */
  HANDSHAKE: 0,
  INSPECT: 1,
  /** Every handshake is done; policy has the connection, no deadline runs. */
  SESSION: 2,
  CONNECTING: 3,
  FORWARD: 4,
  APPLET: 5,
  CLOSING: 6,
  CLOSED: 7,
} as const

/** Flags of every connection that was accepted. */
const ACCEPTED =
  ConnFlag.FD_ALLOCATED | ConnFlag.CTRL_INIT | ConnFlag.CTRL_CONNECTED | ConnFlag.DATA_INIT

/** The client's FIN before it should have come. */
const ABORTED = { by: By.CLIENT, code: Code.ABORTED, errno: 0 }
/** Bytes that policy sees of what is no ClientHello. */
const SHOWN = 1024
const NO_BYTES = new Uint8Array(0)

export class Client implements SideHandler, TlsHandshakeOwner {
  readonly side: Side
  readonly #core: Core
  readonly #origin: Origin
  readonly #input = new Chunks()
  readonly #openedAt: number
  /** What the deadline of the handshakes is for (-1: nothing yet), and when it passes. */
  #awaited = -1
  #deadline = 0
  #mode: number = Mode.HANDSHAKE
  readonly #pending: PendingHandshakes
  /** TLVs of the PROXY header that policy has not seen yet. */
  #tlvs: Uint8Array = NO_BYTES
  /** The ClientHello, or what came instead, while policy decides about it. */
  #hello: Framed | undefined
  readonly #helloReader = new HelloReader()
  #context: DownstreamContext | undefined
  #tellsWaiting = false
  #limit = READ_AHEAD
  #timer: NodeJS.Timeout | undefined
  #delay: NodeJS.Timeout | undefined
  #outbound: Outbound | undefined
  /** ConnectFlag bits of the last connect. */
  #connectFlags = 0
  #forward: Forward | undefined
  #applet: AppletStream | undefined
  #reason = 0
  #errno = 0
  #connectTime = -1

  /** Precondition: `slot` was allocated and its record holds the addresses. */
  constructor(core: Core, origin: Origin, slot: number, socket: Socket) {
    const { table } = core.slots
    this.#core = core
    this.#origin = origin
    this.#openedAt = core.now()
    this.#pending = new PendingHandshakes(origin.spec.handshakes, origin.spec.ask)
    this.side = new Side(table, slot, socket, this)
    this.side.state(ConnState.ACCEPTED)
    const { bits } = this.#pending
    const proxied = bits & Handshake.ACCEPT_PROXY ? ConnFlag.PROXY_IN_PENDING : 0
    const data = bits & Handshake.TLS ? ConnFlag.DATA_OPEN_PENDING : ConnFlag.DATA_CONNECTED
    this.side.flags(ACCEPTED | proxied | data, 0)
    table.set(slot, Field.LISTENER, origin.id)
    table.set(slot, Field.OPENED_AT, this.#openedAt)
    this.#recordPending()
  }

  /** Bytes are held in memory for this connection. */
  get buffering(): boolean {
    const waiting = this.side.socket.writableLength
    return this.#input.length > 0 || waiting > 0 || !!this.#outbound?.side?.socket.writableLength
  }

  /** Goes on with the first pending handshake. */
  advance(): void {
    if (this.#mode !== Mode.HANDSHAKE || this.#pending.asking !== 0) return
    switch (this.#pending.runner) {
      case Runner.POLICY:
        if (this.#pending.first === Handshake.TLS && !this.#hello) this.#awaitHello()
        else this.#ask()
        break
      case Runner.ENGINE:
        this.#runAlone(this.#pending.first)
        break
      case Runner.FALLBACK:
        this.#connect(this.#origin.spec.fallbackRoute, 0, undefined)
        break
      case Runner.NOBODY:
        if (this.#pending.first === Handshake.TLS) this.#skipTls()
        this.#done(this.#pending.first)
        this.advance()
        break
      default:
        this.#mode = Mode.SESSION
        this.#disarm()
    }
  }

  /** @returns false where the answer is not awaited. */
  proceed(clear: number, set: number, consume: number, context: number, flags: number): boolean {
    if (!this.#isAnswerable() || !this.#pending.accepts(clear, set)) return false
    if (this.#pending.asking === Handshake.TLS) {
      const terminated = (clear & Handshake.TLS) === 0
      this.#context = terminated ? this.#core.tls.downstreamOf(context) : undefined
      if (terminated && !this.#context) return false
      if (!terminated) this.#skipTls()
      this.#hello = undefined
      this.#tellsWaiting = (flags & ProceedFlag.TELL_WAITING) !== 0
    }
    this.#pending.proceed(clear, set)
    this.#answered(consume)
    if (set & Handshake.ACCEPT_PROXY) this.side.flags(ConnFlag.PROXY_IN_PENDING, 0)
    this.#recordPending()
    this.#mode = Mode.HANDSHAKE
    queueMicrotask(() => this.advance())
    return true
  }

  inspect(limit: number, delay: number, consume: number): boolean {
    if (!this.#isAnswerable()) return false
    this.#answered(consume)
    this.#mode = Mode.INSPECT
    this.#limit = Math.max(1, limit)
    this.#readAhead()
    clearTimeout(this.#delay)
    this.#delay = timer(delay, () => this.#show(BytesFlag.EXPIRED))
    this.#arm(this.#origin.spec.clientTimeout, () => this.#silent())
    if (this.#input.length > 0 || this.side.eof) {
      queueMicrotask(() => {
        if (this.#mode === Mode.INSPECT) this.#show(0)
      })
    }
    return true
  }

  connect(route: number, flags: number, consume: number, tlvs: Uint8Array | undefined): boolean {
    if (!this.#isAnswerable()) return false
    this.#answered(consume)
    this.#connect(route, flags, tlvs)
    return true
  }

  applet(credit: number, consume: number): boolean {
    if (!this.#isAnswerable()) return false
    this.#answered(consume)
    this.#handshakesDone()
    this.#mode = Mode.APPLET
    this.side.established(this.#core.now())
    const { spec } = this.#origin
    this.#applet = new AppletStream(this.#core, this, this.side, this.#input, spec, credit)
    this.#applet.start()
    return true
  }

  credit(bytes: number): boolean {
    if (this.#mode !== Mode.APPLET) return false
    this.#applet?.credit(bytes)
    return true
  }

  send(bytes: Uint8Array, fin: boolean): boolean {
    if (this.#mode === Mode.APPLET) {
      this.#applet?.send(bytes, fin)
      return true
    }
    if (fin || !this.#isAnswerable()) return false
    this.side.write(Buffer.from(bytes))
    return true
  }

  reply(bytes: Uint8Array, reason: number): boolean {
    if (this.#mode >= Mode.CLOSING) return false
    const closing = this.#beginClose(reason, 0, Abort.CLOSE)
    this.#lastChunk()
    closing.flush(bytes, this.#patience)
    return true
  }

  close(reason: number, mode: number, hold: number): boolean {
    if (this.#mode >= Mode.CLOSING) return false
    const forwarding = this.#forward !== undefined
    const closing = this.#beginClose(
      reason,
      0,
      mode === CloseMode.RESET ? Abort.RESET : Abort.CLOSE,
    )
    if (mode === CloseMode.RESET) closing.reset()
    else if (mode === CloseMode.TARPIT) closing.tarpit(hold)
    else {
      if (!forwarding && this.side.bytesOut > 0) this.#lastChunk()
      // A session that policy ends in its midst is not complete.
      closing.flush(undefined, this.#patience, !forwarding)
    }
    return true
  }

  /** Ends at once; what is already closing keeps its reason. */
  kill(reason: number): void {
    if (this.#mode < Mode.CLOSING) this.#beginClose(reason, 0, Abort.CLOSE)
    if (!this.side.closed) this.side.destroy()
    // It may be taking what it was sent before its end.
    if (!this.#outbound?.closed) this.#outbound?.side?.destroy()
  }

  /** What the connection is doing, for a close reason. */
  get phase(): number {
    if (this.#mode === Mode.CONNECTING) return this.#outbound?.phase ?? Phase.CONNECT
    if (this.#forward) return this.#forward.phase
    if (this.#applet) return this.#applet.phase
    return phaseOfHandshake(this.#pending.first, this.#mode === Mode.INSPECT)
  }

  data(side: Side, chunk: Buffer): void {
    this.#input.push(chunk)
    if (this.#input.length >= Math.max(READ_AHEAD, this.#limit)) side.pause()
    this.#arrived()
  }

  end(_side: Side): void {
    this.#arrived()
  }

  drain(_side: Side): void {}

  gone(side: Side): void {
    const { by, code, errno } = side.error ? streamFailure(side.error, By.CLIENT) : ABORTED
    this.#beginClose(packReason(by, this.phase, code), errno, Abort.RESET)
    this.#checkClosed()
  }

  tlsWaits(): void {
    if (!this.#tellsWaiting) return
    this.#tellsWaiting = false
    this.#core.dispatch.tell('handshakeWaits', this.#event())
  }

  tlsSecured(tls: TLSSocket): void {
    const demand = this.#context?.spec.clientCert ?? 'none'
    const certificate = peerCertificate(tls)
    const shown = demand !== 'none' && certificate.length > 0
    const refused = shown ? this.#context?.refusal(tls) : 0
    if (refused) {
      // Node has no alert for it: the client sees a close_notify behind its handshake.
      this.side.fail(ConnFlag.DATA_FAILED)
      this.#handshakeFailed(By.CLIENT, refused)
      return
    }
    this.#context = undefined
    this.side.flags(ConnFlag.DATA_CONNECTED, ConnFlag.DATA_OPEN_PENDING)
    this.#disarm()
    this.#done(Handshake.TLS)
    const event = this.#event()
    event.bit = Handshake.TLS
    summarize(tls, certificate, shown, event)
    this.#core.dispatch.tell('secured', event)
    this.advance()
  }

  tlsFailed(error: NodeJS.ErrnoException | undefined): void {
    if (this.#mode >= Mode.CLOSING) return
    const { by, code, errno } = error ? streamFailure(error, By.CLIENT) : ABORTED
    const reason = packReason(by, this.phase, code)
    const closing = this.#beginClose(reason, errno, Abort.CLOSE)
    if (error) {
      this.side.fail(ConnFlag.DATA_FAILED)
      this.#lastChunk()
    }
    closing.flush(undefined, this.#patience)
  }

  outboundEstablished(outbound: Outbound, early: Buffer | undefined): void {
    const server = outbound.side as Side
    const { table } = this.#core.slots
    const now = this.#core.now()
    this.#mode = Mode.FORWARD
    this.#connectTime = outbound.elapsed
    this.side.established(now)
    server.established(now)
    if (this.#connectFlags & ConnectFlag.WANT_SOURCE) recordSource(table, server.slot, server.raw)
    const { spec } = this.#origin
    this.#forward = new Forward(this.#core, this, this.side, server, spec, outbound.route)
    const request = this.#input.view()
    this.#input.clear()
    this.#forward.start(request, early)
    // What came of the client may have been its end.
    const wanted = (this.#connectFlags & ConnectFlag.WANT_CONNECTED) !== 0
    if (!wanted || this.#mode !== Mode.FORWARD) return
    const event = this.#event()
    event.peer = server.slot
    event.elapsed = outbound.elapsed
    this.#core.dispatch.tell('connected', event)
  }

  outboundFailed(outbound: Outbound, reason: number, errno: number): void {
    if (this.#outbound !== outbound || this.#mode !== Mode.CONNECTING) return
    this.#outbound = undefined
    this.#connectFailed(reason, errno, outbound.elapsed)
  }

  forwardEnded(reason: number, errno: number, broken: Side | undefined): void {
    // What one side broke off must not look complete to the other.
    const byClient = broken === this.side
    const closing = this.#beginClose(reason, errno, byClient ? Abort.CUT : Abort.CLOSE)
    if (this.side.closed) this.#checkClosed()
    // A client that was silent with bytes waiting for it would not take them now either.
    else if (isClientSilence(reason)) this.side.destroy()
    else if (broken && !byClient) closing.cut(this.#patience)
    else closing.flush(undefined, this.#patience, false)
  }

  appletEnded(reason: number, errno: number): void {
    this.#beginClose(reason, errno, Abort.CLOSE)
    if (this.side.closed) this.#checkClosed()
    else this.side.destroy()
  }

  #ask(): void {
    const { id, spec } = this.#origin
    const bit = this.#pending.ask()
    this.#arm(spec.verdictTimeout, () => this.#verdictLate())
    const event = this.#event()
    event.listener = id
    event.bit = bit
    if (bit === Handshake.TLS && this.#hello) {
      event.bytes = this.#hello.message
      event.hello = this.#hello.status ?? HelloStatus.MALFORMED
    } else {
      event.bytes = this.#tlvs
      event.hello = 0
      this.#tlvs = NO_BYTES
    }
    this.#core.dispatch.tell('handshake', event)
  }

  /** Asks policy about the ClientHello once it is there. It stays in the input. */
  #awaitHello(): void {
    const bytes = this.#input.view()
    const framed = this.#helloReader.goOn(bytes)
    if (framed.status !== undefined) {
      const complete = framed.status === HelloStatus.COMPLETE
      this.#hello = complete ? framed : { ...framed, message: bytes.subarray(0, SHOWN) }
      this.#ask()
    } else if (this.side.eof) {
      this.#handshakeFailed(By.CLIENT, Code.ABORTED)
    } else {
      this.#armHandshake(0)
    }
  }

  #acceptTls(): void {
    const context = this.#context
    if (!context) return
    this.side.flags(ConnFlag.DATA_OPEN_STARTED, 0)
    const early = this.#input.view()
    this.#input.clear()
    this.side.startTls((wire) => context.accept(wire), early, this)
  }

  /** `bit`: the handshake that is awaited; 0 for the ClientHello. */
  #armHandshake(bit: number): void {
    const { handshakeTimeout } = this.#origin.spec
    if (handshakeTimeout <= 0) return
    const now = this.#core.now()
    // A rule may have taken its time: each handshake gets at least a moment. Once: who sends
    // byte by byte gets no more of it.
    if (this.#awaited !== bit) {
      this.#awaited = bit
      this.#deadline = Math.max(now + handshakeTimeout / 4, this.#openedAt + handshakeTimeout)
    }
    this.#arm(Math.max(this.#deadline - now, 1), () => {
      if (bit === 0 && this.#origin.spec.silenceAsks && this.#input.length === 0) this.#askSilent()
      else this.#handshakeFailed(By.TIMEOUT, Code.HANDSHAKE_TIMEOUT)
    })
  }

  /** A client without TLS whose server may speak first. */
  #askSilent(): void {
    this.#hello = { message: NO_BYTES, status: HelloStatus.NOT_TLS }
    this.#ask()
  }

  #runAlone(bit: number): void {
    const { spec } = this.#origin
    if (bit === Handshake.HEALTH) {
      this.#disarm()
      const reason = packReason(By.PROXY, Phase.HEALTH, Code.HEALTH)
      this.reply(spec.healthReply ?? new Uint8Array(0), reason)
      return
    }
    this.#armHandshake(bit)
    if (bit === Handshake.TLS) {
      this.#acceptTls()
      return
    }
    this.side.flags(ConnFlag.PROXY_IN_STARTED, 0)
    this.#acceptProxy()
  }

  #acceptProxy(): void {
    const result = parseProxyHeader(this.#input.view(), this.#origin.spec.proxyLimit)
    if (result.status === 'error') {
      this.#handshakeFailed(By.CLIENT, result.code)
    } else if (result.status === 'partial') {
      if (this.side.eof) this.#handshakeFailed(By.CLIENT, Code.ABORTED)
    } else {
      const { header } = result
      recordProxied(this.#core.slots.table, this.side.slot, header)
      if (header.tlvs.length > 0) this.#tlvs = Uint8Array.from(header.tlvs)
      this.#input.consume(header.length)
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
    const { phase } = this
    this.#core.counters.lateVerdicts++
    // The default is taken first: what policy answers from here on is late.
    clearTimeout(this.#delay)
    if (opened) {
      this.#mode = Mode.HANDSHAKE
      if (bit === Handshake.TLS) this.#skipTls()
      this.#pending.open()
      this.#recordPending()
    } else {
      const reason = packReason(By.TIMEOUT, phase, Code.VERDICT_TIMEOUT)
      this.#beginClose(reason, 0, Abort.CLOSE).flush(undefined, this.#patience)
    }
    const event = this.#event()
    event.bit = bit
    event.opened = opened
    this.#core.dispatch.tell('verdictTimeout', event)
    if (opened) this.advance()
  }

  #connect(number: number, flags: number, tlvs: Uint8Array | undefined): void {
    this.#handshakesDone()
    this.#mode = Mode.CONNECTING
    this.#connectFlags = flags
    const route = this.#core.routes.get(number)
    const { slot } = this.side
    if (!route) {
      const reason = packReason(By.PROXY, Phase.CONNECT, Code.BAD_ADDRESS)
      queueMicrotask(() => {
        if (this.#mode === Mode.CONNECTING && !this.#outbound) this.#connectFailed(reason, 0, 0)
      })
      return
    }
    this.#outbound = new Outbound(this.#core, this, slot, route, tlvs && Uint8Array.from(tlvs))
    this.#outbound.start()
    this.#recordPeer(this.#outbound.side?.slot ?? -1)
  }

  #connectFailed(reason: number, errno: number, elapsed: number): void {
    this.#mode = Mode.SESSION
    this.#recordPeer(-1)
    if (this.#pending.opened) {
      // No policy is there to try again.
      this.#beginClose(reason, errno, Abort.CLOSE).flush(undefined, this.#patience)
      return
    }
    const event = this.#event()
    event.reason = reason
    event.errno = errno
    event.elapsed = elapsed
    this.#core.dispatch.tell('connectFailed', event)
  }

  /** Bytes or a FIN came while policy has the connection. */
  #arrived(): void {
    if (this.#mode === Mode.INSPECT) {
      this.#arm(this.#origin.spec.clientTimeout, () => this.#silent())
      this.#show(0)
    } else if (this.#mode === Mode.HANDSHAKE && this.#pending.runner === Runner.ENGINE) {
      if (this.#pending.first === Handshake.ACCEPT_PROXY) this.#acceptProxy()
    } else if (this.#mode === Mode.HANDSHAKE && this.#pending.first === Handshake.TLS) {
      if (this.#pending.asking === 0 && !this.#hello) this.advance()
    }
  }

  #show(extra: number): void {
    const bytes = this.#input.view()
    const full = bytes.length >= this.#limit
    const flags = extra | (this.side.eof ? BytesFlag.EOF : 0) | (full ? BytesFlag.FULL : 0)
    // Nothing more will come of itself: an answer is due.
    if (flags !== 0) this.#arm(this.#origin.spec.verdictTimeout, () => this.#verdictLate())
    const event = this.#event()
    event.bytes = full ? bytes.subarray(0, this.#limit) : bytes
    event.flags = flags
    this.#core.dispatch.tell('bytes', event)
  }

  /** The record of an event about this connection, to be filled and told at once. */
  #event(): EngineEvent {
    return this.#core.dispatch.about(this.side.slot, this.side.generation)
  }

  #silent(): void {
    this.#handshakeFailed(By.TIMEOUT, Code.CLIENT_TIMEOUT)
  }

  #handshakeFailed(by: number, code: number): void {
    const reason = packReason(by, this.phase, code)
    this.#beginClose(reason, 0, Abort.CLOSE).flush(undefined, this.#patience)
  }

  #isAnswerable(): boolean {
    return (
      (this.#mode === Mode.HANDSHAKE && this.#pending.asking !== 0) ||
      this.#mode === Mode.INSPECT ||
      this.#mode === Mode.SESSION
    )
  }

  #answered(consume: number): void {
    this.#pending.answered()
    this.#disarm()
    this.#limit = READ_AHEAD
    if (consume > 0) this.#input.consume(consume)
    this.#readAhead()
  }

  #readAhead(): void {
    if (this.#input.length < Math.max(READ_AHEAD, this.#limit)) this.side.resume()
  }

  #done(bit: number): void {
    this.#pending.done(bit)
    this.#recordPending()
  }

  #handshakesDone(): void {
    this.#pending.allDone()
    this.#recordPending()
  }

  /** The payload is what the client sends, without TLS. */
  #skipTls(): void {
    this.side.flags(ConnFlag.DATA_CONNECTED, ConnFlag.DATA_OPEN_PENDING)
  }

  /** From here on only what policy has sent goes out. Precondition: the close has begun. */
  #lastChunk(): void {
    const { side } = this
    const { table } = this.#core.slots
    side.flags(ConnFlag.LAST_CHUNK_STARTED | ConnFlag.LAST_CHUNK_PENDING, 0)
    table.set(side.slot, Field.HANDSHAKES, Handshake.SEND_LAST_CHUNK)
    side.raw.once('finish', () => {
      side.flags(0, ConnFlag.LAST_CHUNK_PENDING)
      table.set(side.slot, Field.HANDSHAKES, 0)
    })
  }

  #recordPeer(slot: number): void {
    this.#core.slots.table.set(this.side.slot, Field.PEER, slot)
  }

  #recordPending(): void {
    this.#core.slots.table.set(this.side.slot, Field.HANDSHAKES, this.#pending.bits)
  }

  /** Arms the one deadline of the handshakes. */
  #arm(ms: number, fn: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = timer(ms, fn)
  }

  #disarm(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#delay)
    this.#timer = undefined
  }

  /** Fixes the reason, ends the server's side, and hands the client's side to what closes it. */
  #beginClose(reason: number, errno: number, server: Abort): Closing {
    this.#mode = Mode.CLOSING
    this.#reason = reason
    this.#errno = errno
    this.#core.slots.table.set(this.side.slot, Field.REASON, reason)
    this.#disarm()
    this.#forward?.stop()
    this.#applet?.stop()
    this.#input.clear()
    this.#hello = undefined
    this.side.abandonTls()
    const done = () => this.#checkClosed()
    this.#outbound?.abort(server, done)
    return new Closing(this.#core, this.side, done)
  }

  /** Longest wait for the client to take the next of the last bytes, ms; 0 where nothing is configured. */
  get #patience(): number {
    const { clientFinTimeout, clientTimeout } = this.#origin.spec
    return clientFinTimeout || clientTimeout
  }

  /** Both descriptors are closed: tells policy, then gives everything back. */
  #checkClosed(): void {
    if (this.#mode !== Mode.CLOSING || !this.side.closed) return
    if (this.#outbound && !this.#outbound.closed) return
    this.#mode = Mode.CLOSED
    this.#recordPeer(-1)
    const { slot } = this.side
    const event = this.#event()
    event.reason = this.#reason
    event.errno = this.#errno
    event.clock = this.#core.now()
    event.connectTime = this.#connectTime
    this.#core.dispatch.tell('closed', event)
    this.#outbound?.release()
    this.#core.slots.release(slot)
    this.#origin.release(slot)
    this.#core.slotFreed()
  }
}
