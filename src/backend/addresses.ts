/**
 * The addresses of one server, and the route to each that was ever used. One is
 * current: it is used until a connect to it fails, then the next one is. So the
 * address that worked last goes first.
 */

import type { Clock } from '../base/clock.js'
import type { RouteSpec } from '../engine/engine.js'
import { type Router, ServerRoute } from './route.js'

interface Address {
  /** '' where the server's address is no name. */
  readonly ip: string
  route: ServerRoute | undefined
}

export class ServerAddresses {
  readonly #engine: Router
  readonly #clock: Clock
  #addresses: Address[] = []
  #specOf: (ip: string) => RouteSpec = () => {
    throw new Error('no address was set')
  }
  /** Routes to addresses that are no longer ours, until connects that name them are through. */
  readonly #retired = new Set<ServerRoute>()
  #at = 0
  /** Addresses that failed in a row, at most all of them; none is known to work. */
  #misses = 0

  constructor(engine: Router, clock: Clock) {
    this.#engine = engine
    this.#clock = clock
  }

  /** Engine route to the current address, -1 while there is none. */
  get id(): number {
    return this.#current?.id ?? -1
  }

  /** The current address; '' where it is no name's, or there is none. */
  get ip(): string {
    return this.#addresses[this.#at]?.ip ?? ''
  }

  /** Where the current route leads; undefined while there is none. */
  get address(): string | undefined {
    return this.#current?.address
  }

  /** One address failed, and whether another one works is not known yet. */
  get searching(): boolean {
    return this.#misses > 0 && this.#addresses.length > 1
  }

  /**
   * Takes these addresses, at least one, in order of preference. The current one stays where it
   * is among them. `specOf`: the route to an address; what it throws is thrown, and nothing has
   * changed then.
   */
  use(ips: readonly string[], specOf: (ip: string) => RouteSpec): void {
    const before = this.#addresses
    const kept = Math.max(ips.indexOf(this.ip), 0)
    const isSame = ips.length === before.length && ips.every((ip, i) => ip === before[i]?.ip)
    if (isSame) return
    const first =
      before.find(({ ip }) => ip === ips[kept])?.route ?? this.#routeTo(ips[kept], specOf)
    this.#specOf = specOf
    this.#addresses = ips.map((ip, i) => ({
      ip,
      route: i === kept ? first : before.find((old) => old.ip === ip)?.route,
    }))
    for (const { ip, route } of before) if (route && !ips.includes(ip)) this.#retire(route)
    this.#at = kept
    this.#misses = 0
  }

  /** A connect by this route failed. Whether every address has failed since one worked. */
  failed(route: number): boolean {
    const count = this.#addresses.length
    if (count < 2) return true
    if (this.#current?.has(route)) {
      this.#misses = Math.min(this.#misses + 1, count)
      this.#at = (this.#at + 1) % count
      const next = this.#addresses[this.#at] as Address
      next.route ??= this.#routeTo(next.ip, this.#specOf)
    }
    // By another route: somebody else found out before, and moved on.
    return this.#misses >= count
  }

  /** Whether there is a current address and none of these routes leads to it. */
  hasUntried(routes: readonly number[]): boolean {
    const current = this.#current
    return current !== undefined && !routes.some((route) => current.has(route))
  }

  /** A connect by this route succeeded. */
  succeeded(route: number): void {
    if (this.#misses > 0 && this.#current?.has(route)) this.#misses = 0
  }

  /** Another TLS context took the place of the routes'. */
  setContext(context: number): void {
    for (const { route } of this.#addresses) route?.setContext(context)
  }

  /** As `ServerRoute.variant`, of the current route. */
  variant(serverName: string | undefined, port: number | undefined): number {
    return (this.#current as ServerRoute).variant(serverName, port)
  }

  /** Whether a route leads to this server, also where it was replaced a moment ago. */
  has(route: number): boolean {
    for (const retired of this.#retired) if (retired.has(route)) return true
    return this.#addresses.some((address) => address.route?.has(route))
  }

  /** Takes every route back at once. */
  close(): void {
    for (const { route } of this.#addresses) route?.close()
    for (const route of this.#retired) route.close()
    this.#addresses = []
  }

  get #current(): ServerRoute | undefined {
    return this.#addresses[this.#at]?.route
  }

  #retire(route: ServerRoute): void {
    this.#retired.add(route)
    route.retire(() => this.#retired.delete(route))
  }

  #routeTo(ip: string | undefined, specOf: (ip: string) => RouteSpec): ServerRoute {
    const route = new ServerRoute(this.#engine, this.#clock)
    route.set(specOf(ip as string))
    return route
  }
}
