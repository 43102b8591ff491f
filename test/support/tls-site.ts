/** A proxy with TLS under test, with its clients, TLS servers and relays. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConnectionOptions, TlsOptions } from 'node:tls'
import type { DownstreamTlsConfig } from '#sluice/config/types.js'
import type { EngineKind } from '#sluice/engine/engine.js'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import { Site, type SiteOptions } from '../faults/support.js'
import type { Issued } from './certificates.js'
import { engineKinds } from './engines.js'
import { Peer, PeerServer } from './peer.js'
import { type Attempt, type DialOptions, helloBytes, TlsPeer, TlsServer } from './tls-peer.js'
import { Relay, type RelayOptions } from './tls-relay.js'

export type { SiteOptions } from '../faults/support.js'

/** What a test brings along: ended before the proxy is checked, closed after it. */
export class Stage {
  readonly kind: EngineKind
  readonly #peers: Peer[] = []
  readonly #servers: TlsServer[] = []
  readonly #relays: Relay[] = []
  #plain: PeerServer | undefined
  #site: Site | undefined

  constructor(kind: EngineKind) {
    this.kind = kind
  }

  set site(site: Site) {
    this.#site = site
  }

  /** The proxy under test; there is none before it started. */
  get site(): Site {
    assert.ok(this.#site, 'the proxy has not started')
    return this.#site
  }

  /** A TLS client of the proxy, or of `port`; the handshake must succeed. */
  async dial(options: DialOptions = {}, port = this.site.port): Promise<TlsPeer> {
    const peer = await TlsPeer.dial(port, options)
    this.#peers.push(peer)
    return peer
  }

  /** The same where the handshake may fail. */
  async attempt(options: DialOptions = {}, port = this.site.port): Promise<Attempt> {
    const attempt = await TlsPeer.attempt(port, options)
    if (attempt.peer) this.#peers.push(attempt.peer)
    return attempt
  }

  /** A handshake over a TCP client that is there. */
  async over(peer: Peer, options: ConnectionOptions): Promise<Attempt> {
    const attempt = await TlsPeer.over(peer.socket, options)
    if (attempt.peer) this.#peers.push(attempt.peer)
    return attempt
  }

  /** What a client sends first. */
  hello(options: ConnectionOptions = {}): Promise<Buffer> {
    return helloBytes(options)
  }

  /** A TCP client of the proxy. */
  async dialRaw(port = this.site.port): Promise<Peer> {
    const peer = await Peer.connect({ port })
    this.#peers.push(peer)
    return peer
  }

  /** A TLS client and its session's server, once a byte went through. */
  async pair(options: DialOptions = {}): Promise<{ client: TlsPeer; server: Peer }> {
    const client = await this.dial(options)
    await client.send('>')
    const server = await this.site.upstream.accept()
    await server.expect('>')
    return { client, server }
  }

  /** A TLS server that shows a certificate. */
  async server(issued: Issued, options: TlsOptions = {}): Promise<TlsServer> {
    const server = await TlsServer.listen({ cert: issued.chain, key: issued.key, ...options })
    this.#servers.push(server)
    return server
  }

  /** A TCP server, the same one at every call: for what is there before the proxy is. */
  async plain(): Promise<PeerServer> {
    this.#plain ??= await PeerServer.listen()
    return this.#plain
  }

  async relay(target: number, options: RelayOptions = {}): Promise<Relay> {
    const relay = await Relay.listen(target, options)
    this.#relays.push(relay)
    return relay
  }

  /** How session `n` ended, as 'by phase code', and its errno. */
  async end(n?: number): Promise<{ reason: string; errno: number | undefined }> {
    const { by, phase, code, errno } = await this.site.record(n)
    return { reason: `${by} ${phase} ${code}`, errno }
  }

  /** Ends every peer; listeners stay. */
  endPeers(): void {
    for (const peer of this.#peers) peer.destroy()
    for (const server of this.#servers) server.endPeers()
    for (const peer of this.#plain?.all ?? []) peer.destroy()
    for (const peer of this.#site?.upstream.all ?? []) peer.destroy()
    for (const relay of this.#relays) relay.endPeers()
  }

  close(): void {
    this.endPeers()
    for (const server of this.#servers) server.close()
    this.#plain?.close()
    for (const relay of this.#relays) relay.close()
  }
}

/**
 * A test of a proxy on each engine. `prepare` makes the servers and says the
 * configuration. At its end nothing is left over. `failing`: the test is about
 * failures that are logged as errors.
 */
export function tlsTest(
  name: string,
  prepare: SiteOptions | ((stage: Stage) => SiteOptions | Promise<SiteOptions>),
  run: (stage: Stage) => Promise<void>,
  { failing = false, kinds = engineKinds } = {},
): void {
  for (const kind of engineKinds.filter((it) => kinds.includes(it))) {
    test(`${kind}: ${name}`, { timeout: 120_000 }, () => once(kind, prepare, run, failing))
  }
}

async function once(
  kind: EngineKind,
  prepare: SiteOptions | ((stage: Stage) => SiteOptions | Promise<SiteOptions>),
  run: (stage: Stage) => Promise<void>,
  failing: boolean,
): Promise<void> {
  const uncaught: unknown[] = []
  const onUncaught = (error: unknown) => void uncaught.push(error)
  process.on('uncaughtException', onUncaught)
  const stage = new Stage(kind)
  try {
    const options = typeof prepare === 'function' ? await prepare(stage) : prepare
    const site = await Site.start(kind, options)
    stage.site = site
    try {
      await run(stage)
      stage.close()
      // What the proxy was about to connect arrives a moment later.
      const sweeping = setInterval(() => stage.endPeers(), 20)
      await site.settle().finally(() => clearInterval(sweeping))
      if (!failing) assert.deepEqual(site.errors(), [])
    } finally {
      await site.proxy.stop({ deadline: '0s' })
      site.upstream.close()
    }
  } finally {
    stage.close()
    process.off('uncaughtException', onUncaught)
  }
  assert.deepEqual(uncaught, [])
}

/** A frontend that terminates TLS. */
export function terminating(
  tls: DownstreamTlsConfig | DownstreamTlsConfig[],
  more: SiteOptions = {},
): SiteOptions {
  const { frontend, ...rest } = more
  return { ...rest, frontend: { bind: { address: '127.0.0.1:0', tls }, ...frontend } }
}

/** 'by phase code'. */
export function reasonOf({ by, phase, code }: SessionRecord): string {
  return `${by} ${phase} ${code}`
}
