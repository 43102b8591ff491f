/** Ways out to a server: what the engine is told, and for how long it holds. */

import type { Clock } from '../clock.js'
import type { ResolvedBackend, ResolvedServer } from '../config/resolved.js'
import type { Engine, RouteSpec } from '../engine/engine.js'
import { SluiceError } from '../errors.js'

/**
 * ms for which a route that was replaced is kept, so that connect commands
 * that already name it still find it. Connections that have started do not
 * need it.
 */
const LINGER = 5_000

/** Most TLS server names for which a server has routes of their own at once. */
const MOST_NAMES = 256

/**
 * The route to a server. `ip`: the server's address where its host name was
 * resolved here; behind a SOCKS proxy names are resolved there. `context`: the
 * engine's, for a server with TLS.
 *
 * @throws SluiceError (ERR_SLUICE_ARGUMENT) for an applet, a name that is not
 *   resolved, a unix socket behind a SOCKS proxy, or TLS without a context.
 */
export function routeSpec(
  server: ResolvedServer,
  timeouts: ResolvedBackend['timeouts'],
  ip?: string,
  context?: number,
): RouteSpec {
  const spec: RouteSpec = {
    address: routeAddress(server, ip),
    sendProxy: server.sendProxy?.version ?? 0,
    proxyCrc: server.sendProxy?.crc32c ?? false,
    keepAlive: server.keepAlive,
    userTimeout: server.userTimeout,
    connectTimeout: timeouts.connect,
    serverTimeout: timeouts.server,
    serverFinTimeout: timeouts.serverFin,
    tunnelTimeout: timeouts.tunnel,
  }
  const socks = socksSpec(server)
  if (socks) spec.socks = socks
  if (server.tls) {
    if (context === undefined) throw unroutable(server, 'has no TLS context')
    spec.tls = { context, serverName: server.tls.serverName }
  }
  if (server.source === 'client') spec.source = 'client'
  else if (server.source) {
    const { ip: from, port } = server.source
    spec.source = port > 0 ? { ip: from, port } : { ip: from }
  }
  return spec
}

function routeAddress(server: ResolvedServer, ip: string | undefined): RouteSpec['address'] {
  const { address, socks } = server
  if (address.kind === 'unix') return { kind: 'unix', path: address.path }
  if (address.kind === 'applet') throw unroutable(server, 'is an applet')
  if (socks) return { kind: 'tcp', ip: socks.ip, port: socks.port }
  if (address.kind === 'ip') return { kind: 'tcp', ip: address.ip, port: address.port }
  if (ip === undefined) throw unroutable(server, `has no address for ${address.host}`)
  return { kind: 'tcp', ip, port: address.port }
}

function socksSpec(server: ResolvedServer): RouteSpec['socks'] {
  const { address, socks } = server
  if (!socks) return undefined
  if (address.kind === 'unix' || address.kind === 'applet') {
    throw unroutable(server, `cannot be reached through a SOCKS proxy (${address.kind})`)
  }
  return {
    version: socks.version,
    ...(socks.user === undefined ? {} : { user: socks.user }),
    ...(socks.password === undefined ? {} : { password: socks.password }),
    host: address.kind === 'ip' ? address.ip : address.host,
    port: address.port,
  }
}

function unroutable(server: ResolvedServer, why: string): SluiceError {
  return new SluiceError('ERR_SLUICE_ARGUMENT', `server '${server.name}' ${why}`)
}

function formatRouteAddress(address: RouteSpec['address']): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const host = address.ip.includes(':') ? `[${address.ip}]` : address.ip
  return `${host}:${address.port}`
}

export type Router = Pick<Engine, 'route' | 'unroute'>

/**
 * The current route of one server, those to the same address with TLS server
 * names of their own, and those that were replaced until they may go.
 */
export class ServerRoute {
  readonly #engine: Router
  readonly #clock: Clock
  readonly #lingering = new Map<number, () => void>()
  /** By server name, the least recently used first. */
  readonly #named = new Map<string, number>()
  readonly #mostNames: number
  #spec: RouteSpec | undefined
  #address: string | undefined
  #cancelRetirement: (() => void) | undefined
  #id = -1

  constructor(engine: Router, clock: Clock, mostNames = MOST_NAMES) {
    this.#engine = engine
    this.#clock = clock
    this.#mostNames = mostNames
  }

  /** Engine route, -1 while there is none. */
  get id(): number {
    return this.#id
  }

  /** Where it leads: '127.0.0.1:80', '[::1]:80', 'unix:/path'; behind a SOCKS proxy that of the proxy. */
  get address(): string | undefined {
    return this.#address
  }

  /** Registers a new route; the old one, and those with other names, are kept for a moment. */
  set(spec: RouteSpec): void {
    const old = this.#id
    this.#id = this.#engine.route(spec)
    this.#spec = spec
    this.#address = formatRouteAddress(spec.address)
    if (old >= 0) this.#replaced(old)
    for (const route of this.#named.values()) this.#replaced(route)
    this.#named.clear()
  }

  /** Another TLS context took the place of the route's. */
  setContext(context: number): void {
    const spec = this.#spec
    if (spec?.tls === undefined || spec.tls.context === context) return
    this.set({ ...spec, tls: { ...spec.tls, context } })
  }

  /** The route with another TLS server name. Precondition: there is a route, with TLS. */
  withName(serverName: string): number {
    const spec = this.#spec as RouteSpec
    const tls = spec.tls as NonNullable<RouteSpec['tls']>
    if (serverName === tls.serverName) return this.#id
    let route = this.#named.get(serverName)
    if (route === undefined) route = this.#engine.route({ ...spec, tls: { ...tls, serverName } })
    else this.#named.delete(serverName)
    this.#named.set(serverName, route)
    if (this.#named.size > this.#mostNames) {
      const [oldest, unused] = this.#named.entries().next().value as [string, number]
      this.#named.delete(oldest)
      this.#replaced(unused)
    }
    return route
  }

  /** Whether the route leads to this server, also where it was replaced a moment ago. */
  has(route: number): boolean {
    if (route === this.#id || this.#lingering.has(route)) return route >= 0
    for (const named of this.#named.values()) if (named === route) return true
    return false
  }

  /** The routes are kept for a moment, and then taken back; `gone` is called then. */
  retire(gone: () => void): void {
    this.#cancelRetirement = this.#clock.after(LINGER, () => {
      this.close()
      gone()
    })
  }

  /** Takes every route back at once. */
  close(): void {
    this.#cancelRetirement?.()
    for (const [route, cancel] of this.#lingering) {
      cancel()
      this.#engine.unroute(route)
    }
    this.#lingering.clear()
    for (const route of this.#named.values()) this.#engine.unroute(route)
    this.#named.clear()
    if (this.#id >= 0) this.#engine.unroute(this.#id)
    this.#id = -1
    this.#spec = undefined
  }

  #replaced(route: number): void {
    const cancel = this.#clock.after(LINGER, () => {
      this.#lingering.delete(route)
      this.#engine.unroute(route)
    })
    this.#lingering.set(route, cancel)
  }
}
