/**
 * A backend: its servers, who gets which, and who waits. Counts move when a
 * slot is taken and when it is given back, and at no other time.
 */

import type { Logger } from 'pino'
import type { ResolvedBackend, ResolvedServer } from '../config/resolved.js'
import type { Engine } from '../engine/engine.js'
import type { BackendView } from '../policy/live.js'
import type { StickTable } from '../tables/stick-table.js'
import { ServerAddresses } from './addresses.js'
import type { Asker } from './asker.js'
import { type Balancer, isFree } from './balance/balancer.js'
import { createBalancer } from './balance/index.js'
import { inFront, leastBad, serves } from './candidates.js'
import { isLocalFailure, PassiveMark } from './passive.js'
import { type BackendClient, FULL, NONE, type Pick, QUEUED } from './pick.js'
import { WaitQueue } from './queue.js'
import { Reach, type ReachDeps } from './reach.js'
import { tellStatus } from './report.js'
import type { Router } from './route.js'
import { BackendServer, type Server } from './server.js'
import { Stickiness } from './stickiness.js'
import { viewBackend } from './view.js'

export type { Asker } from './asker.js'
export type { BackendClient, Pick } from './pick.js'
export type { Resolver } from './resolve.js'
export type { Server } from './server.js'

export interface BackendDeps extends ReachDeps {
  engine: Router & { eager: Engine['eager'] }
  log: Logger
  /** The table that `config.stick` names. */
  table?: StickTable | undefined
  onServerState?: ((server: Server, from: string, to: string) => void) | undefined
  /** Closes the sessions of a server; returns how many. */
  shutdown?: ((server: Server) => number) | undefined
  /** Uniform in [0, 1), for balance 'random'. */
  random?: (() => number) | undefined
}

/** ms beyond the connect time-out until a trial without an outcome is forgotten. */
const TRIAL_SLACK = 1_000
/** Connect time-out that is assumed for trials where there is none. */
const TRIAL_TIME = 5_000

export class Backend {
  readonly name: string
  readonly config: ResolvedBackend
  readonly servers: readonly Server[]
  readonly byName: ReadonlyMap<string, Server>
  /** As programs and rules hold it. */
  readonly view: BackendView
  /** Sessions that hold a slot of a server. */
  sessions = 0
  /** Servers that take new sessions, of those that go first. */
  usable = 0
  readonly #deps: BackendDeps
  readonly #log: Logger
  readonly #servers: readonly BackendServer[]
  readonly #byId = new Map<number, BackendServer>()
  readonly #balancer: Balancer<BackendServer>
  readonly #stickiness: Stickiness | undefined
  readonly #queue: WaitQueue<BackendClient, BackendServer>
  readonly #reach: Reach
  #active: readonly BackendServer[] = []
  #started = false
  #stopped = false
  /** The queue is being served; `#again`: what happened meanwhile may let others go. */
  #serving = false
  #again = false

  constructor(config: ResolvedBackend, deps: BackendDeps) {
    this.name = config.name
    this.config = config
    this.#deps = deps
    this.#log = deps.log.child({ backend: config.name })
    this.#reach = new Reach(deps, config.timeouts, this.#log, (server) => this.#changed(server))
    this.#servers = config.servers.map((server) => this.#makeServer(server))
    this.servers = this.#servers
    this.byName = new Map(this.servers.map((server) => [server.name, server]))
    for (const server of this.#servers) this.#byId.set(server.id, server)
    this.#balancer = createBalancer(config.balance, config.servers, deps.random ?? Math.random)
    if (config.stick && deps.table) this.#stickiness = new Stickiness(config.stick, deps.table)
    this.#queue = new WaitQueue(
      deps.clock,
      config.maxqueue,
      config.timeouts.queue,
      (client) => this.#call('queueExpired', () => client.queueExpired()),
      (waited) => deps.engine.eager(waited),
    )
    this.view = viewBackend(
      this,
      this.#servers,
      (server) => this.#queue.ownedBy(server),
      (server) => deps.shutdown?.(server) ?? 0,
    )
    this.#activate()
  }

  /** Clients that wait for a slot. */
  get queued(): number {
    return this.#queue.size
  }

  /**
   * Registers the routes and resolves host names once; those that do not
   * resolve leave their server out, and are tried again. Precondition: the
   * engine has started.
   */
  async start(): Promise<void> {
    await this.#reach.start(this.#servers)
    for (const server of this.#servers) server.reported = server.status
    this.#started = true
    this.#activate()
  }

  /**
   * Chooses a server and takes a slot there, or puts the client into the
   * queue. Servers that are not among `avoid` are chosen where any has a free
   * slot, also where they are marked as down. Precondition: the client holds no
   * slot of this backend and is not queued.
   */
  pick(client: BackendClient, avoid?: readonly Server[]): Pick {
    if (this.#stopped) return NONE
    const avoided = avoid as readonly BackendServer[] | undefined
    const wanted = client.wanted && this.#pickWanted(client, client.wanted, avoided)
    if (wanted !== undefined) return wanted
    let server = this.#stuck(client, avoided) ?? this.#balancer.pick(client, avoided)
    if (server === undefined && avoided !== undefined) {
      server = this.#leastBad(avoided) ?? this.#balancer.pick(client)
    }
    if (server === undefined) {
      return this.#active.length === 0 ? NONE : this.#enqueue(client, undefined)
    }
    if (server.sessions >= server.limit) return this.#enqueue(client, server)
    this.#take(server, client)
    return server.picked
  }

  /** Whether a server that is not among `avoid` has a free slot. */
  offers(avoid: readonly Server[]): boolean {
    const avoided = avoid as readonly BackendServer[]
    return (
      this.#active.some((server) => isFree(server, avoided)) ||
      this.#leastBad(avoided) !== undefined
    )
  }

  /** The client leaves the queue; nothing happens where it is not in it. */
  cancel(client: BackendClient): void {
    this.#queue.remove(client)
  }

  /** Gives one slot back, once for each that was taken, and lets the next client have it. */
  release(server: Server): void {
    const freed = server as BackendServer
    if (freed.backend !== this || freed.sessions <= 0) {
      const err = new Error(`a slot of server '${server.name}' was given back that nobody holds`)
      this.#log.error({ err, server: server.name }, 'internal error: double release')
      return
    }
    freed.sessions--
    this.sessions--
    if (freed.sessions === 0) freed.passive?.endTrial()
    if (this.#queue.size > 0) this.#serveSlot(freed)
  }

  /**
   * A connect to the server by `route` failed; said before its slot is given back. `code`: of
   * `Code`. Where its name has several addresses the next one is used from now on, and the server
   * has failed once all of them have.
   */
  failed(server: Server, code: number, route = -1): void {
    if (this.#stopped) return
    const { passive, routes, name } = server as BackendServer
    if (isLocalFailure(code)) {
      passive?.endTrial()
      return
    }
    const before = routes.ip
    if (routes.failed(route)) passive?.failed(code)
    const address = routes.ip
    if (address !== before) this.#log.debug({ server: name, address }, 'the next address is used')
  }

  /** A connect to the server by `route` succeeded. */
  succeeded(server: Server, route = -1): void {
    const { passive, routes } = server as BackendServer
    routes.succeeded(route)
    passive?.succeeded()
  }

  /** The TLS contexts of servers may be other ones now: new connects take those. */
  renewTls(): void {
    if (!this.#stopped) this.#reach.renewTls(this.#servers)
  }

  /** Gives up routes, timers and the queue; whoever waits there expires. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#reach.stop()
    for (const server of this.#servers) {
      server.passive?.stop()
      server.routes.close()
    }
    this.#queue.close()
  }

  #makeServer(config: ResolvedServer): BackendServer {
    const { clock, engine } = this.#deps
    const { passive, timeouts } = this.config
    const trialTime = (timeouts.connect || TRIAL_TIME) + TRIAL_SLACK
    const mark =
      passive && config.address.kind !== 'applet'
        ? new PassiveMark(passive, clock, trialTime, () => this.#changed(server))
        : undefined
    const changed = () => this.#changed(server)
    const routes = new ServerAddresses(engine, clock)
    const server: BackendServer = new BackendServer(this, config, routes, mark, changed)
    return server
  }

  /** The server that the connection sticks to, where it can be used. */
  #stuck(asker: Asker, avoid?: readonly BackendServer[]): BackendServer | undefined {
    if (this.#stickiness === undefined) return undefined
    const server = this.#byId.get(this.#stickiness.match(asker.connection))
    if (server === undefined || avoid?.includes(server)) return undefined
    return serves(server) ? server : undefined
  }

  #leastBad(avoid: readonly BackendServer[]): BackendServer | undefined {
    return leastBad(this.#servers, this.#active[0]?.config.backup ?? true, avoid)
  }

  /** What the choice of a policy comes to; undefined where the backend chooses. */
  #pickWanted(
    client: BackendClient,
    wanted: Server,
    avoided: readonly BackendServer[] = [],
  ): Pick | undefined {
    if (wanted.backend !== this) return undefined
    const server = wanted as BackendServer
    const usable = serves(server)
    if (client.strict !== true && (!usable || avoided.includes(server))) return undefined
    if (!usable || server.sessions >= server.limit) return this.#enqueue(client, server)
    this.#take(server, client)
    return server.picked
  }

  #take(server: BackendServer, asker: Asker): void {
    server.take()
    this.sessions++
    this.#stickiness?.store(asker.connection, server.id)
  }

  #enqueue(client: BackendClient, owner: BackendServer | undefined): Pick {
    if (this.#queue.remove(client)) {
      const err = new Error('a client that waits in the queue asked for a server again')
      this.#log.error({ err }, 'internal error: queued twice')
    }
    return this.#queue.add(client, owner) ? QUEUED : FULL
  }

  /** Something about a server changed: report it, balance anew, and serve the queue. */
  #changed(server: BackendServer): void {
    if (this.#stopped) return
    if (this.#started) this.#report(server)
    this.#activate()
    for (const each of this.#servers) if (!serves(each)) this.#queue.disown(each)
    this.#serve()
  }

  #report(server: BackendServer): void {
    const from = server.reported
    const to = server.status
    if (from === to) return
    server.reported = to
    tellStatus(this.#log, server, from, to)
    this.#call('onServerState', () => this.#deps.onServerState?.(server, from, to))
  }

  /**
   * Whom to balance over: the usable servers, or the usable backup where there are none. Where
   * nobody is left marks do not count: a server that may be there is better than none.
   */
  #activate(): void {
    const enabled = this.#servers.filter((server) => server.enabled)
    const { allBackups } = this.config
    const usable = inFront(
      enabled.filter(({ takesNew }) => takesNew),
      allBackups,
    )
    this.usable = usable.length
    this.#active = usable.length > 0 ? usable : inFront(enabled, allBackups)
    for (const server of this.#servers) server.active = this.#active.includes(server)
    this.#balancer.update(this.#active)
  }

  /** Gives the free slots of one server to those who wait. */
  #serveSlot(server: BackendServer): void {
    if (this.#serving) {
      this.#again = true
      return
    }
    this.#serving = true
    this.#drain(server, true)
    this.#serving = false
    if (this.#again) this.#serve()
  }

  /** Serves everybody who can be served, as if they came now in their order. */
  #serve(): void {
    this.#again = this.#queue.size > 0
    if (this.#serving) return
    this.#serving = true
    while (this.#again) {
      this.#again = false
      for (const server of this.#servers) this.#drain(server, false)
      for (let client = this.#queue.nextCommon(); client; client = this.#queue.nextCommon()) {
        const server = this.#balancer.pick(client)
        if (server === undefined) break
        if (server.sessions >= server.limit) this.#queue.move(client, server)
        else this.#hand(server, client)
      }
    }
    this.#serving = false
  }

  /** `common`: also to those who wait for any server. */
  #drain(server: BackendServer, common: boolean): void {
    while (server.sessions < server.limit && serves(server)) {
      const client = this.#queue.next(server, common && server.active)
      if (client === undefined) return
      this.#hand(server, client)
    }
  }

  #hand(server: BackendServer, client: BackendClient): void {
    this.#queue.remove(client)
    this.#take(server, client)
    this.#call('dequeued', () => client.dequeued(server))
  }

  /** Somebody else's code must not leave the backend halfway through. */
  #call(what: string, fn: () => void): void {
    try {
      fn()
    } catch (err) {
      this.#log.error({ err }, `internal error: ${what} threw`)
    }
  }
}
