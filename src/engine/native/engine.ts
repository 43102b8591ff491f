/** The native engine: Rust workers behind shared-memory rings. */

import { onExit } from '../../base/endings.js'
import { ConfigError, SluiceError } from '../../base/errors.js'
import { ConnectionTable } from '../../wire/table.js'
import { Control, Layout, Region } from '../../wire/wire.js'
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
import { listenError } from '../listen-error.js'
import { CommandEncoder } from '../record/commands.js'
import type { InternalEvents } from '../record/events.js'
import { checkReply } from '../reply.js'
import { CommandRing } from './command-ring.js'
import { EventRing } from './event-ring.js'
import { loadBinding, type NativeHandle, type NativeOptions } from './load.js'
import { nativeListen, nativeRoute, reported, systemError } from './specs.js'

/** Events handled before the event loop gets its turn. */
const DRAIN_BUDGET = 2048
const LONGEST_TIMER = 2 ** 31 - 1

/**
 * Makes a native engine. `slots`: connections at once, both sides of a session
 * counted. Throws ERR_SLUICE_ENGINE where the addon does not load.
 */
export function createNativeEngine(options: {
  workers: number
  slots: number
  maxpipes?: number
  busyPoll?: boolean
  /** Take the workers' turns in this thread while traffic is sparse. */
  lead?: boolean
}): NativeEngine {
  const { workers, slots, ...rest } = options
  return new NativeEngine(workers, slots, rest)
}

/**
 * True where the engine must not hang its doorbell on the event loop: Bun has libuv's names,
 * and ends the process when they are called. SLUICE_DOORBELL=queue is for tests.
 */
function withoutLoop(): boolean {
  return process.env.SLUICE_DOORBELL === 'queue' || 'bun' in process.versions
}

function shared(words: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(words * 4))
}

/** Address space for every record; pages are used where connections are. */
function tableMemory(workers: number, slots: number): Int32Array {
  const words = slots * workers * Layout.CONNECTION_WORDS
  try {
    return shared(words)
  } catch (cause) {
    const message =
      `${Math.floor(slots / 2)} connections in each of ${workers} workers take ` +
      `${Math.ceil(words / 2 ** 18)} MiB of address space for their table, which the system refuses ` +
      `(${(cause as Error).message}): lower it, or global.workers.`
    throw new ConfigError([{ path: 'global.maxconn', message }])
  }
}

export class NativeEngine implements Engine {
  readonly kind = 'native'
  readonly takesOddServerNames = false
  readonly workers: number
  readonly table: ConnectionTable
  /** Each worker may hold all connections: memory is used only where they are. */
  readonly #slots: number
  readonly #handle: NativeHandle
  readonly #memories: readonly Int32Array[]
  readonly #eventRings: EventRing[]
  readonly #internals: InternalEvents[]
  readonly #commandRings: CommandRing[]
  readonly #encoders: CommandEncoder[]
  /** Workers whose part of a listener is not closed yet. */
  readonly #unlistening = new Map<
    number,
    { workers: Set<number>; closed: Promise<void>; done: () => void }
  >()
  /** Workers that live. */
  readonly #alive: Set<number>
  /** Keeps the process alive while there is a listener. */
  readonly #keepAlive = setInterval(() => {}, LONGEST_TIMER).unref()
  readonly #forgetExit: () => void
  #listeners = 0
  #eager = 0
  #events: EngineEvents | undefined
  #draining = false
  #flushing = false
  #stopped = false
  #final: EngineStats | undefined

  constructor(workers: number, slots: number, options: Omit<NativeOptions, 'queue'> = {}) {
    const binding = loadBinding()
    this.workers = workers
    this.#slots = slots
    this.#memories = Array.from({ length: workers }, () => shared(Region.WORKER_WORDS))
    this.table = new ConnectionTable(tableMemory(workers, slots))
    const epochs = new Uint8Array(slots * workers)
    this.#eventRings = this.#memories.map(
      (memory, worker) => new EventRing(memory, worker * slots, epochs),
    )
    this.#internals = this.#memories.map((_, worker) => this.#internalOf(worker))
    this.#alive = new Set(this.#memories.keys())
    this.#commandRings = this.#memories.map((memory) => new CommandRing(memory))
    this.#encoders = this.#commandRings.map(
      (ring, worker) => new CommandEncoder(ring, worker * slots, epochs),
    )
    this.#handle = new binding.NativeEngine(
      this.#memories,
      this.table.words,
      Math.floor(slots / 2),
      () => this.#drain(),
      { queue: withoutLoop(), ...options },
    )
    // Threads outlive nothing: cleanup hooks do not run on process.exit().
    this.#forgetExit = onExit(() => this.#handle.stop())
  }

  start(events: EngineEvents): void {
    this.#events = events
    this.#drain()
  }

  async listen(spec: ListenSpec): Promise<ListenResult> {
    const { address } = spec
    const outcome = this.#handle.listen(nativeListen(spec))
    if (outcome.errno !== 0) throw listenError(address, systemError(outcome.step, outcome.errno))
    this.#listeners++
    this.#keepAlive.ref()
    return { listener: outcome.listener, address: reported(address, outcome) }
  }

  unlisten(listener: number, now = false): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    const known = this.#handle.unlisten(listener) > 0
    if (now) this.#handle.abandon(listener)
    if (!known) return this.#unlistening.get(listener)?.closed ?? Promise.resolve()
    let done = () => {}
    const closed = new Promise<void>((resolve) => {
      done = resolve
    })
    this.#unlistening.set(listener, { workers: new Set(this.#alive), closed, done })
    this.#checkUnlistened(listener)
    return closed
  }

  pause(listener: number, paused: boolean): void {
    this.#handle.pause(listener, paused)
  }

  route(spec: RouteSpec): number {
    const native = nativeRoute(spec)
    return spec.tls ? this.#tls(() => this.#handle.route(native)) : this.#handle.route(native)
  }

  downstreamTls(spec: DownstreamTlsSpec): number {
    return this.#tls(() => this.#handle.downstreamTls(spec))
  }

  upstreamTls(spec: UpstreamTlsSpec): number {
    return this.#tls(() => this.#handle.upstreamTls(spec))
  }

  tlsForget(context: number): void {
    if (!this.#stopped) this.#handle.tlsForget(context)
  }

  unroute(route: number): void {
    if (!this.#stopped) this.#handle.unroute(route)
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
    this.#to(conn)?.proceed(conn, generation, clear, set, consume, context, flags)
  }

  inspect(conn: number, generation: number, limit: number, delay: number, consume: number): void {
    this.#to(conn)?.inspect(conn, generation, limit, delay, consume)
  }

  replace(conn: number, generation: number, bytes: Uint8Array, consume: number): void {
    this.#to(conn)?.replace(conn, generation, bytes, consume)
  }

  connect(
    conn: number,
    generation: number,
    route: number,
    flags: number,
    consume: number,
    tlvs?: Uint8Array,
  ): void {
    this.#to(conn)?.connect(conn, generation, route, flags, consume, tlvs)
  }

  applet(conn: number, generation: number, credit: number, consume: number): void {
    this.#to(conn)?.applet(conn, generation, credit, consume)
  }

  credit(conn: number, generation: number, bytes: number): void {
    this.#to(conn)?.credit(conn, generation, bytes)
  }

  send(conn: number, generation: number, bytes: Uint8Array, fin: boolean): void {
    this.#to(conn)?.send(conn, generation, bytes, fin)
  }

  reply(conn: number, generation: number, bytes: Uint8Array, reason: number): void {
    checkReply(bytes)
    this.#to(conn)?.reply(conn, generation, bytes, reason)
  }

  close(conn: number, generation: number, reason: number, mode: number, hold: number): void {
    this.#to(conn)?.close(conn, generation, reason, mode, hold)
  }

  setTimeout(conn: number, generation: number, which: number, ms: number): void {
    this.#to(conn)?.setTimeout(conn, generation, which, ms)
  }

  eager(wanted: boolean): void {
    this.#eager += wanted ? 1 : -1
    for (const memory of this.#memories) Atomics.store(memory, Control.EAGER, this.#eager)
    // What was published before this has rung nobody.
    if (wanted && this.#eventRings.some(({ pending }) => pending)) setImmediate(() => this.#drain())
  }

  now(): number {
    return this.#stopped ? 0 : this.#handle.now()
  }

  stats(): EngineStats {
    if (this.#final) return this.#final
    const [connections, stale, late, pipes, buffers, wakes, events, ringFull, led] =
      this.#handle.stats()
    return {
      connections: connections ?? 0,
      staleHandles: stale ?? 0,
      lateVerdicts: late ?? 0,
      pipesBorrowed: pipes ?? 0,
      buffersBorrowed: buffers ?? 0,
      wakes: wakes ?? 0,
      events: events ?? 0,
      ringFull: ringFull ?? 0,
      led: led ?? 0,
    }
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#forgetExit()
    const stats = this.stats()
    for (const [worker, records] of this.#handle.stop().entries()) {
      this.#eventRings[worker]?.append(records)
    }
    this.#final = { ...stats, connections: 0, pipesBorrowed: 0, buffersBorrowed: 0 }
    // The workers' last events are in the rings, and behind them what had no room there.
    this.#drain(Number.MAX_SAFE_INTEGER)
    for (const { done } of this.#unlistening.values()) done()
    this.#unlistening.clear()
    clearInterval(this.#keepAlive)
  }

  /** Makes a worker panic, for tests. */
  testPanic(worker: number): void {
    this.#handle.testPanic(worker)
  }

  /** Where commands about a connection go; what is written in this turn is flushed at its end. */
  #to(conn: number): CommandEncoder | undefined {
    this.#scheduleFlush()
    return this.#encoders[this.workers === 1 ? 0 : Math.floor(conn / this.#slots)]
  }

  #tls(make: () => number): number {
    try {
      return make()
    } catch (error) {
      throw new SluiceError('ERR_SLUICE_TLS', (error as Error).message, { cause: error })
    }
  }

  #scheduleFlush(): void {
    if (this.#draining || this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  /** One wake for all commands of a turn. */
  #flush(): void {
    if (this.#stopped) return
    for (let worker = 0; worker < this.#commandRings.length; worker++) {
      if ((this.#commandRings[worker] as CommandRing).flush()) this.#handle.wake(worker)
    }
  }

  #drain(budget = DRAIN_BUDGET): void {
    const events = this.#events
    if (!events || this.#draining) return
    this.#draining = true
    let more = true
    try {
      more = this.#read(budget, events)
    } finally {
      // Also where `fault` throws: what waits behind that event is told next.
      this.#draining = false
      this.#flush()
      if (more) setImmediate(() => this.#drain())
    }
  }

  #read(budget: number, events: EngineEvents): boolean {
    let more = false
    for (const [worker, ring] of this.#eventRings.entries()) {
      ring.arm()
      if (ring.drain(budget, events, this.#internals[worker] as InternalEvents)) more = true
      else if (ring.dead) this.#workerDied(worker)
    }
    return more
  }

  #checkUnlistened(listener: number): void {
    const waiting = this.#unlistening.get(listener)
    if (!waiting || waiting.workers.size > 0) return
    this.#unlistening.delete(listener)
    if (--this.#listeners === 0) this.#keepAlive.unref()
    waiting.done()
  }

  #workerDied(worker: number): void {
    if (!this.#alive.delete(worker)) return
    for (const [listener, { workers }] of this.#unlistening) {
      // A dead worker has closed everything and answers nothing.
      workers.delete(worker)
      this.#checkUnlistened(listener)
    }
    this.#events?.fatal(
      new SluiceError(
        'ERR_SLUICE_ENGINE',
        `worker ${worker} of the native engine died; this is a defect of Sluice, please report it`,
      ),
    )
  }

  #internalOf(worker: number): InternalEvents {
    return {
      listenerClosed: (listener) => {
        this.#unlistening.get(listener)?.workers.delete(worker)
        this.#checkUnlistened(listener)
      },
    }
  }
}
