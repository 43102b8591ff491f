/** What a proxy registers with its engine: listeners, routes, contexts of TLS. */

import type {
  DownstreamTlsSpec,
  ListenResult,
  ListenSpec,
  RouteSpec,
  UpstreamTlsSpec,
} from '../../engine/engine.js'
import { listenError } from '../../engine/listen-error.js'
import type { TestContext } from './parts.js'

export class Registry {
  readonly listeners = new Map<number, ListenSpec>()
  readonly routes = new Map<number, RouteSpec>()
  /** TLS contexts that were made and not forgotten. */
  readonly contexts = new Map<number, TestContext>()
  /** Listening on this port fails with EADDRINUSE. */
  busyPort = -1
  #nextListener = 0
  #nextRoute = 0
  #nextContext = 0
  #nextPort = 40_000

  listen(spec: ListenSpec): Promise<ListenResult> {
    const { address } = spec
    if (address.kind === 'tcp' && address.port === this.busyPort) {
      const cause = Object.assign(new Error('bind'), { code: 'EADDRINUSE', syscall: 'bind' })
      return Promise.reject(listenError(address, cause))
    }
    const listener = this.#nextListener++
    this.listeners.set(listener, spec)
    const actual: ListenResult['address'] =
      address.kind === 'tcp'
        ? {
            family: address.host.includes(':') ? 'IPv6' : 'IPv4',
            address: address.host,
            port: address.port || this.#nextPort++,
          }
        : {
            family: 'unix',
            address: address.kind === 'unix' ? address.path : `fd@${address.fd}`,
            port: 0,
          }
    return Promise.resolve({ listener, address: actual })
  }

  unlisten(listener: number): Promise<void> {
    this.listeners.delete(listener)
    return Promise.resolve()
  }

  route(spec: RouteSpec): number {
    this.routes.set(this.#nextRoute, spec)
    return this.#nextRoute++
  }

  downstreamTls(spec: DownstreamTlsSpec): number {
    this.contexts.set(this.#nextContext, { side: 'server', spec })
    return this.#nextContext++
  }

  upstreamTls(spec: UpstreamTlsSpec): number {
    this.contexts.set(this.#nextContext, { side: 'client', spec })
    return this.#nextContext++
  }

  tlsForget(context: number): void {
    this.contexts.delete(context)
  }

  unroute(route: number): void {
    this.routes.delete(route)
  }
}
