/**
 * A proxy under test, on either engine and on real sockets: records how each
 * session ends, and checks at its end that nothing is left over.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { BackendConfig, Config, FrontendConfig } from '#sluice/config/types.js'
import type { EngineKind } from '#sluice/engine/engine.js'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import { createProxy } from '#sluice/proxy/create.js'
import type { SluiceProxy } from '#sluice/proxy/proxy.js'
import { withBlackhole } from '../support/blackhole.js'
import { openFds } from '../support/engine-harness.js'
import { engineKinds } from '../support/engines.js'
import { type LogLine, memoryLogger } from '../support/harness.js'
import { PATIENCE, Peer, PeerServer } from '../support/peer.js'

/** pino's level of 'error': a defect of the proxy, unless a test is about a failing policy. */
const ERROR = 50

export interface SiteOptions {
  frontend?: Partial<FrontendConfig>
  backend?: Partial<BackendConfig>
  config?: Partial<Config>
}

/** Options that need to know the upstream's port. */
export type OptionsFor = (upstream: number) => SiteOptions

/** A proxy with a frontend 'web' and a backend 'app', clients and one upstream. */
export class Site {
  readonly kind: EngineKind
  readonly proxy: SluiceProxy
  readonly upstream: PeerServer
  readonly records: SessionRecord[] = []
  readonly lines: LogLine[]
  /** The test has stopped the proxy itself. */
  stopped = false
  readonly #clients: Peer[] = []
  readonly #fds: number

  private constructor(
    kind: EngineKind,
    proxy: SluiceProxy,
    upstream: PeerServer,
    lines: LogLine[],
    fds: number,
  ) {
    this.kind = kind
    this.proxy = proxy
    this.upstream = upstream
    this.lines = lines
    this.#fds = fds
    proxy.on('session', (record) => this.records.push(record))
  }

  static async start(kind: EngineKind, given: SiteOptions | OptionsFor): Promise<Site> {
    const fds = openFds()
    const upstream = await PeerServer.listen()
    const options = typeof given === 'function' ? given(upstream.port) : given
    const { logger, lines } = memoryLogger()
    const config: Config = {
      global: { maxconn: 500 },
      frontends: { web: { bind: '127.0.0.1:0', backend: 'app', ...options.frontend } },
      backends: {
        app: {
          servers: { a: `127.0.0.1:${upstream.port}` },
          retries: 0,
          passive: false,
          ...options.backend,
        },
      },
      ...options.config,
    }
    const proxy = createProxy(config, { engine: kind, logger })
    await proxy.start()
    return new Site(kind, proxy, upstream, lines, fds)
  }

  get port(): number {
    return this.proxy.addresses.web?.[0]?.port as number
  }

  async dial(): Promise<Peer> {
    const peer = await Peer.connect({ port: this.port })
    this.#clients.push(peer)
    return peer
  }

  /** A client with its session's server, once payload flows. */
  async pair(): Promise<{ client: Peer; server: Peer }> {
    const client = await this.dial()
    await client.send('>')
    for (;;) {
      const server = await this.upstream.accept()
      // One of a client that has gone meanwhile sends nothing.
      await server.until(() => server.received > 0 || server.ended !== undefined)
      if (server.received === 0) continue
      await server.expect('>')
      return { client, server }
    }
  }

  /** Record number `n` (from 0), when it is there. */
  async record(n = this.records.length): Promise<SessionRecord> {
    await this.until(() => this.records.length > n, `session ${n} ends`)
    return this.records[n] as SessionRecord
  }

  /** How the next session ends, as 'by phase code'. */
  async ending(n?: number): Promise<string> {
    const { by, phase, code } = await this.record(n)
    return `${by} ${phase} ${code}`
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + PATIENCE
    while (!condition()) {
      assert.ok(performance.now() < deadline, `did not happen: ${what}`)
      await delay(5)
    }
  }

  /** The proxy still serves: bytes go both ways on a new connection. */
  async serves(): Promise<void> {
    const { client, server } = await this.pair()
    await server.send('<')
    await client.expect('<')
    const n = this.records.length
    client.fin()
    server.fin()
    await this.until(() => this.records.length > n, 'the session ends')
  }

  /** Lines of level error and above. */
  errors(): LogLine[] {
    return this.lines.filter(({ level }) => level >= ERROR)
  }

  /** Ends the peers and the proxy, and checks that everything is back to zero. */
  async settle(): Promise<void> {
    for (const client of this.#clients) client.destroy()
    for (const server of this.upstream.all) server.destroy()
    const { proxy } = this
    const outcome = await proxy.stop({ deadline: `${PATIENCE}ms` })
    if (!this.stopped) assert.deepEqual(outcome, { drained: true, closed: 0 })
    const { engine, connections, frontends, backends } = proxy.stats()
    assert.equal(connections, 0)
    assert.equal(engine?.connections, 0)
    assert.equal(engine?.pipesBorrowed, 0)
    assert.equal(engine?.buffersBorrowed, 0)
    assert.equal(frontends.web?.current, 0)
    for (const [name, { queued, servers }] of Object.entries(backends)) {
      assert.equal(queued, 0, `sessions are left in the queue of ${name}`)
      for (const server of Object.values(servers)) assert.equal(server.sessions, 0)
    }
    this.upstream.close()
    await this.until(() => openFds() <= this.#fds, 'every descriptor is given back')
  }
}

/** A test of a site on each engine. `failing`: the test is about policies whose failures are logged. */
export function faultTest(
  name: string,
  options: SiteOptions | OptionsFor,
  run: (site: Site) => Promise<void>,
  { failing = false } = {},
): void {
  eachEngine(name, (kind) => runSite(kind, options, run, failing))
}

/** The same with a server that neither accepts nor refuses. */
export function blackholeTest(
  name: string,
  options: SiteOptions,
  run: (site: Site) => Promise<void>,
): void {
  eachEngine(name, (kind) =>
    withBlackhole((hole) => {
      const backend = { servers: { hole: `127.0.0.1:${hole}` }, ...options.backend }
      return runSite(kind, { ...options, backend }, run, false)
    }),
  )
}

function eachEngine(name: string, run: (kind: EngineKind) => Promise<void>): void {
  for (const kind of engineKinds) test(`${kind}: ${name}`, { timeout: 120_000 }, () => run(kind))
}

async function runSite(
  kind: EngineKind,
  options: SiteOptions | OptionsFor,
  run: (site: Site) => Promise<void>,
  failing: boolean,
): Promise<void> {
  const site = await Site.start(kind, options)
  try {
    await run(site)
    await site.settle()
    if (!failing) assert.deepEqual(site.errors(), [])
  } finally {
    await site.proxy.stop({ deadline: '0s' })
    site.upstream.close()
  }
}
