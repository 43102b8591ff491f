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

/**
 * The route to a server. `ip`: the server's address where its host name was
 * resolved here; behind a SOCKS proxy names are resolved there.
 *
 * @throws SluiceError (ERR_SLUICE_ARGUMENT) for an applet, a name that is not
 *   resolved, or a unix socket behind a SOCKS proxy.
 */
export function routeSpec(
  server: ResolvedServer,
  timeouts: ResolvedBackend['timeouts'],
  ip?: string,
): RouteSpec {
  const spec: RouteSpec = {
    address: routeAddress(server, ip),
    sendProxy: server.sendProxy?.version ?? 0,
    proxyCrc: server.sendProxy?.crc32c ?? false,
    connectTimeout: timeouts.connect,
    serverTimeout: timeouts.server,
    serverFinTimeout: timeouts.serverFin,
    tunnelTimeout: timeouts.tunnel,
  }
  const socks = socksSpec(server)
  if (socks) spec.socks = socks
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

/** The current route of one server, and those it replaced until they may go. */
export class ServerRoute {
  readonly #engine: Pick<Engine, 'route' | 'unroute'>
  readonly #clock: Clock
  readonly #lingering = new Map<number, () => void>()
  #id = -1

  constructor(engine: Pick<Engine, 'route' | 'unroute'>, clock: Clock) {
    this.#engine = engine
    this.#clock = clock
  }

  /** Engine route, -1 while there is none. */
  get id(): number {
    return this.#id
  }

  /** Registers a new route; the old one is kept for a moment. */
  set(spec: RouteSpec): void {
    const old = this.#id
    this.#id = this.#engine.route(spec)
    if (old < 0) return
    const cancel = this.#clock.after(LINGER, () => {
      this.#lingering.delete(old)
      this.#engine.unroute(old)
    })
    this.#lingering.set(old, cancel)
  }

  /** Takes every route back at once. */
  close(): void {
    for (const [route, cancel] of this.#lingering) {
      cancel()
      this.#engine.unroute(route)
    }
    this.#lingering.clear()
    if (this.#id >= 0) this.#engine.unroute(this.#id)
    this.#id = -1
  }
}
