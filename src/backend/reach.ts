/** How the servers of a backend are reached: their routes, names that are looked up, contexts of TLS. */

import { isIPv6 } from 'node:net'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.js'
import type { ResolvedBackend, ResolvedServer } from '../config/resolved.js'
import type { RouteSpec } from '../engine/engine.js'
import { NameWatch, type Resolver } from './resolve.js'
import { type Router, routeSpec } from './route.js'
import type { BackendServer } from './server.js'

export interface ReachDeps {
  clock: Clock
  engine: Router
  resolver: Resolver
  /** The engine's context for the TLS of a server; needed where a server has TLS. */
  tlsContextOf?: ((server: ResolvedServer) => number) | undefined
  /** ms between look-ups of host names. Default 30 s. */
  resolveInterval?: number | undefined
}

const RESOLVE_INTERVAL = 30_000

export class Reach {
  readonly #deps: ReachDeps
  readonly #timeouts: ResolvedBackend['timeouts']
  readonly #log: Logger
  readonly #changed: (server: BackendServer) => void
  readonly #watches: NameWatch[] = []

  /** `changed`: the server has another address, or its first. */
  constructor(
    deps: ReachDeps,
    timeouts: ResolvedBackend['timeouts'],
    log: Logger,
    changed: (server: BackendServer) => void,
  ) {
    this.#deps = deps
    this.#timeouts = timeouts
    this.#log = log
    this.#changed = changed
  }

  /** Resolves once every server has its route, or its name was looked up in vain, which goes on. */
  async start(servers: readonly BackendServer[]): Promise<void> {
    const pending: Promise<void>[] = []
    for (const server of servers) {
      const { address, socks } = server.config
      if (address.kind === 'applet') continue
      if (address.kind === 'host' && !socks) pending.push(this.#watch(server, address.host))
      else server.routes.use([''], () => this.#spec(server))
    }
    await Promise.all(pending)
  }

  /** The TLS contexts of servers may be other ones now: new connects take those. */
  renewTls(servers: readonly BackendServer[]): void {
    for (const { config, routes } of servers) {
      const context = this.#contextOf(config)
      if (context !== undefined && routes.id >= 0) routes.setContext(context)
    }
  }

  /** Names are looked up no more. */
  stop(): void {
    for (const watch of this.#watches) watch.stop()
  }

  #spec({ config }: BackendServer, ip?: string): RouteSpec {
    return routeSpec(config, this.#timeouts, ip, this.#contextOf(config))
  }

  #contextOf(config: ResolvedServer): number | undefined {
    return config.tls && this.#deps.tlsContextOf?.(config)
  }

  #watch(server: BackendServer, host: string): Promise<void> {
    const { clock, resolver, resolveInterval = RESOLVE_INTERVAL } = this.#deps
    const { source } = server.config
    const watch = new NameWatch({
      host,
      resolver,
      clock,
      interval: resolveInterval,
      family: typeof source === 'object' ? (isIPv6(source.ip) ? 6 : 4) : undefined,
      log: this.#log.child({ server: server.name }),
      onAddresses: (ips) => this.#useAddresses(server, ips),
    })
    this.#watches.push(watch)
    return watch.start()
  }

  #useAddresses(server: BackendServer, ips: readonly string[]): void {
    const { routes } = server
    const before = routes.id
    routes.use(ips, (ip) => this.#spec(server, ip))
    if (routes.id === before) return
    if (before >= 0) {
      this.#log.info({ server: server.name, address: routes.ip }, 'the server has a new address')
      // Failures were those of the old address.
      server.passive?.succeeded()
    }
    this.#changed(server)
  }
}
