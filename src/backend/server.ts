/** One server of a backend: its slots, its weight and whether it may be used. */

import { isIP } from 'node:net'
import { inspect } from 'node:util'
import { isHostName, normalName } from '../address/host-name.js'
import { SluiceError } from '../base/errors.js'
import type { ResolvedServer } from '../config/resolved.js'
import type { Applet } from '../policy/applet.js'
import type { ServerState, ServerStatus } from '../policy/live.js'
import type { ServerAddresses } from './addresses.js'
import type { Asker } from './asker.js'
import type { PassiveMark } from './passive.js'

const STATES: readonly ServerState[] = ['ready', 'drain', 'maint']

/** The backend of a server, as sessions come back to it. */
export interface ServerHome {
  readonly name: string
  /** Gives one slot back, once for each that was taken, and lets the next client have it. */
  release(server: Server): void
  /** A connect to the server by `route` succeeded. */
  succeeded(server: Server, route?: number): void
}

export interface Server {
  readonly name: string
  /** Number in logs and tables (`serverId`). */
  readonly id: number
  readonly backend: ServerHome
  readonly config: ResolvedServer
  /** The applet that stands where the connection would. */
  readonly applet: Applet | undefined
  /** Slots taken now. Changed by the backend only. */
  sessions: number
  readonly weight: number
  readonly state: ServerState
  readonly status: ServerStatus
  /** Outcomes of connects must be reported: failures are counted, or an address is tried out. */
  readonly wantsOutcome: boolean
  /**
   * Engine route, -1 while there is none: an applet, or a name that is not resolved. With a
   * connection it is the one for the TLS server name that policy chooses for it, and for its port
   * where the server's is relative; throws what the choice throws, and SluiceError
   * (ERR_SLUICE_ARGUMENT) for what is no name, and for a port that does not exist.
   */
  route(asker?: Asker): number
  /** Where the next connect for this connection goes: '127.0.0.1:80', 'unix:/path'; undefined for applets. */
  endpointFor(asker: Asker): string | undefined
  /** Whether an engine route leads to this server. */
  hasRoute(route: number): boolean
  /** Whether its current address is none of those that these routes led to. */
  hasUntried(routes: readonly number[]): boolean
  /** @throws SluiceError (ERR_SLUICE_ARGUMENT) for what is no state. */
  setState(state: ServerState): void
  /** 0 to 256; 0 drains. @throws SluiceError (ERR_SLUICE_ARGUMENT) */
  setWeight(weight: number): void
}

export class BackendServer implements Server {
  readonly name: string
  readonly id: number
  readonly backend: ServerHome
  readonly config: ResolvedServer
  readonly applet: Applet | undefined
  readonly routes: ServerAddresses
  /** Undefined where passive marking is off or there is nothing to connect to. */
  readonly passive: PassiveMark | undefined
  /** Most sessions at once; Infinity where there is no limit. */
  readonly limit: number
  /** The answer of `pick` for this server, made once. */
  readonly picked: { readonly kind: 'server'; readonly server: Server }
  sessions = 0
  /** Among the servers that are balanced over now. Kept by the backend. */
  active = false
  /** The status that was reported last. Kept by the backend. */
  reported: ServerStatus = 'up'
  readonly #changed: (server: BackendServer) => void
  #weight: number
  #state: ServerState

  /** `changed` is called after every change of state or weight, not for the passive mark's. */
  constructor(
    backend: ServerHome,
    config: ResolvedServer,
    routes: ServerAddresses,
    passive: PassiveMark | undefined,
    changed: (server: BackendServer) => void,
  ) {
    this.backend = backend
    this.config = config
    this.name = config.name
    this.id = config.id
    this.applet = config.address.kind === 'applet' ? config.address.applet : undefined
    this.limit = config.maxconn > 0 ? config.maxconn : Number.POSITIVE_INFINITY
    this.routes = routes
    this.passive = passive
    this.picked = Object.freeze({ kind: 'server', server: this })
    this.#changed = changed
    this.#weight = config.weight
    this.#state = config.state
  }

  get weight(): number {
    return this.#weight
  }

  get state(): ServerState {
    return this.#state
  }

  get wantsOutcome(): boolean {
    return (this.passive?.counting ?? false) || this.routes.searching
  }

  get status(): ServerStatus {
    if (this.#state === 'maint') return 'maint'
    if (!this.#reachable) return 'unresolved'
    const passive = this.passive?.state ?? 'up'
    if (passive !== 'up') return passive
    return this.#state === 'drain' || this.#weight === 0 ? 'drain' : 'up'
  }

  /** Sessions that stick to it may come: nobody took it out, and it is not marked. */
  get takesSticky(): boolean {
    return this.#state !== 'maint' && this.#reachable && !this.marked
  }

  /** New sessions may come, whatever its passive mark says. */
  get enabled(): boolean {
    return this.#state === 'ready' && this.#weight > 0 && this.#reachable
  }

  /** New sessions may come. */
  get takesNew(): boolean {
    return this.enabled && !this.marked
  }

  /** It failed, and there is no trial to be had. */
  get marked(): boolean {
    const { passive } = this
    return passive !== undefined && passive.state !== 'up' && !this.#awaitsTrial
  }

  /** Clock of the last mark. */
  get markedAt(): number {
    return this.passive?.markedAt ?? 0
  }

  get #reachable(): boolean {
    return this.applet !== undefined || this.routes.id >= 0
  }

  get #awaitsTrial(): boolean {
    const passive = this.passive
    return passive !== undefined && passive.state === 'half-open' && !passive.trial
  }

  route(asker?: Asker): number {
    const { id } = this.routes
    if (asker === undefined || id < 0) return id
    const name = this.#serverName(asker)
    const port = this.#port(asker)
    return name === undefined && port === undefined ? id : this.routes.variant(name, port)
  }

  endpointFor(asker: Asker): string | undefined {
    const { address } = this.routes
    // The route's own port is 0 where each connection has its own.
    return this.#offset === undefined || this.config.socks
      ? address
      : address?.replace(/:0$/, `:${asker.connection.dstPort + this.#offset}`)
  }

  get #offset(): number | undefined {
    const { address } = this.config
    return 'offset' in address ? address.offset : undefined
  }

  /** The port for this connection, where it is the client's with an offset. */
  #port(asker: Asker): number | undefined {
    const offset = this.#offset
    if (offset === undefined) return undefined
    const { dstPort } = asker.connection
    const port = dstPort + offset
    // A client of a unix socket came to no port.
    if (dstPort > 0 && port > 0 && port <= 65_535) return port
    throw new SluiceError(
      'ERR_SLUICE_ARGUMENT',
      `server '${this.name}' has no port for a client that came to port ${dstPort} (offset ${offset})`,
    )
  }

  /** The name that policy chooses, where it does. */
  #serverName(asker: Asker): string | undefined {
    const name: unknown = this.config.tls?.chooseServerName?.(asker.connection)
    if (name === undefined) return undefined
    if (typeof name !== 'string' || name === '') {
      throw new SluiceError(
        'ERR_SLUICE_ARGUMENT',
        `serverName of server '${this.name}' gave ${name === '' ? 'an empty name' : typeof name}, not a name`,
      )
    }
    const normal = normalName(name)
    if (!isIP(normal) && !isHostName(normal)) {
      throw new SluiceError(
        'ERR_SLUICE_ARGUMENT',
        `serverName of server '${this.name}' gave ${inspect(name)}, which is neither a host name nor an IP address`,
      )
    }
    return normal
  }

  hasRoute(route: number): boolean {
    return this.routes.has(route)
  }

  hasUntried(routes: readonly number[]): boolean {
    return this.routes.hasUntried(routes)
  }

  /** `ready` also forgets the failures: the operator says that it works. */
  setState(state: ServerState): void {
    if (!STATES.includes(state)) {
      const states = STATES.map((each) => `'${each}'`).join(', ')
      throw new SluiceError(
        'ERR_SLUICE_ARGUMENT',
        `state of server '${this.name}' must be one of ${states}, not ${inspect(state)}`,
      )
    }
    this.#state = state
    if (state === 'ready') this.passive?.succeeded()
    this.#changed(this)
  }

  setWeight(weight: number): void {
    if (!Number.isInteger(weight) || weight < 0 || weight > 256) {
      throw new SluiceError(
        'ERR_SLUICE_ARGUMENT',
        `weight of server '${this.name}' must be a whole number from 0 to 256, not ${inspect(weight)}`,
      )
    }
    this.#weight = weight
    this.#changed(this)
  }

  /** Takes a slot. Precondition: one is free. */
  take(): void {
    this.sessions++
    if (this.#awaitsTrial) this.passive?.startTrial()
  }
}
