/** Ways out to a server: what the engine is told, and for how long it holds. */

import { formatHostPort } from '../address/text.js'
import type { Clock } from '../base/clock.js'
import { SluiceError } from '../base/errors.js'
import type { ResolvedBackend, ResolvedServer } from '../config/resolved.js'
import type { Engine, RouteSpec } from '../engine/engine.js'

/**
 * ms for which a route that was replaced is kept, so that connect commands
 * that already name it still find it. Connections that have started do not
 * need it.
 */
const LINGER = 5_000

/** Most TLS server names and ports for which a server has routes of their own at once. */
const MOST_VARIANTS = 1024

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

function variantSpec(
  spec: RouteSpec,
  serverName: string | undefined,
  port: number | undefined,
): RouteSpec {
  const varied = { ...spec }
  if (spec.tls && serverName !== undefined) varied.tls = { ...spec.tls, serverName }
  if (port === undefined) return varied
  // Behind a SOCKS proxy the address is the proxy's.
  if (spec.socks) varied.socks = { ...spec.socks, port }
  else if (spec.address.kind === 'tcp') varied.address = { ...spec.address, port }
  return varied
}

function formatRouteAddress(address: RouteSpec['address']): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return formatHostPort(address.ip, address.port)
}

export type Router = Pick<Engine, 'route' | 'unroute'>

/**
 * The current route of one server, those to the same address with TLS server
 * names or ports of their own, and those that were replaced until they may go.
 */
export class ServerRoute {
  readonly #engine: Router
  readonly #clock: Clock
  readonly #lingering = new Map<number, () => void>()
  /** By port and server name, the least recently used first. */
  readonly #variants = new Map<string, number>()
  readonly #most: number
  #spec: RouteSpec | undefined
  #address: string | undefined
  #cancelRetirement: (() => void) | undefined
  #id = -1

  constructor(engine: Router, clock: Clock, most = MOST_VARIANTS) {
    this.#engine = engine
    this.#clock = clock
    this.#most = most
  }

  /** Engine route, -1 while there is none. */
  get id(): number {
    return this.#id
  }

  /** Where it leads: '127.0.0.1:80', '[::1]:80', 'unix:/path'; behind a SOCKS proxy that of the proxy. */
  get address(): string | undefined {
    return this.#address
  }

  /** Registers a new route; the old one, and those with other names and ports, are kept for a moment. */
  set(spec: RouteSpec): void {
    const old = this.#id
    this.#id = this.#engine.route(spec)
    this.#spec = spec
    this.#address = formatRouteAddress(spec.address)
    if (old >= 0) this.#replaced(old)
    for (const route of this.#variants.values()) this.#replaced(route)
    this.#variants.clear()
  }

  /** Another TLS context took the place of the route's. */
  setContext(context: number): void {
    const spec = this.#spec
    if (spec?.tls === undefined || spec.tls.context === context) return
    this.set({ ...spec, tls: { ...spec.tls, context } })
  }

  /**
   * The route with another TLS server name or port; undefined keeps the route's. Preconditions:
   * there is a route, with TLS where there is a name, to no unix socket where there is a port.
   */
  variant(serverName: string | undefined, port: number | undefined): number {
    const spec = this.#spec as RouteSpec
    const name = serverName === spec.tls?.serverName ? undefined : serverName
    if (name === undefined && port === undefined) return this.#id
    const key = `${port ?? ''} ${name ?? ''}`
    let route = this.#variants.get(key)
    if (route === undefined) route = this.#engine.route(variantSpec(spec, name, port))
    else this.#variants.delete(key)
    this.#variants.set(key, route)
    if (this.#variants.size > this.#most) {
      const [oldest, unused] = this.#variants.entries().next().value as [string, number]
      this.#variants.delete(oldest)
      this.#replaced(unused)
    }
    return route
  }

  /** Whether the route leads to this server, also where it was replaced a moment ago. */
  has(route: number): boolean {
    if (route === this.#id || this.#lingering.has(route)) return route >= 0
    for (const variant of this.#variants.values()) if (variant === route) return true
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
    for (const route of this.#variants.values()) this.#engine.unroute(route)
    this.#variants.clear()
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
