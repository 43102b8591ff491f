/**
 * The proxy: configuration, engine, backends, frontends and core put together,
 * with a beginning and an end.
 */

import { EventEmitter } from 'node:events'
import type { Logger } from 'pino'
import { Backend, type Server } from '../backend/backend.js'
import { type Resolver, systemResolver } from '../backend/resolve.js'
import { type Clock, systemClock } from '../base/clock.js'
import { ConfigError, SluiceError } from '../base/errors.js'
import { parseDuration } from '../base/units.js'
import { findLoops } from '../config/loops.js'
import { resolveConfig } from '../config/resolve.js'
import type { ResolvedConfig, ResolvedServer, ResolvedUpstreamTls } from '../config/resolved.js'
import type { Config, Duration } from '../config/types.js'
import type { Engine, EngineKind, EngineStats, ListenResult } from '../engine/engine.js'
import { atBind } from '../engine/listen-error.js'
import { selectEngine } from '../engine/select.js'
import { Core } from '../flow/core.js'
import type { SessionRecord, Sides } from '../flow/flow.js'
import { type SiStateName, SiStateNames } from '../flow/flow.js'
import { Frontend, Listener } from '../flow/frontend.js'
import { Observer } from '../flow/observer.js'
import { createLog, type ProxyLog } from '../log/logger.js'
import { StickTable } from '../tables/stick-table.js'
import type { CertificateStatus, ContextSupplier, ReloadReport } from '../tls/contexts.js'
import { TlsStore } from '../tls/store.js'
import { Code } from '../wire/wire.js'

export interface ProxyOptions {
  /** An engine, or which one; default: the configuration's `global.engine`. */
  engine?: Engine | 'native' | 'js' | 'auto'
  clock?: Clock
  /** Default: pino as `config.log` says, written asynchronously. */
  logger?: Logger
  /** Stops the proxy when aborted. */
  signal?: AbortSignal
  /** Look-ups of server host names. Default: the system's. */
  resolver?: Resolver
  /** TLS contexts from elsewhere: no certificate of the configuration is read. For tests. */
  certificates?: ContextSupplier
  /** Told of policy at work. For tests. */
  observer?: Observer
}

export interface StopOptions {
  /** How long sessions may take to end, in ms or as '30s'. Default: `global.drainTimeout`. */
  deadline?: number | Duration
  /**
   * How long connections are accepted before that, while health and monitor say no already, in
   * ms or as '5s'. Default: `global.grace`.
   */
  grace?: number | Duration
}

export interface StopResult {
  /** Every session ended by itself. */
  drained: boolean
  /** Sessions that were closed at the deadline, as 'proxy/.../shutdown'. */
  closed: number
}

export type ListenAddresses = Record<string, ListenResult['address'][]>

export interface ServerStateChange {
  backend: string
  server: string
  from: string
  to: string
}

export interface SessionTransition {
  id: string
  side: 'client' | 'server'
  from: SiStateName
  to: SiStateName
}

export interface ProxyEvents {
  /** Every listener is there. */
  listening: [addresses: ListenAddresses]
  /** A connection ended. */
  session: [record: SessionRecord]
  serverState: [change: ServerStateChange]
  /** A side of a session changed its state. Costs something on every session. */
  transition: [transition: SessionTransition]
  /** Certificates were read again, and something changed. */
  certificates: [report: ReloadReport]
  /** The engine cannot go on; the proxy has stopped. */
  error: [error: Error]
  stopped: [result: StopResult]
}

export interface FrontendStats {
  /** Connections that policy heard of and that are open now. */
  current: number
  connections: number
  sessions: number
  policyErrors: number
  lateVerdicts: number
  /** TLS handshakes with clients that were completed, and those of them that resumed a session. */
  tlsHandshakes: number
  tlsResumed: number
  /** Bytes from and to the clients of ended sessions. */
  bytesIn: number
  bytesOut: number
  /** Ended connections by 'by/phase/code'. */
  ends: Record<string, number>
}

export interface BackendStats {
  queued: number
  servers: Record<string, { sessions: number; status: string; weight: number }>
}

export interface ProxyStats {
  engine: EngineStats | undefined
  connections: number
  /** TLS handshakes with clients that are under way, and those that wait for their turn. */
  tlsHandshakes: { running: number; waiting: number }
  frontends: Record<string, FrontendStats>
  backends: Record<string, BackendStats>
  tables: Record<string, { entries: number; size: number }>
  /** Log lines that were given up: not read in time, or not to be written. */
  logDropped: number
}

type State = 'new' | 'starting' | 'running' | 'stopping' | 'stopped'

/** Time that closed sessions have to be reported before the engine stops, ms. */
const CLOSE_GRACE = 1_000
const POLL_INTERVAL = 10

/** Makes a proxy. Throws ConfigError with every mistake of the configuration at once. */
export function createProxy(config: Config, options: ProxyOptions = {}): SluiceProxy {
  const resolved = resolveConfig(config)
  const loops = findLoops(resolved).certain
  if (loops.length > 0) throw new ConfigError(loops)
  return new SluiceProxy(resolved, options)
}

/** A proxy: `start` it once, `stop` it once. */
export class SluiceProxy extends EventEmitter<ProxyEvents> {
  readonly config: ResolvedConfig
  readonly tables: ReadonlyMap<string, StickTable>
  readonly logger: Logger
  readonly #options: ProxyOptions
  readonly #observer: Observer
  readonly #clock: Clock
  readonly #log: ProxyLog | undefined
  readonly #backends = new Map<string, Backend>()
  readonly #frontends = new Map<string, Frontend>()
  readonly #onAbort = () => {
    void this.stop().catch((error: unknown) => this.logger.error({ err: error }, 'stop failed'))
  }
  #engine: Engine | undefined
  #core: Core | undefined
  #tls: TlsStore | undefined
  #state: State = 'new'
  #starting: Promise<this> | undefined
  #stopped: Promise<StopResult> | undefined
  #released: Promise<void> | undefined

  /** Use `createProxy`. */
  constructor(config: ResolvedConfig, options: ProxyOptions) {
    super()
    this.config = config
    this.#options = options
    this.#observer = options.observer ?? new Observer()
    this.#clock = options.clock ?? systemClock
    this.#log = options.logger ? undefined : createLog(config.log)
    this.logger = options.logger ?? (this.#log as ProxyLog).logger
    this.tables = new Map(
      config.tables.map((table) => [table.name, new StickTable(table, this.#clock)]),
    )
  }

  /** Kind of the engine that runs; undefined before the start. */
  get engineKind(): EngineKind | undefined {
    return this.#engine?.kind
  }

  get running(): boolean {
    return this.#state === 'running'
  }

  /** Backends by name; empty before the start. */
  get backends(): ReadonlyMap<string, Backend> {
    return this.#backends
  }

  /** Actual addresses by frontend, in the order of its binds. */
  get addresses(): ListenAddresses {
    const addresses: ListenAddresses = {}
    for (const { name, listeners } of this.#frontends.values()) {
      addresses[name] = listeners.flatMap(({ address }) => (address ? [address] : []))
    }
    return addresses
  }

  /** Listens. When it rejects nothing listens and nothing is left behind. */
  start(): Promise<this> {
    if (this.#state !== 'new') {
      const message = `A proxy starts once; this one is ${this.#state}.`
      return Promise.reject(new SluiceError('ERR_SLUICE_STATE', message))
    }
    this.#state = 'starting'
    this.#starting = this.#start()
    return this.#starting
  }

  /**
   * Stops accepting (after the grace), lets sessions end until the deadline, then
   * closes the rest. Called again, it answers with the first call's result.
   */
  stop(options: StopOptions = {}): Promise<StopResult> {
    if (this.#stopped !== undefined) return this.#stopped
    const { deadline = this.config.drainTimeout, grace = this.config.grace } = options
    try {
      this.#stopped = this.#stop(milliseconds(grace, 'grace'), milliseconds(deadline, 'deadline'))
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#stopped
  }

  /**
   * Reads every certificate, key and list of authorities again and uses what has changed;
   * connections go on. What cannot be used is in the report, and the old content stays. It
   * happens by itself too, as `global.tlsReload` says.
   */
  reloadCertificates(): Promise<ReloadReport> {
    if (this.#state === 'running' && this.#tls) return this.#tls.reload()
    const message = `Certificates reload while a proxy runs; this one is ${this.#state}.`
    return Promise.reject(new SluiceError('ERR_SLUICE_STATE', message))
  }

  /**
   * Opens the name of `log.file` anew, where the file was moved away, and goes on there with
   * whole lines. Rejects where that fails, and goes on in the old file. Nothing happens where
   * the log is on stdout, or a logger was given.
   */
  async reopenLog(): Promise<void> {
    await this.#log?.reopen()
  }

  /** Certificates that are in use; none before the start. */
  certificates(): CertificateStatus[] {
    return this.#tls?.certificates() ?? []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  stats(): ProxyStats {
    const frontends: Record<string, FrontendStats> = {}
    for (const frontend of this.#frontends.values()) {
      const { current, connections, sessions, policyErrors, lateVerdicts } = frontend
      const { bytesIn, bytesOut, tlsHandshakes, tlsResumed } = frontend
      frontends[frontend.name] = {
        current,
        connections,
        sessions,
        policyErrors,
        lateVerdicts,
        tlsHandshakes,
        tlsResumed,
        bytesIn,
        bytesOut,
        ends: frontend.ends(),
      }
    }
    const backends: Record<string, BackendStats> = {}
    for (const backend of this.#backends.values()) {
      const servers: BackendStats['servers'] = {}
      for (const { name, sessions, status, weight } of backend.servers) {
        servers[name] = { sessions, status, weight }
      }
      backends[backend.name] = { queued: backend.queued, servers }
    }
    const tables: ProxyStats['tables'] = {}
    for (const [name, table] of this.tables) {
      tables[name] = { entries: table.entries, size: table.config.size }
    }
    return {
      engine: this.#engine?.stats(),
      connections: this.#core?.current ?? 0,
      tlsHandshakes: this.#core?.tlsHandshakes ?? { running: 0, waiting: 0 },
      frontends,
      backends,
      tables,
      logDropped: this.#log?.dropped() ?? 0,
    }
  }

  async #start(): Promise<this> {
    const { signal } = this.#options
    try {
      signal?.throwIfAborted()
      signal?.addEventListener('abort', this.#onAbort, { once: true })
      this.#log?.open()
      for (const { path, message } of this.config.warnings)
        this.logger.warn({ path }, `${path}: ${message}`)
      const engine = await this.#makeEngine()
      this.#engine = engine
      const tls = await this.#loadCertificates(engine)
      this.#makeBackends(engine, tls)
      const core = this.#makeCore(engine)
      this.#core = core
      this.#watchTransitions()
      engine.start(core)
      await Promise.all([...this.#backends.values()].map((backend) => backend.start()))
      for (const config of this.config.frontends) await this.#listen(engine, core, tls, config)
      if (this.#stopped !== undefined) {
        throw new SluiceError('ERR_SLUICE_STATE', 'The proxy was stopped while it started.')
      }
    } catch (error) {
      await this.#release()
      throw error
    }
    this.#state = 'running'
    this.#tls?.watch()
    ;(this as EventEmitter).on('newListener', this.#onListener)
    this.#watchTransitions()
    this.#tell('listening', () => this.emit('listening', this.addresses))
    return this
  }

  #makeEngine(): Promise<Engine> {
    const { config } = this
    const chosen = this.#options.engine ?? config.engine
    if (typeof chosen !== 'string') return Promise.resolve(chosen)
    const { workers, maxconn, maxpipes, busyPoll, lead } = config
    const options = { workers, slots: 2 * maxconn, maxpipes, busyPoll, lead }
    return selectEngine(chosen, options, this.logger)
  }

  /** Every certificate is right, or nothing starts. */
  async #loadCertificates(engine: Engine): Promise<ContextSupplier> {
    if (this.#options.certificates) return this.#options.certificates
    const { frontends, backends, tlsReload } = this.config
    const store =
      this.#options.certificates ??
      new TlsStore({
        engine,
        clock: this.#clock,
        logger: this.logger,
        interval: tlsReload,
        onServers: () => {
          for (const backend of this.#backends.values()) backend.renewTls()
        },
        onReload: (report) => this.#tell('certificates', () => this.emit('certificates', report)),
      })
    this.#tls = store
    await store.load(
      frontends.flatMap(({ binds }) => binds.flatMap(({ tls }) => (tls ? [tls] : []))),
      backends.flatMap(({ servers }) => servers.flatMap(({ tls }) => tls ?? [])),
    )
    return store
  }

  #makeBackends(engine: Engine, tls: ContextSupplier): void {
    for (const config of this.config.backends) {
      const backend = new Backend(config, {
        tlsContextOf: (server) => tls.forServer(server),
        clock: this.#clock,
        engine,
        resolver: this.#options.resolver ?? systemResolver,
        log: this.logger,
        table: config.stick ? this.tables.get(config.stick.table) : undefined,
        resolveInterval: this.config.resolveInterval,
        onServerState: (server: Server, from: string, to: string) =>
          this.emit('serverState', { backend: config.name, server: server.name, from, to }),
      })
      this.#backends.set(config.name, backend)
    }
  }

  #makeCore(engine: Engine): Core {
    return new Core({
      engine,
      clock: this.#clock,
      logger: this.logger,
      tables: this.tables,
      backends: this.#backends,
      maxconn: this.config.maxconn,
      tlsHandshakes: this.config.tlsHandshakes,
      idPrefix: Math.floor(Date.now() / 1000).toString(16),
      observer: this.#observer,
      events: {
        wantsSessions: () => this.listenerCount('session') > 0,
        sessionEnded: (record) => this.emit('session', record),
        fatal: (error) => this.#fatal(error),
      },
    })
  }

  async #listen(
    engine: Engine,
    core: Core,
    tls: ContextSupplier,
    config: ResolvedConfig['frontends'][number],
  ): Promise<void> {
    const backend = config.backend === undefined ? undefined : this.#backends.get(config.backend)
    const frontend = new Frontend(config, backend, this.config.verdictTimeout)
    this.#frontends.set(config.name, frontend)
    for (const bind of config.binds) frontend.listeners.push(new Listener(frontend, bind))
    core.addFrontend(frontend)
    const fallback = frontend.opens ? fallbackRoute(backend) : -1
    for (const listener of frontend.listeners) {
      if (listener.bind.tls) listener.tls = tls.forBind(listener.bind)
      const spec = frontend.listenSpec(listener, fallback, this.config.maxconn)
      const result = await engine.listen(spec).catch((error: unknown) => {
        throw atBind(listener.bind.path, error)
      })
      listener.listening(result)
      core.addListener(listener)
    }
  }

  async #stop(grace: number, deadline: number): Promise<StopResult> {
    // The clock's timers do not hold the process, and the listeners are about to go.
    const keepAlive = setInterval(() => {}, 1 << 30)
    try {
      if (this.#state === 'starting') await this.#starting?.catch(() => {})
      const result = this.#state === 'running' ? await this.#drain(grace, deadline) : NOTHING_TO_DO
      await this.#release()
      this.#tell('stopped', () => this.emit('stopped', result))
      return result
    } finally {
      clearInterval(keepAlive)
    }
  }

  /** Times in ms. */
  async #drain(grace: number, ms: number): Promise<StopResult> {
    this.#state = 'stopping'
    const engine = this.#engine as Engine
    const core = this.#core as Core
    const open = () => core.current > 0 || engine.stats().connections > 0
    const listeners = [...this.#frontends.values()].flatMap((frontend) => frontend.listeners)
    core.leave()
    if (grace > 0) {
      // Nobody there is as clear a no as there is, to every kind of health check.
      void this.#unlisten(listeners.filter(({ bind }) => bind.health))
      await this.#until(() => this.#state !== 'stopping', grace)
    }
    // Who waits in their queues is served as sessions end, so that this may take as long.
    let listening = true
    const unlistened = this.#unlisten(listeners).then(() => {
      listening = false
    })
    const end = this.#clock.now() + ms
    await this.#within(unlistened, ms)
    if (!(await this.#until(() => !listening && !open(), end - this.#clock.now()))) {
      await Promise.all(listeners.map(({ id }) => engine.unlisten(id, true).catch(() => {})))
      await unlistened
    }
    if (open()) {
      const closed = core.closeAll(Code.SHUTDOWN)
      await this.#until(() => core.current === 0, CLOSE_GRACE)
      return { drained: false, closed }
    }
    return { drained: true, closed: 0 }
  }

  /** A listener that does not close must not hold up the others, or the end. */
  async #unlisten(listeners: Listener[]): Promise<void> {
    const open = listeners.filter(({ closed }) => !closed)
    for (const listener of open) listener.closed = true
    const closing = open.map(({ id }) => (this.#engine as Engine).unlisten(id))
    for (const result of await Promise.allSettled(closing)) {
      if (result.status === 'rejected') {
        this.logger.error({ err: result.reason as unknown }, 'a listener did not close')
      }
    }
  }

  /** Waits for `done`, at most `ms`. */
  async #within(done: Promise<void>, ms: number): Promise<void> {
    let cancel = () => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.after(ms, resolve)
    })
    await Promise.race([done, late])
    cancel()
  }

  /** Waits until `done`, at most `ms`; returns whether it is. */
  async #until(done: () => boolean, ms: number): Promise<boolean> {
    const end = this.#clock.now() + ms
    for (;;) {
      if (done()) return true
      const left = end - this.#clock.now()
      if (left <= 0) return false
      await new Promise<void>((resolve) => {
        this.#clock.after(Math.min(left, POLL_INTERVAL), resolve)
      })
    }
  }

  /** Gives up whatever there is; once. */
  #release(): Promise<void> {
    this.#released ??= this.#giveUp()
    return this.#released
  }

  async #giveUp(): Promise<void> {
    this.#state = 'stopped'
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    ;(this as EventEmitter).off('newListener', this.#onListener)
    this.#tls?.close()
    try {
      await this.#engine?.stop()
    } finally {
      for (const backend of this.#backends.values()) backend.stop()
      this.#core?.tellFailures()
      await this.#log?.close()
    }
  }

  /** A listener of the caller's that throws: the proxy goes on all the same. */
  #tell(event: string, emit: () => void): void {
    try {
      emit()
    } catch (error) {
      this.logger.error({ err: error }, `a listener of '${event}' threw`)
    }
  }

  readonly #onListener = (name: string | symbol) => {
    // The listener is added after this event.
    if (name === 'transition') queueMicrotask(() => this.#watchTransitions())
  }

  /** Sessions tell of their transitions only where somebody wants to know. Call when that may have changed. */
  #watchTransitions(): void {
    const wanted = this.logger.isLevelEnabled('trace') || this.listenerCount('transition') > 0
    this.#observer.onTransition = wanted ? this.#onTransition : undefined
  }

  readonly #onTransition = (session: Sides, side: 0 | 1, from: number, to: number): void => {
    try {
      if (this.logger.isLevelEnabled('trace')) this.#core?.traceTransition(session, side, from, to)
      if (this.listenerCount('transition') > 0) this.#transitioned(session, side, from, to)
    } catch (error) {
      this.#core?.fault(error)
    }
  }

  #transitioned(session: Sides, side: 0 | 1, from: number, to: number): void {
    this.emit('transition', {
      id: session.client.id,
      side: side === 0 ? 'client' : 'server',
      from: SiStateNames[from] as SiStateName,
      to: SiStateNames[to] as SiStateName,
    })
  }

  #fatal(error: Error): void {
    const closed = this.#core?.current ?? 0
    const done = () => {
      if (this.listenerCount('error') > 0) this.emit('error', error)
      return { drained: false, closed }
    }
    // Nothing can be drained: no worker may be there to answer.
    this.#stopped ??= this.#release().then(done, done)
  }
}

function milliseconds(value: number | Duration, name: string): number {
  const ms = typeof value === 'number' ? value : parseDuration(value)
  if (ms >= 0) return ms
  throw new SluiceError('ERR_SLUICE_ARGUMENT', `${name} is ${ms}, not a time of 0 ms or more`)
}

const NOTHING_TO_DO: StopResult = Object.freeze({ drained: true, closed: 0 })

/**
 * Way out of a frontend whose policy is late: the first server of the default
 * backend that is ready and has a fixed route. The route of a host name changes
 * with the name, and that of TLS with its files, and the engine cannot ask while
 * policy is late.
 */
function fallbackRoute(backend: Backend | undefined): number {
  const ready = backend?.servers.find(
    ({ config }) =>
      config.state === 'ready' &&
      !config.backup &&
      isFixed(config.address) &&
      !mayChange(config.tls),
  )
  return ready?.route() ?? -1
}

function isFixed(address: ResolvedServer['address']): boolean {
  return address.kind === 'unix' || (address.kind === 'ip' && address.offset === undefined)
}

/** The route depends on files, or on the connection. */
function mayChange(tls: ResolvedUpstreamTls | undefined): boolean {
  if (!tls) return false
  const { ca, crl, certificate, chooseServerName } = tls
  return ca.length + crl.length > 0 || certificate !== undefined || chooseServerName !== undefined
}
