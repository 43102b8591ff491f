/**
 * The proxy: engine, backends, frontends and core put together, with a beginning and an end.
 * `createProxy` makes one of a configuration.
 */

import { EventEmitter } from 'node:events'
import type { Logger } from 'pino'
import { Backend } from '../backend/backend.js'
import { systemResolver } from '../backend/resolve.js'
import { byName } from '../base/by-name.js'
import { type Clock, systemClock } from '../base/clock.js'
import { onAbort } from '../base/endings.js'
import { SluiceError } from '../base/errors.js'
import { parseDuration, show } from '../base/units.js'
import type { ResolvedBackend, ResolvedConfig } from '../config/resolved.js'
import type { Duration } from '../config/types.js'
import type { Engine, EngineKind } from '../engine/engine.js'
import { selectEngine } from '../engine/select.js'
import { Core } from '../flow/core.js'
import { Frontend } from '../flow/frontend.js'
import { Observer } from '../flow/observer.js'
import type { ProxyLog } from '../log/logger.js'
import type {
  BackendViews,
  ListenAddresses,
  RunningProxy,
  SessionFilter,
  SessionView,
  TableView,
} from '../policy/live.js'
import type { BackendNames, ByName } from '../policy/names.js'
import type { ProxyStats } from '../policy/stats.js'
import { attachHandle, detachHandle } from '../tables/handle.js'
import { StickTable } from '../tables/stick-table.js'
import { viewTable } from '../tables/view.js'
import type { CertificateStatus, ContextSupplier, ReloadReport } from '../tls/contexts.js'
import { TlsStore } from '../tls/store.js'
import { drain } from './drain.js'
import { checkFilter } from './filter.js'
import { messageOf, orEnded } from './hook.js'
import { listen } from './listen.js'
import { PluginRun } from './plugins.js'
import { backendStats, frontendStats, pluginStats, tableStats } from './stats.js'
import { Transitions } from './transitions.js'
import type { ProxyEvents, ProxyParts, StopOptions, StopResult } from './types.js'

type State = 'new' | 'starting' | 'running' | 'stopping' | 'stopped'

type Parts = ProxyParts & { logger: Logger }

/** For the test proxy; others use `createProxy`. `log`: what is behind the logger, where that is the proxy's own. */
export let newProxy: (config: ResolvedConfig, parts: Parts, log?: ProxyLog) => SluiceProxy

/** What is behind the views of a proxy: for the test proxy and for tests, and on no face of the package. */
export let internalsOf: (proxy: SluiceProxy) => {
  readonly config: ResolvedConfig
  readonly tables: ReadonlyMap<string, StickTable>
  readonly backends: ReadonlyMap<string, Backend>
}

/** A proxy: `start` it once, `stop` it once. The compiler knows names that its configuration has. */
export class SluiceProxy<Backends = BackendNames, Tables extends string = string>
  extends EventEmitter<ProxyEvents>
  implements RunningProxy<Backends, Tables>
{
  static {
    internalsOf = (proxy) => ({
      config: proxy.#config,
      tables: proxy.#tables,
      backends: proxy.#backends,
    })
    newProxy = (config, parts, log) => new SluiceProxy(config, parts, log)
  }

  /** Stick tables by name. */
  readonly tables: ByName<Tables, TableView>
  /** Backends by name. */
  readonly backends: BackendViews<Backends>
  readonly logger: Logger
  /** Aborted when the proxy begins to stop. */
  readonly signal: AbortSignal
  readonly #config: ResolvedConfig
  readonly #options: ProxyParts
  readonly #observer: Observer
  readonly #clock: Clock
  readonly #log: ProxyLog | undefined
  readonly #plugins: PluginRun
  readonly #transitions: Transitions
  readonly #stopping = new AbortController()
  readonly #tables: ReadonlyMap<string, StickTable>
  readonly #backends: ReadonlyMap<string, Backend>
  readonly #frontends = new Map<string, Frontend>()
  readonly #onAbort = () => {
    void this.stop().catch((error: unknown) => this.logger.error({ err: error }, 'stop failed'))
  }
  #forgetAbort: (() => void) | undefined
  #engine: Engine | undefined
  #core: Core | undefined
  #tls: TlsStore | undefined
  #contexts: ContextSupplier | undefined
  #state: State = 'new'
  #starting: Promise<this> | undefined
  #stopped: Promise<StopResult> | undefined
  #released: Promise<void> | undefined

  private constructor(config: ResolvedConfig, options: Parts, log?: ProxyLog) {
    super()
    this.#config = config
    this.#options = options
    this.#observer = options.observer ?? new Observer()
    this.#clock = options.clock ?? systemClock
    this.#log = log
    this.logger = options.logger
    this.signal = this.#stopping.signal
    this.#plugins = new PluginRun(config.plugins, this.#clock, this.logger)
    this.#transitions = new Transitions(this, this.logger, this.#observer)
    const tables = config.tables.map((table) => new StickTable(table, this.#clock))
    this.#tables = new Map(tables.map((table) => [table.name, table]))
    this.tables = byName(tables.map(viewTable)) as ByName<Tables, TableView>
    const backends = config.backends.map((backend) => this.#makeBackend(backend))
    this.#backends = new Map(backends.map((backend) => [backend.name, backend]))
    this.backends = byName(backends.map(({ view }) => view)) as BackendViews<Backends>
  }

  /** Kind of the engine that runs; undefined before the start. */
  get engineKind(): EngineKind | undefined {
    return this.#engine?.kind
  }

  get running(): boolean {
    return this.#state === 'running'
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
    try {
      const { drainTimeout, grace } = this.#config
      this.#stopped = this.#stop(
        milliseconds(options.grace, 'grace', grace),
        milliseconds(options.deadline, 'deadline', drainTimeout),
      )
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

  /**
   * Open connections, in no order, as views that stay live; all of them, or those that fit a
   * filter. It goes through them as it is asked for the next: what comes or goes meanwhile may be
   * missed, and thousands are looked at without a copy.
   *
   * @throws SluiceError (ERR_SLUICE_ARGUMENT) for a name that the configuration does not have.
   */
  sessions(filter: SessionFilter = {}): IterableIterator<SessionView> {
    checkFilter(filter, this.#config)
    return this.#core?.sessions(filter) ?? [].values()
  }

  /** Closes the connection of this id, as 'proxy/.../killed'. False where it has ended, or there is none. */
  kill(id: string): boolean {
    if (typeof id !== 'string') {
      throw new SluiceError('ERR_SLUICE_ARGUMENT', `kill: expected an id, got ${show(id)}.`)
    }
    return this.#core?.kill(id) ?? false
  }

  stats(): ProxyStats {
    const core = this.#core
    return {
      engine: this.#engine?.stats(),
      connections: core?.current ?? 0,
      tlsHandshakes: core?.tlsHandshakes ?? { running: 0, waiting: 0 },
      frontends: frontendStats(this.#frontends.values()),
      backends: backendStats(this.#backends.values()),
      tables: tableStats(this.#tables.values()),
      plugins: pluginStats(this.#config.plugins),
      logDropped: this.#log?.dropped() ?? 0,
    }
  }

  async #start(): Promise<this> {
    const { signal } = this.#options
    try {
      signal?.throwIfAborted()
      if (signal) this.#forgetAbort = onAbort(signal, this.#onAbort)
      this.#log?.open()
      for (const table of this.#tables.values()) attachHandle(table)
      for (const { path, message } of this.#config.warnings)
        this.logger.warn({ path }, `${path}: ${message}`)
      const engine = await this.#makeEngine()
      this.#engine = engine
      const tls = await this.#loadCertificates(engine)
      this.#contexts = tls
      const core = this.#makeCore(engine)
      this.#core = core
      this.#transitions.of(core)
      engine.start(core)
      await Promise.all([...this.#backends.values()].map((backend) => backend.start()))
      await this.#plugins.start()
      await this.#listen(engine, core, tls)
      await this.#tellStarted()
      if (this.#stopped !== undefined) {
        throw new SluiceError('ERR_SLUICE_STATE', 'The proxy was stopped while it started.')
      }
    } catch (error) {
      await this.#release()
      throw error
    }
    this.#state = 'running'
    this.#tls?.watch()
    this.#transitions.watch()
    this.#tell('listening', () => this.emit('listening', this.addresses))
    return this
  }

  /** The configuration's own part in the start. */
  async #tellStarted(): Promise<void> {
    const { started } = this.#config
    if (started === undefined) return
    try {
      await orEnded(started(this as SluiceProxy), this.signal)
    } catch (error) {
      if (this.signal.aborted) return
      throw new SluiceError('ERR_SLUICE_STARTED', `started: ${messageOf(error)}`, { cause: error })
    }
  }

  #makeEngine(): Promise<Engine> {
    const config = this.#config
    const chosen = this.#options.engine ?? config.engine
    if (typeof chosen !== 'string') return Promise.resolve(chosen)
    const { workers, maxconn, maxpipes, busyPoll, lead } = config
    const options = { workers, slots: 2 * maxconn, maxpipes, busyPoll, lead }
    return selectEngine(chosen, options, this.logger)
  }

  /** Every certificate is right, or nothing starts. */
  async #loadCertificates(engine: Engine): Promise<ContextSupplier> {
    if (this.#options.certificates) return this.#options.certificates
    const { frontends, backends, tlsReload } = this.#config
    const store = new TlsStore({
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

  /** Nothing is asked of the engine before the start. */
  #makeBackend(config: ResolvedBackend): Backend {
    const engine = () => this.#engine as Engine
    return new Backend(config, {
      tlsContextOf: (server) => (this.#contexts as ContextSupplier).forServer(server),
      clock: this.#clock,
      engine: {
        route: (spec) => engine().route(spec),
        unroute: (route) => engine().unroute(route),
        eager: (wanted) => engine().eager(wanted),
      },
      resolver: this.#options.resolver ?? systemResolver,
      log: this.logger,
      table: config.stick ? this.#tables.get(config.stick.table) : undefined,
      resolveInterval: this.#config.resolveInterval,
      shutdown: (server) => this.#core?.shutdown(server) ?? 0,
      onServerState: (server, from, to) =>
        this.emit('serverState', { backend: config.name, server: server.name, from, to }),
    })
  }

  #makeCore(engine: Engine): Core {
    return new Core({
      engine,
      clock: this.#clock,
      logger: this.logger,
      tables: this.#tables,
      backends: this.#backends,
      maxconn: this.#config.maxconn,
      tlsHandshakes: this.#config.tlsHandshakes,
      idPrefix: Math.floor(Date.now() / 1000).toString(16),
      observer: this.#observer,
      events: {
        wantsSessions: () => this.listenerCount('session') > 0,
        sessionEnded: (record) => this.emit('session', record),
        fatal: (error) => this.#fatal(error),
      },
    })
  }

  /** One frontend after the other. */
  async #listen(engine: Engine, core: Core, tls: ContextSupplier): Promise<void> {
    const { frontends, verdictTimeout, maxconn } = this.#config
    for (const config of frontends) {
      const backend = config.backend === undefined ? undefined : this.#backends.get(config.backend)
      const frontend = new Frontend(config, backend, verdictTimeout)
      this.#frontends.set(config.name, frontend)
      await listen(frontend, { engine, core, tls, maxconn })
    }
  }

  async #stop(grace: number, deadline: number): Promise<StopResult> {
    // The clock's timers do not hold the process, and the listeners are about to go.
    const keepAlive = setInterval(() => {}, 1 << 30)
    try {
      // Whatever holds up the start.
      this.#stopping.abort()
      if (this.#state === 'starting') this.#plugins.end()
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
  #drain(grace: number, deadline: number): Promise<StopResult> {
    this.#state = 'stopping'
    return drain(
      {
        engine: this.#engine as Engine,
        core: this.#core as Core,
        clock: this.#clock,
        logger: this.logger,
        listeners: [...this.#frontends.values()].flatMap(({ listeners }) => listeners),
        interrupted: () => this.#state !== 'stopping',
      },
      grace,
      deadline,
    )
  }

  /** Gives up whatever there is; once. */
  #release(): Promise<void> {
    this.#released ??= this.#giveUp()
    return this.#released
  }

  async #giveUp(): Promise<void> {
    this.#state = 'stopped'
    this.#stopping.abort()
    this.#forgetAbort?.()
    this.#transitions.stop()
    this.#tls?.close()
    try {
      await this.#engine?.stop()
    } finally {
      for (const backend of this.#backends.values()) backend.stop()
      await this.#plugins.stop()
      for (const table of this.#tables.values()) detachHandle(table)
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

function milliseconds(value: Duration | undefined, name: string, standard: number): number {
  return value === undefined ? standard : parseDuration(value, name)
}

const NOTHING_TO_DO: StopResult = Object.freeze({ drained: true, closed: 0 })
