/** The native engine: Rust workers behind shared-memory rings. */

import { getSystemErrorMap } from 'node:util'
import { type ListenAddress, withScope } from '../../address/listen.js'
import { ConfigError, SluiceError } from '../../base/errors.js'
import { ConnectionTable } from '../../wire/table.js'
import { Command, Control, Layout, Region, SendFlag } from '../../wire/wire.js'
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
import { checkReply } from '../reply.js'
import { CommandWriter } from './commands.js'
import { EventReader, type InternalEvents } from './events.js'
import {
  listenAddress,
  loadBinding,
  type NativeHandle,
  type NativeListenSpec,
  type NativeOptions,
  type NativeRouteSpec,
} from './load.js'

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
  /** Counts the answers of policy, by connection: BYTES events of an older one are dropped. */
  readonly #epochs: Uint8Array
  readonly #memories: readonly Int32Array[]
  readonly #readers: EventReader[]
  readonly #internals: InternalEvents[]
  readonly #writers: CommandWriter[]
  /** Workers whose part of a listener is not closed yet. */
  readonly #unlistening = new Map<
    number,
    { workers: Set<number>; closed: Promise<void>; done: () => void }
  >()
  /** Workers that live. */
  readonly #alive: Set<number>
  /** Keeps the process alive while there is a listener. */
  readonly #keepAlive = setInterval(() => {}, LONGEST_TIMER).unref()
  readonly #onExit = () => this.#handle.stop()
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
    this.#epochs = new Uint8Array(slots * workers)
    this.#readers = this.#memories.map(
      (memory, worker) => new EventReader(memory, worker * slots, this.#epochs),
    )
    this.#internals = this.#memories.map((_, worker) => this.#internalOf(worker))
    this.#alive = new Set(this.#memories.keys())
    this.#writers = this.#memories.map((memory) => new CommandWriter(memory))
    this.#handle = new binding.NativeEngine(
      this.#memories,
      this.table.words,
      Math.floor(slots / 2),
      () => this.#drain(),
      { queue: withoutLoop(), ...options },
    )
    // Threads outlive nothing: cleanup hooks do not run on process.exit().
    process.once('exit', this.#onExit)
  }

  start(events: EngineEvents): void {
    this.#events = events
    this.#drain()
  }

  async listen(spec: ListenSpec): Promise<ListenResult> {
    const { address, ...rest } = spec
    const outcome = this.#handle.listen({ ...flatAddress(address), ...rest })
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
    const { address, source, socks, tls, sendProxy, proxyCrc } = spec
    const native: NativeRouteSpec = {
      ...address,
      ...(source === 'client'
        ? { sourceIp: 'client' }
        : source && { sourceIp: source.ip, sourcePort: source.port ?? 0 }),
      sendProxy,
      proxyCrc,
      socksVersion: socks?.version ?? 0,
      ...(socks && {
        ...(socks.user !== undefined && { socksUser: socks.user }),
        ...(socks.password !== undefined && { socksPassword: socks.password }),
        socksHost: socks.host,
        socksPort: socks.port,
      }),
      ...(tls && { tlsContext: tls.context, tlsServerName: tls.serverName }),
      keepAlive: spec.keepAlive,
      userTimeout: spec.userTimeout,
      connectTimeout: spec.connectTimeout,
      serverTimeout: spec.serverTimeout,
      serverFinTimeout: spec.serverFinTimeout,
      tunnelTimeout: spec.tunnelTimeout,
    }
    return tls ? this.#tls(() => this.#handle.route(native)) : this.#handle.route(native)
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
    this.#command(Command.PROCEED, conn, generation, clear, set, consume, context, flags)
  }

  inspect(conn: number, generation: number, limit: number, delay: number, consume: number): void {
    this.#command(Command.INSPECT, conn, generation, limit, delay, consume)
  }

  connect(
    conn: number,
    generation: number,
    route: number,
    flags: number,
    consume: number,
    tlvs?: Uint8Array,
  ): void {
    if (tlvs === undefined || tlvs.length === 0) {
      this.#command(Command.CONNECT, conn, generation, route, flags, consume)
      return
    }
    this.#bytes(conn, [Command.CONNECT, 0, generation, route, flags, consume, 0, 0], 6, tlvs)
  }

  applet(conn: number, generation: number, credit: number, consume: number): void {
    this.#command(Command.APPLET, conn, generation, credit, 0, consume)
  }

  credit(conn: number, generation: number, bytes: number): void {
    this.#command(Command.CREDIT, conn, generation, bytes, 0, 0)
  }

  send(conn: number, generation: number, bytes: Uint8Array, fin: boolean): void {
    let at = 0
    do {
      const chunk = bytes.subarray(at, at + Layout.MAX_CHUNK)
      at += chunk.length
      const flags = fin && at >= bytes.length ? SendFlag.FIN : 0
      this.#bytes(conn, [Command.SEND, 0, generation, 0, 0, flags, 0, 0], 3, chunk)
    } while (at < bytes.length)
  }

  reply(conn: number, generation: number, bytes: Uint8Array, reason: number): void {
    checkReply(bytes)
    this.#bytes(conn, [Command.REPLY, 0, generation, 0, 0, reason, 0, 0], 3, bytes)
  }

  close(conn: number, generation: number, reason: number, mode: number, hold: number): void {
    this.#command(Command.CLOSE, conn, generation, reason, mode, hold)
  }

  eager(wanted: boolean): void {
    this.#eager += wanted ? 1 : -1
    for (const memory of this.#memories) Atomics.store(memory, Control.EAGER, this.#eager)
    // What was published before this has rung nobody.
    if (wanted && this.#readers.some(({ pending }) => pending)) setImmediate(() => this.#drain())
  }

  now(): number {
    return this.#stopped ? 0 : this.#handle.now()
  }

  stats(): EngineStats {
    if (this.#final) return this.#final
    const [connections, stale, late, pipes, buffers, wakes, events, ringFull] = this.#handle.stats()
    return {
      connections: connections ?? 0,
      staleHandles: stale ?? 0,
      lateVerdicts: late ?? 0,
      pipesBorrowed: pipes ?? 0,
      buffersBorrowed: buffers ?? 0,
      wakes: wakes ?? 0,
      events: events ?? 0,
      ringFull: ringFull ?? 0,
    }
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    process.removeListener('exit', this.#onExit)
    const stats = this.stats()
    for (const [worker, records] of this.#handle.stop().entries()) {
      this.#readers[worker]?.append(records)
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

  /** Operand `d` is the epoch of the answer, unless the command has another use for it. */
  #command(
    kind: number,
    conn: number,
    generation: number,
    a: number,
    b: number,
    c: number,
    d?: number,
    e = 0,
  ): void {
    const worker = this.workers === 1 ? 0 : Math.floor(conn / this.#slots)
    const epoch = this.#nextEpoch(conn)
    const slot = conn - worker * this.#slots
    this.#writers[worker]?.write(kind, slot, generation, a, b, c, d ?? epoch, e)
    this.#scheduleFlush()
  }

  #tls(make: () => number): number {
    try {
      return make()
    } catch (error) {
      throw new SluiceError('ERR_SLUICE_TLS', (error as Error).message, { cause: error })
    }
  }

  #bytes(conn: number, words: number[], bytesAt: number, bytes: Uint8Array): void {
    const worker = this.workers === 1 ? 0 : Math.floor(conn / this.#slots)
    words[1] = conn - worker * this.#slots
    this.#nextEpoch(conn)
    this.#writers[worker]?.writeBytes(words, bytesAt, bytes)
    this.#scheduleFlush()
  }

  #nextEpoch(conn: number): number {
    this.#epochs[conn] = (this.#epochs[conn] as number) + 1
    return this.#epochs[conn] as number
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
    for (let worker = 0; worker < this.#writers.length; worker++) {
      if ((this.#writers[worker] as CommandWriter).flush()) this.#handle.wake(worker)
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
    for (const [worker, reader] of this.#readers.entries()) {
      reader.arm()
      if (reader.drain(budget, events, this.#internals[worker] as InternalEvents)) more = true
      else if (reader.dead) this.#workerDied(worker)
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

function flatAddress(
  address: ListenAddress,
): Pick<NativeListenSpec, 'kind' | 'host' | 'port' | 'v6Only' | 'path' | 'mode' | 'fd'> {
  switch (address.kind) {
    case 'tcp':
      return {
        kind: 'tcp',
        host: address.host,
        port: address.port,
        v6Only: address.v6only ?? false,
      }
    case 'unix':
      return {
        kind: 'unix',
        path: address.path,
        ...(address.mode !== undefined && { mode: address.mode }),
      }
    case 'fd':
      return { kind: 'fd', fd: address.fd }
  }
}

function reported(
  asked: ListenAddress,
  { address, port }: { address: string; port: number },
): ListenResult['address'] {
  if (asked.kind === 'unix') return { family: 'unix', address: asked.path, port: 0 }
  const { family, address: ip, port: actual } = listenAddress(address, port)
  return { family, address: withScope(ip, asked), port: actual }
}

/** What the engine tells of a failed step, as Node's own errors are. */
function systemError(step: string, errno: number): NodeJS.ErrnoException {
  const [code, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error']
  return Object.assign(new Error(`${step}: ${text}`), { code, errno: -errno, syscall: step })
}
