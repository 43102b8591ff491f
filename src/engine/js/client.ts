/**
 * A client from accept to its end: handshakes and inspection (`Incoming`), the way out
 * (`Outgoing`), payload (`Forward` or `AppletStream`), the close (`Closing`).
 *
 * Commands of policy are checked against the mode here; one that comes in the
 * wrong mode (a second answer, an answer after the default was taken) is a
 * counted no-op like one with a stale handle.
 */

import type { Socket } from 'node:net'
import { packReason } from '../../wire/reason.js'
import {
  By,
  CloseMode,
  Code,
  ConnectFlag,
  ConnFlag,
  Field,
  Handshake,
  Phase,
  Timeout,
} from '../../wire/wire.js'
import type { EngineEvent } from '../event.js'
import { OwnTimeouts } from '../model/own-timeouts.js'
import { recordSource } from './addresses.js'
import { type AppletOwner, AppletStream } from './applet.js'
import { Closing } from './close.js'
import { Forward, type ForwardOwner } from './forward.js'
import { ABORTED, Incoming, type IncomingOwner } from './incoming/incoming.js'
import { Abort, Outgoing, type OutgoingOwner } from './outgoing.js'
import { type Failure, isClientSilence, streamFailure } from './reason.js'
import type { Origin, Shared } from './shared.js'
import type { Side } from './side.js'

const Mode = {
  /** Handshakes, inspection, or policy has the connection. */
  INCOMING: 0,
  CONNECTING: 1,
  FORWARD: 2,
  APPLET: 3,
  CLOSING: 4,
  CLOSED: 5,
} as const

export class Client implements IncomingOwner, OutgoingOwner, ForwardOwner, AppletOwner {
  readonly side: Side
  readonly #shared: Shared
  readonly #origin: Origin
  readonly #incoming: Incoming
  #mode: number = Mode.INCOMING
  #outgoing: Outgoing | undefined
  /** ConnectFlag bits of the last connect. */
  #connectFlags = 0
  /** Policy gave it time-outs of its own. */
  #own: OwnTimeouts | undefined
  #forward: Forward | undefined
  #applet: AppletStream | undefined
  #reason = 0
  #errno = 0
  #connectTime = -1

  /** Precondition: `slot` was allocated and its record holds the addresses. */
  constructor(shared: Shared, origin: Origin, slot: number, socket: Socket) {
    this.#shared = shared
    this.#origin = origin
    this.#incoming = new Incoming(shared, origin, this, slot, socket)
    this.side = this.#incoming.side
  }

  /** Bytes are held in memory for this connection. */
  get buffering(): boolean {
    const waiting = this.side.socket.writableLength
    return (
      this.#incoming.input.length > 0 ||
      waiting > 0 ||
      !!this.#outgoing?.side?.socket.writableLength
    )
  }

  /** Begins with the first handshake. */
  start(): void {
    this.#incoming.advance()
  }

  /** As the other commands: false where it is none that the connection waits for. */
  proceed(clear: number, set: number, consume: number, context: number, flags: number): boolean {
    return this.#isIncoming && this.#incoming.proceed(clear, set, consume, context, flags)
  }

  inspect(limit: number, delay: number, consume: number): boolean {
    return this.#isIncoming && this.#incoming.inspect(limit, delay, consume)
  }

  replace(bytes: Uint8Array, consume: number): boolean {
    return this.#isIncoming && this.#incoming.replace(bytes, consume)
  }

  connect(route: number, flags: number, consume: number, tlvs: Uint8Array | undefined): boolean {
    if (!this.#finishIncoming(consume)) return false
    this.#connect(route, flags, tlvs)
    return true
  }

  applet(credit: number, consume: number): boolean {
    if (!this.#finishIncoming(consume)) return false
    this.#mode = Mode.APPLET
    this.side.established(this.#shared.now())
    const { spec } = this.#origin
    this.#applet = new AppletStream(
      this.#shared,
      this,
      this.side,
      this.#incoming.input,
      spec,
      this.#own,
      credit,
    )
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
    if (fin || !this.#isIncoming || !this.#incoming.answerable) return false
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
    if (this.#mode === Mode.CLOSED) return false
    if (this.#mode === Mode.CLOSING) {
      // What it was still to be given, time or a last chunk, is over.
      this.#reason = reason
      this.#shared.slots.table.set(this.side.slot, Field.REASON, reason)
      this.side.destroy()
      return true
    }
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

  setTimeout(which: number, ms: number): boolean {
    if (this.#own === undefined) {
      const own = new OwnTimeouts()
      this.#own = own
      this.#incoming.own = own
      this.#forward?.use(own)
      this.#applet?.use(own)
    }
    this.#own.set(which, ms)
    // What a command causes comes after it.
    queueMicrotask(() => {
      this.#forward?.retime()
      this.#applet?.retime()
    })
    return true
  }

  /** Ends at once; what is already closing keeps its reason. */
  kill(reason: number): void {
    if (this.#mode < Mode.CLOSING) this.#beginClose(reason, 0, Abort.CLOSE)
    if (!this.side.closed) this.side.destroy()
    // It may be taking what it was sent before its end.
    if (!this.#outgoing?.closed) this.#outgoing?.side?.destroy()
  }

  /** What the connection is doing, for a close reason. */
  get phase(): number {
    if (this.#mode === Mode.CONNECTING) return this.#outgoing?.phase ?? Phase.CONNECT
    if (this.#forward) return this.#forward.phase
    if (this.#applet) return this.#applet.phase
    return this.#incoming.phase
  }

  gone(side: Side): void {
    const { by, code, errno } = side.error ? streamFailure(side.error, By.CLIENT) : ABORTED
    this.#beginClose(packReason(by, this.phase, code), errno, Abort.RESET)
    this.#checkClosed()
  }

  incomingFailed({ by, code, errno }: Failure, alert: boolean): void {
    if (this.#mode >= Mode.CLOSING) return
    const closing = this.#beginClose(packReason(by, this.phase, code), errno, Abort.CLOSE)
    if (alert) {
      this.side.fail(ConnFlag.DATA_FAILED)
      this.#lastChunk()
    }
    closing.flush(undefined, this.#patience)
  }

  incomingOpened(): void {
    this.#incoming.over()
    this.#connect(this.#origin.spec.fallbackRoute, 0, undefined)
  }

  outgoingEstablished(outgoing: Outgoing, early: Buffer | undefined): void {
    const server = outgoing.side as Side
    const { table } = this.#shared.slots
    const now = this.#shared.now()
    this.#mode = Mode.FORWARD
    this.#connectTime = outgoing.elapsed
    this.side.established(now)
    server.established(now)
    if (this.#connectFlags & ConnectFlag.WANT_SOURCE) recordSource(table, server.slot, server.raw)
    const { spec } = this.#origin
    const { route } = outgoing
    this.#forward = new Forward(this.#shared, this, this.side, server, spec, route, this.#own)
    const { input } = this.#incoming
    const request = input.view()
    input.clear()
    this.#forward.start(request, early)
    // What came of the client may have been its end.
    const wanted = (this.#connectFlags & ConnectFlag.WANT_CONNECTED) !== 0
    if (!wanted || this.#mode !== Mode.FORWARD) return
    const event = this.#event()
    event.peer = server.slot
    event.elapsed = outgoing.elapsed
    this.#shared.dispatch.tell('connected', event)
  }

  outgoingFailed(outgoing: Outgoing, reason: number, errno: number): void {
    if (this.#outgoing !== outgoing || this.#mode !== Mode.CONNECTING) return
    this.#outgoing = undefined
    this.#connectFailed(reason, errno, outgoing.elapsed)
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

  get #isIncoming(): boolean {
    return this.#mode === Mode.INCOMING
  }

  /** An answer that ends the handshakes; false where none is awaited. */
  #finishIncoming(consume: number): boolean {
    return this.#isIncoming && this.#incoming.finish(consume)
  }

  #connect(number: number, flags: number, tlvs: Uint8Array | undefined): void {
    this.#mode = Mode.CONNECTING
    this.#connectFlags = flags
    const route = this.#shared.routes.get(number)
    const { slot } = this.side
    if (!route) {
      const reason = packReason(By.PROXY, Phase.CONNECT, Code.BAD_ADDRESS)
      queueMicrotask(() => {
        if (this.#mode === Mode.CONNECTING && !this.#outgoing) this.#connectFailed(reason, 0, 0)
      })
      return
    }
    const copy = tlvs && Uint8Array.from(tlvs)
    const timeout = this.#pick(Timeout.CONNECT, route.connectTimeout)
    this.#outgoing = new Outgoing(this.#shared, this, slot, route, timeout, copy)
    this.#outgoing.start()
    this.#recordPeer(this.#outgoing.side?.slot ?? -1)
  }

  #connectFailed(reason: number, errno: number, elapsed: number): void {
    this.#mode = Mode.INCOMING
    this.#incoming.hold()
    this.#recordPeer(-1)
    if (this.#incoming.opened) {
      // No policy is there to try again.
      this.#beginClose(reason, errno, Abort.CLOSE).flush(undefined, this.#patience)
      return
    }
    const event = this.#event()
    event.reason = reason
    event.errno = errno
    event.elapsed = elapsed
    this.#shared.dispatch.tell('connectFailed', event)
  }

  /** The record of an event about this connection, to be filled and told at once. */
  #event(): EngineEvent {
    return this.#shared.dispatch.about(this.side.slot, this.side.generation)
  }

  /** From here on only what policy has sent goes out. Precondition: the close has begun. */
  #lastChunk(): void {
    const { side } = this
    const { table } = this.#shared.slots
    side.flags(ConnFlag.LAST_CHUNK_STARTED | ConnFlag.LAST_CHUNK_PENDING, 0)
    table.set(side.slot, Field.HANDSHAKES, Handshake.SEND_LAST_CHUNK)
    side.raw.once('finish', () => {
      side.flags(0, ConnFlag.LAST_CHUNK_PENDING)
      table.set(side.slot, Field.HANDSHAKES, 0)
    })
  }

  #recordPeer(slot: number): void {
    this.#shared.slots.table.set(this.side.slot, Field.PEER, slot)
  }

  /** Fixes the reason, ends the server's side, and hands the client's side to what closes it. */
  #beginClose(reason: number, errno: number, server: Abort): Closing {
    this.#mode = Mode.CLOSING
    this.#reason = reason
    this.#errno = errno
    this.#shared.slots.table.set(this.side.slot, Field.REASON, reason)
    this.#incoming.stop()
    this.#forward?.stop()
    this.#applet?.stop()
    this.side.abandonTls()
    const done = () => this.#checkClosed()
    this.#outgoing?.abort(server, done)
    return new Closing(this.#shared, this.side, done)
  }

  /** Longest wait for the client to take the next of the last bytes, ms; 0 where nothing is configured. */
  get #patience(): number {
    const { clientFinTimeout, clientTimeout } = this.#origin.spec
    return (
      this.#pick(Timeout.CLIENT_FIN, clientFinTimeout) || this.#pick(Timeout.CLIENT, clientTimeout)
    )
  }

  #pick(which: number, configured: number): number {
    return this.#own?.pick(which, configured) ?? configured
  }

  /** Both descriptors are closed: tells policy, then gives everything back. */
  #checkClosed(): void {
    if (this.#mode !== Mode.CLOSING || !this.side.closed) return
    if (this.#outgoing && !this.#outgoing.closed) return
    this.#mode = Mode.CLOSED
    this.#recordPeer(-1)
    const { slot } = this.side
    const { table } = this.#shared.slots
    const server = this.#outgoing?.side
    const event = this.#event()
    event.reason = this.#reason
    event.errno = this.#errno
    event.clock = this.#shared.now()
    event.connectTime = this.#connectTime
    event.localPort = server === undefined ? 0 : table.srcPort(server.slot)
    this.#shared.dispatch.tell('closed', event)
    this.#outgoing?.release()
    this.#shared.slots.release(slot)
    this.#origin.release(slot)
    this.#shared.slotFreed()
  }
}
