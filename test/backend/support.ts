/** A backend with a fake engine, a virtual clock and clients that note what happens to them. */

import { type Logger, pino } from 'pino'
import {
  Backend,
  type BackendClient,
  type BackendDeps,
  type Server,
} from '#sluice/backend/backend.js'
import type { Candidate } from '#sluice/backend/balance/balancer.js'
import type { Resolver } from '#sluice/backend/resolve.js'
import type {
  ResolvedBackend,
  ResolvedServer,
  ResolvedUpstreamTls,
} from '#sluice/config/resolved.js'
import type { Engine, RouteSpec } from '#sluice/engine/engine.js'
import type { Connection } from '#sluice/policy/types.js'
import { settle, VirtualClock } from '#sluice/testing/clock.js'

/** Only what backends use of an engine. */
export class FakeEngine {
  /** Calls of `eager` with true that wait for one with false. */
  eagerFor = 0

  readonly routes = new Map<number, RouteSpec>()
  #next = 0

  eager(wanted: boolean): void {
    this.eagerFor += wanted ? 1 : -1
  }

  route(spec: RouteSpec): number {
    this.routes.set(this.#next, spec)
    return this.#next++
  }

  unroute(route: number): void {
    if (!this.routes.delete(route)) throw new Error(`route ${route} is not registered`)
  }
}

export interface LogLine {
  level: number
  msg: string
  [key: string]: unknown
}

export function captureLog(): { log: Logger; lines: LogLine[] } {
  const lines: LogLine[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(JSON.parse(line)) })
  return { log, lines }
}

export function server(
  name: string,
  id: number,
  options: Partial<ResolvedServer> = {},
): ResolvedServer {
  return {
    name,
    id,
    address: { kind: 'ip', ip: '127.0.0.1', port: 9000 + id },
    weight: 1,
    maxconn: 0,
    backup: false,
    state: 'ready',
    keepAlive: undefined,
    userTimeout: 0,
    sendProxy: undefined,
    tls: undefined,
    socks: undefined,
    source: undefined,
    ...options,
  }
}

/** TLS towards 'up.example'. */
export function clientTls(options: Partial<ResolvedUpstreamTls> = {}): ResolvedUpstreamTls {
  return {
    path: 'backends.app.servers.a.tls',
    alpn: [],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: [],
    groups: [],
    ca: [],
    crl: [],
    verify: true,
    systemCa: true,
    serverName: 'up.example',
    chooseServerName: undefined,
    certificate: undefined,
    resumption: true,
    ...options,
  }
}

/** Servers a, b, c ... with these options. */
export function serversOf(...options: Partial<ResolvedServer>[]): ResolvedServer[] {
  return options.map((option, i) => server(String.fromCharCode(97 + i), i + 1, option))
}

export function backendConfig(
  servers: ResolvedServer[],
  options: Partial<ResolvedBackend> = {},
): ResolvedBackend {
  return {
    name: 'app',
    balance: { algorithm: 'roundrobin' },
    servers,
    maxqueue: 1024,
    retries: 3,
    redispatch: 1,
    allBackups: false,
    retryDelay: 1000,
    passive: undefined,
    stick: undefined,
    timeouts: { server: 60_000, serverFin: 30_000, connect: 5_000, queue: 2_000, tunnel: 0 },
    ...options,
  }
}

const silent = pino({ level: 'silent' })

export function connection(src = '192.0.2.1', log: Logger = silent): Connection {
  return { src, log } as Connection
}

export class FakeClient implements BackendClient {
  readonly connection: Connection
  readonly priority: number
  server: Server | undefined
  expired = 0
  onDequeued: ((server: Server) => void) | undefined

  constructor(priority = 0, conn: Connection = connection()) {
    this.priority = priority
    this.connection = conn
  }

  dequeued(given: Server): void {
    if (this.server) throw new Error('dequeued twice')
    this.server = given
    this.onDequeued?.(given)
  }

  queueExpired(): void {
    this.expired++
  }
}

export interface World {
  backend: Backend
  clock: VirtualClock
  engine: FakeEngine
  lines: LogLine[]
  changes: string[]
  byName(name: string): Server
}

const noResolver: Resolver = { lookup: async (host) => Promise.reject(new Error(`no ${host}`)) }

export function makeWorld(config: ResolvedBackend, deps: Partial<BackendDeps> = {}): World {
  const clock = new VirtualClock()
  const engine = new FakeEngine()
  const { log, lines } = captureLog()
  const changes: string[] = []
  const backend = new Backend(config, {
    clock,
    engine: engine as unknown as Engine,
    resolver: noResolver,
    log,
    onServerState: (changed, from, to) => changes.push(`${changed.name}: ${from} > ${to}`),
    ...deps,
  })
  const byName = (name: string): Server => {
    const found = backend.servers.find((candidate) => candidate.name === name)
    if (!found) throw new Error(`no server ${name}`)
    return found
  }
  return { backend, clock, engine, lines, changes, byName }
}

export async function startWorld(
  config: ResolvedBackend,
  deps?: Partial<BackendDeps>,
): Promise<World> {
  const world = makeWorld(config, deps)
  await world.backend.start()
  return world
}

/** Name of the server that a new client is given, or the kind of answer. */
export function choose(
  backend: Backend,
  client: BackendClient = new FakeClient(),
  avoid?: Server,
): string {
  const pick = backend.pick(client, avoid && [avoid])
  return pick.kind === 'server' ? pick.server.name : pick.kind
}

/** Name of the server that a client which waited was given. */
export function givenTo(client: FakeClient): string | undefined {
  return client.server?.name
}

export { settle }

/** A candidate for balance algorithms on their own. */
export interface TestCandidate extends Candidate {
  weight: number
  sessions: number
  limit: number
}

export function candidate(
  id: number,
  weight = 1,
  sessions = 0,
  limit = Number.POSITIVE_INFINITY,
): TestCandidate {
  return { name: `s${id}`, id, weight, sessions, limit }
}
