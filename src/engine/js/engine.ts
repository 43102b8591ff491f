/**
 * The engine on `node:net` and `node:tls`: the fallback where the addon cannot be loaded, and
 * the pure-JavaScript baseline of the benchmarks. What Node cannot do is in
 * docs/engines.md.
 */

import { SluiceError } from '../../base/errors.js'
import { packReason } from '../../wire/reason.js'
import type { ConnectionTable } from '../../wire/table.js'
import { By, Code } from '../../wire/wire.js'
import type {
  DownstreamTlsSpec,
  Engine,
  EngineEvents,
  EngineStats,
  ListenResult,
  ListenSpec,
  RouteSpec,
  UpstreamTlsSpec,
} from '../engine.js'
import { checkReply } from '../reply.js'
import { Acceptor } from './accept.js'
import type { Client } from './client.js'
import { Dispatch } from './dispatch.js'
import type { Shared } from './shared.js'
import { Slots } from './slots.js'
import { timer } from './timer.js'
import { TlsContexts } from './tls/contexts.js'

export interface JsEngineOptions {
  /** Connections at once; both sides of a session count. */
  slots: number
}

/** Makes an engine on `node:net`. It has one worker: the thread that calls. */
export function createJsEngine(options: JsEngineOptions): Engine {
  return new JsEngine(options)
}

class JsEngine implements Engine, Shared {
  readonly kind = 'js'
  readonly takesOddServerNames = true
  readonly workers = 1
  readonly slots: Slots
  readonly dispatch = new Dispatch()
  /** Incoming connections by slot. */
  readonly #clients = new Map<number, Client>()
  readonly routes = new Map<number, RouteSpec>()
  readonly tls = new TlsContexts()
  readonly counters = { staleHandles: 0, lateVerdicts: 0 }
  readonly #startedAt = performance.now()
  readonly #listeners = new Map<number, Acceptor>()
  #nextListener = 0
  #nextRoute = 0
  #stopped = false
  /** stop() waits for the last connection. */
  #emptied: (() => void) | undefined

  constructor({ slots }: JsEngineOptions) {
    if (!Number.isInteger(slots) || slots < 1) {
      throw new SluiceError(
        'ERR_SLUICE_ARGUMENT',
        `slots must be a positive integer, not ${slots}.`,
      )
    }
    this.slots = new Slots(slots)
  }

  get table(): ConnectionTable {
    return this.slots.table
  }

  start(events: EngineEvents): void {
    if (this.dispatch.started) throw stateError('The engine was started before.')
    this.dispatch.start(events)
  }

  async listen(spec: ListenSpec): Promise<ListenResult> {
    if (!this.dispatch.started || this.#stopped) throw stateError('The engine does not run.')
    const listener = new Acceptor(this, this.#clients, this.#nextListener++, spec)
    const result = await listener.listen()
    this.#listeners.set(listener.id, listener)
    return result
  }

  async unlisten(listener: number, now = false): Promise<void> {
    await this.#listeners.get(listener)?.close(now)
    this.#listeners.delete(listener)
  }

  pause(listener: number, paused: boolean): void {
    this.#listeners.get(listener)?.pause(paused)
  }

  route(spec: RouteSpec): number {
    if (spec.source === 'client') {
      const message = 'The js engine cannot connect from the client address; use the native engine.'
      throw new SluiceError('ERR_SLUICE_ENGINE', message)
    }
    if (spec.userTimeout) {
      const message = "The js engine cannot set 'userTimeout'; use the native engine."
      throw new SluiceError('ERR_SLUICE_ENGINE', message)
    }
    const number = this.#nextRoute++
    this.routes.set(number, spec)
    return number
  }

  downstreamTls(spec: DownstreamTlsSpec): number {
    return this.tls.server(spec)
  }

  upstreamTls(spec: UpstreamTlsSpec): number {
    return this.tls.client(spec)
  }

  tlsForget(context: number): void {
    this.tls.forget(context)
  }

  unroute(route: number): void {
    this.routes.delete(route)
  }

  proceed(
    conn: number,
    generation: number,
    clear: number,
    set: number,
    consume: number,
    context = -1,
    flags = 0,
  ): void {
    this.#count(this.#find(conn, generation)?.proceed(clear, set, consume, context, flags))
  }

  inspect(conn: number, generation: number, limit: number, delay: number, consume: number): void {
    this.#count(this.#find(conn, generation)?.inspect(limit, delay, consume))
  }

  replace(conn: number, generation: number, bytes: Uint8Array, consume: number): void {
    this.#count(this.#find(conn, generation)?.replace(bytes, consume))
  }

  connect(
    conn: number,
    generation: number,
    route: number,
    flags: number,
    consume: number,
    tlvs?: Uint8Array,
  ): void {
    this.#count(this.#find(conn, generation)?.connect(route, flags, consume, tlvs))
  }

  applet(conn: number, generation: number, credit: number, consume: number): void {
    this.#count(this.#find(conn, generation)?.applet(credit, consume))
  }

  credit(conn: number, generation: number, bytes: number): void {
    this.#count(this.#find(conn, generation)?.credit(bytes))
  }

  send(conn: number, generation: number, bytes: Uint8Array, fin: boolean): void {
    this.#count(this.#find(conn, generation)?.send(bytes, fin))
  }

  reply(conn: number, generation: number, bytes: Uint8Array, reason: number): void {
    checkReply(bytes)
    this.#count(this.#find(conn, generation)?.reply(bytes, reason))
  }

  close(conn: number, generation: number, reason: number, mode: number, hold: number): void {
    this.#count(this.#find(conn, generation)?.close(reason, mode, hold))
  }

  setTimeout(conn: number, generation: number, which: number, ms: number): void {
    this.#count(this.#find(conn, generation)?.setTimeout(which, ms))
  }

  eager(): void {
    // Ends are told when they happen.
  }

  now(): number {
    return Math.floor(performance.now() - this.#startedAt)
  }

  after(ms: number, fn: () => void): () => void {
    // Timers run before the sockets are looked at: what came meanwhile is read first.
    const waiting = timer(ms, () => setImmediate(fn))
    return () => clearTimeout(waiting)
  }

  stats(): EngineStats {
    return {
      connections: this.slots.used,
      staleHandles: this.counters.staleHandles,
      lateVerdicts: this.counters.lateVerdicts,
      pipesBorrowed: 0,
      buffersBorrowed: [...this.#clients.values()].filter(({ buffering }) => buffering).length,
      // Every event is its own call here: there is no batch to wake for.
      wakes: this.dispatch.events,
      events: this.dispatch.events,
      ringFull: 0,
      led: 0,
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all([...this.#listeners.keys()].map((listener) => this.unlisten(listener, true)))
    for (const client of this.#clients.values()) {
      client.kill(packReason(By.PROXY, client.phase, Code.SHUTDOWN))
    }
    // Node tells the end of a socket within a turn or two of its loop.
    if (this.slots.used > 0) {
      await new Promise<void>((resolve) => {
        this.#emptied = resolve
      })
    }
    this.tls.stop()
  }

  slotFreed(): void {
    if (this.slots.used === 0) this.#emptied?.()
    for (const listener of this.#listeners.values()) listener.serveHeld()
  }

  #find(conn: number, generation: number): Client | undefined {
    const client = this.#clients.get(conn)
    return client?.side.generation === generation ? client : undefined
  }

  /** Counts a command that found no connection, or one that does not wait for it. */
  #count(taken: boolean | undefined): void {
    if (taken !== true) this.counters.staleHandles++
  }
}

function stateError(message: string): SluiceError {
  return new SluiceError('ERR_SLUICE_STATE', message)
}
