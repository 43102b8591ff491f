/**
 * A proxy without a network: the real rules, sessions and backends on the test
 * engine, under a virtual clock.
 */

import { AsyncResource } from 'node:async_hooks'
import { SluiceError } from '../base/errors.js'
import { parseDuration } from '../base/units.js'
import { unknownName } from '../base/unknown-name.js'
import { resolveConfig } from '../config/resolve.js'
import type { Config, Duration } from '../config/types.js'
import type { BackendViews, TableView } from '../policy/live.js'
import type { BackendNames, ServerPaths } from '../policy/names.js'
import type { ProxyStats } from '../policy/stats.js'
import { internalsOf, newProxy, type SluiceProxy } from '../proxy/proxy.js'
import type { StopOptions, StopResult } from '../proxy/types.js'
import { addressOf, arrivalsOf } from './arrivals.js'
import { settle, VirtualClock } from './clock.js'
import { newTestConnection } from './connection.js'
import type { TestClient } from './engine/client.js'
import { TestEngine } from './engine/engine.js'
import type { ConnectOutcome } from './engine/parts.js'
import { type LogRecord, memoryLog } from './log.js'
import type { ConnectOptions, TestProxyOptions, TestUse } from './options.js'
import { newTestResult, type ResultHost, type TestResult } from './result.js'
import { playServer, type ServerBehaviour, type Servers } from './servers.js'
import { TestCertificates } from './tls/certificates.js'
import { TlsClient } from './tls/client.js'
import { Trail } from './trail.js'
import { Trails } from './trails.js'

const EMPTY = new Uint8Array(0)
const CLIENT_WINDOW = 1024 * 1024
const SLOTS = 16_384
/** Turns of the event loop after which what still goes on is taken to go on for ever. */
const MOST_TURNS = 1_000

/**
 * Starts a proxy without a network. Nothing listens and nothing connects:
 * `connect` plays a client, scripts play the servers, `advance` is the time.
 *
 * @throws ConfigError with every mistake of the configuration at once.
 */
export async function createTestProxy<
  const Frontends extends string,
  const Backends extends BackendNames,
  const Tables extends string = never,
  const Used extends string = '',
>(
  config: Config<Frontends, Backends, Tables, Used> & TestUse,
  options: TestProxyOptions<ServerPaths<Backends>> = {},
): Promise<TestProxy<Frontends, Backends, Tables>> {
  const proxy = new TestProxy<Frontends, Backends, Tables>(config, options)
  await proxy.start()
  return proxy
}

/** The engine below a test proxy: for Sluice's own tests, and on no face of the package. */
export let engineOf: (proxy: TestProxy) => TestEngine

/** Use `createTestProxy`. The compiler knows names that the configuration has. */
export class TestProxy<
  Frontends extends string = string,
  Backends = BackendNames,
  Tables extends string = string,
> implements AsyncDisposable
{
  static {
    engineOf = (proxy) => proxy.#engine
  }

  /** Stick tables by name. */
  readonly tables: Readonly<Record<Tables, TableView>>
  /** Backends by name, and their servers: to take one out, to see who waits. */
  readonly backends: BackendViews<Backends>
  /** Every log line so far. */
  readonly logs: readonly LogRecord[]
  /** The proxy under test, for its events and operations. */
  readonly proxy: SluiceProxy<Backends, Tables>
  /** The time of the proxy. */
  readonly clock: VirtualClock
  readonly #engine: TestEngine
  readonly #logs: LogRecord[] = []
  readonly #trails: Trails
  readonly #listeners = new Map<string, number[]>()
  readonly #host: ResultHost
  /** Connections that no listener has room for, in the order they came. */
  #backlog: { listener: number; accept: () => void }[] = []
  #servers: Servers
  #settling: Promise<void> | undefined

  /** Use `createTestProxy`, which also starts it. */
  constructor(config: Config & TestUse, options: TestProxyOptions<ServerPaths<Backends>>) {
    const clock = new VirtualClock(options.now)
    const engine = new TestEngine(clock, SLOTS)
    this.clock = clock
    this.#engine = engine
    this.logs = this.#logs
    const trails = new Trails(clock, engine.clients)
    this.#trails = trails
    const certificates = new TestCertificates(engine, options.certificates)
    this.#host = { clock, engine, certificates, settle: () => this.settle() }
    const logger = memoryLog(options.logLevel ?? 'debug', clock, (record) => {
      this.#logs.push(record)
      trails.logged(record)
    })
    // What a timer does counts to the connection for which it was set.
    const ownClock = {
      now: () => clock.now(),
      after: (ms: number, fn: () => void) => clock.after(ms, AsyncResource.bind(fn)),
    }
    const host = { clock: ownClock, logger: () => logger }
    this.proxy = newProxy(resolveConfig(withPlugins(config), { host }), {
      engine,
      clock: ownClock,
      logger,
      resolver: resolverOf(options.hosts ?? {}),
      certificates,
      observer: trails.observer,
    }) as SluiceProxy<Backends, Tables>
    trails.watch(this.proxy, internalsOf(this.proxy).tables.values())
    this.tables = this.proxy.tables as Record<Tables, TableView>
    this.backends = this.proxy.backends
    this.#servers = this.#checked(options.servers)
    this.#listen()
  }

  /** Called by `createTestProxy`. */
  async start(): Promise<void> {
    await this.proxy.start()
  }

  /**
   * A client connects and sends what it has. Resolves once the connection has
   * ended, or nothing more happens without more time or bytes; the result stays
   * live. A client for which `maxconn` leaves no room waits to be accepted.
   *
   * @throws SluiceError (ERR_SLUICE_ARGUMENT) for a name, an address or a position that does not exist.
   * @throws SluiceError (ERR_SLUICE_STATE) where nobody listens any more.
   */
  async connect(
    options: ConnectOptions<Frontends, ServerPaths<Backends>> = {},
  ): Promise<TestResult> {
    const { listener, dst, dstPort } = this.#destination(options)
    const src = options.src ?? (dst === '' ? '' : '192.0.2.1')
    addressOf('src', src)
    addressOf('dst', dst)
    const tls = options.tls && new TlsClient(options.tls)
    const sealed = Buffer.concat([tls?.records ?? EMPTY, Buffer.from(options.bytes ?? '')])
    const clear = options.tls?.clear
    const arrivals = arrivalsOf(clear ?? sealed, options.proxy, options.split)
    const servers = this.#checked(options.servers)
    const { fin = false, srcPort } = options
    const pause = options.delay === undefined ? 0 : parseDuration(options.delay, 'delay')
    const trail = new Trail(servers)
    const accept = () => {
      const client = this.#engine.accept(
        { listener, src, srcPort, dst, dstPort, tls },
        (client) => {
          client.window = options.window ?? CLIENT_WINDOW
          if (!options.allowHalfOpen) client.reactions.clientFin = () => client.fin()
          if (clear !== undefined) {
            client.reactions.tlsStarts = () => {
              client.send(sealed)
              if (fin) client.fin()
            }
          }
          this.#trails.begin(trail, client)
        },
      )
      return this.#play(client, arrivals, pause, fin && clear === undefined)
    }
    if (this.#engine.hasRoom(listener)) {
      await accept()
    } else if (this.#engine.listeners.has(listener)) {
      this.#backlog.push({ listener, accept: () => void accept() })
    } else {
      throw new SluiceError('ERR_SLUICE_STATE', 'Nobody listens any more.')
    }
    await this.settle()
    return newTestResult(trail, newTestConnection(trail, this.#host), this.#host)
  }

  /**
   * Lets virtual time pass, such as '30s': deadlines and timers of engine and
   * policy run in their order, each at its time, and promises settle in between.
   */
  async advance(duration: Duration): Promise<void> {
    await this.clock.advanceAsync(duration, () => this.settle())
  }

  /** What a server does from now on, with connections that do not say otherwise. */
  setServer(name: ServerPaths<Backends>, behaviour: ServerBehaviour): void {
    this.#servers = { ...this.#servers, ...this.#checked({ [name]: behaviour }) }
  }

  /** Numbers of the proxy, as in production. */
  stats(): ProxyStats {
    return this.proxy.stats()
  }

  /**
   * Stops the proxy as in production, and lets as much virtual time pass as that takes. To play a
   * drain step by step, call `proxy.stop()` of the proxy itself, and `advance`.
   */
  async stop(options?: StopOptions): Promise<StopResult> {
    let stopped = false
    const stopping = this.proxy.stop(options)
    const done = () => {
      stopped = true
    }
    stopping.then(done, done)
    await this.settle()
    while (!stopped) await this.advance('1s')
    return stopping
  }

  /** Ends every connection and stops at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Where a drain is under way already, its deadline passes.
    await this.stop({ deadline: '0s' })
  }

  /** Resolves once nothing more happens without time, bytes, or I/O of policy's own. */
  settle(): Promise<void> {
    // Whoever asks meanwhile sees at least one more turn, and what it did is noticed there.
    this.#settling ??= this.#untilQuiet()
    return this.#settling
  }

  async #untilQuiet(): Promise<void> {
    let before = -1
    for (let turn = 0; turn < MOST_TURNS; turn++) {
      await settle()
      const now = this.#engine.stats().events + this.#engine.calls.length + this.#logs.length
      if (now === before) break
      before = now
    }
    this.#settling = undefined
  }

  // --- clients ---

  /** Sends the arrivals, the first at once and each other one `pause` ms after the one before. */
  async #play(
    client: TestClient,
    arrivals: readonly Buffer[],
    pause: number,
    fin: boolean,
  ): Promise<void> {
    await this.settle()
    const send = (i: number) =>
      // In one turn: the FIN comes with the last byte, before anybody answers that.
      this.#engine.run(() => {
        const bytes = arrivals[i]
        if (bytes !== undefined) client.send(bytes)
        if (fin && i >= arrivals.length - 1) client.fin()
      })
    send(0)
    for (let i = 1; i < arrivals.length; i++) {
      if (pause > 0) {
        this.clock.after(i * pause, () => send(i))
      } else {
        await this.settle()
        send(i)
      }
    }
    await this.settle()
  }

  #destination(options: ConnectOptions): { listener: number; dst: string; dstPort: number } {
    const frontend = options.frontend ?? [...this.#listeners.keys()][0] ?? ''
    const { bind = 0 } = options
    const listener = this.#listeners.get(frontend)?.[bind]
    if (listener === undefined) {
      throw this.#listeners.has(frontend)
        ? new SluiceError('ERR_SLUICE_ARGUMENT', `Frontend '${frontend}' has no bind ${bind}.`)
        : unknownName('frontend', frontend, this.#listeners.keys())
    }
    const address = this.proxy.addresses[frontend]?.[bind]
    const isUnix = address?.family === 'unix'
    const { dst = isUnix ? '' : defaultDestination(address?.address, options.src) } = options
    return { listener, dst, dstPort: options.dstPort ?? address?.port ?? 0 }
  }

  #listen(): void {
    let next = 0
    for (const { name, binds } of internalsOf(this.proxy).config.frontends) {
      this.#listeners.set(
        name,
        binds.map(() => next++),
      )
    }
    this.#engine.onConnect = (client, route) => this.#connects(client, route)
    this.#engine.onRoom = () => this.#serveBacklog()
    this.#engine.around = (client, tell) => this.#trails.around(client, tell)
  }

  #serveBacklog(): void {
    const waiting = this.#backlog
    this.#backlog = []
    for (const one of waiting) {
      if (this.#engine.hasRoom(one.listener)) one.accept()
      else if (this.#engine.listeners.has(one.listener)) this.#backlog.push(one)
    }
  }

  // --- servers ---

  #connects(client: TestClient, route: number): ConnectOutcome {
    const name = this.#serverOf(route)
    const trail = this.#trails.of(client)
    if (name === undefined || trail === undefined) return 'ok'
    const attempt = trail.attempts.filter((earlier) => earlier === name).length
    trail.attempts.push(name)
    const behaviour = trail.servers[name] ?? this.#servers[name] ?? 'accept'
    return playServer(client, behaviour, attempt)
  }

  #serverOf(route: number): string | undefined {
    for (const backend of internalsOf(this.proxy).backends.values()) {
      const server = backend.servers.find((server) => server.hasRoute(route))
      if (server !== undefined) return `${backend.name}/${server.name}`
    }
    return undefined
  }

  #checked(servers: Servers = {}): Servers {
    const names = new Map(
      internalsOf(this.proxy).config.backends.flatMap((backend) =>
        backend.servers.map(({ name, address }) => [`${backend.name}/${name}`, address.kind]),
      ),
    )
    for (const name of Object.keys(servers)) {
      const kind = names.get(name)
      if (kind === undefined) throw unknownName('server', name, names.keys())
      if (kind === 'applet') {
        const message = `Server '${name}' is an applet: it does what its code says.`
        throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
      }
    }
    return servers
  }
}

/** Where a client of this address would have connected to. */
function defaultDestination(bound: string | undefined, src: string | undefined): string {
  const isIpv6 = src?.includes(':') ?? bound?.includes(':') ?? false
  const isSpecific = bound !== undefined && bound !== '0.0.0.0' && bound !== '::'
  if (isSpecific && bound.includes(':') === isIpv6) return bound
  return isIpv6 ? '2001:db8::fe' : '192.0.2.254'
}

/** Names resolve as told; each other one to an address of its own. */
function resolverOf(hosts: Record<string, string | readonly string[]>) {
  const given = new Map<string, string>()
  return {
    lookup(host: string): Promise<string[]> {
      const known = Object.hasOwn(hosts, host) ? hosts[host] : undefined
      if (known !== undefined)
        return Promise.resolve(typeof known === 'string' ? [known] : [...known])
      const made = given.get(host) ?? `198.18.${given.size >> 8}.${(given.size & 255) + 1}`
      given.set(host, made)
      return Promise.resolve([made])
    },
  }
}

function withPlugins(config: Config & TestUse): Config {
  if (config.use === undefined) return config
  const { use, plugins = [], ...rest } = config
  return { ...rest, plugins: [...use, ...plugins] }
}
