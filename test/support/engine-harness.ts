/**
 * One engine under test: records what it tells policy, answers as a policy
 * that lets everything through unless a test says otherwise, and at the end
 * checks that nothing is left over.
 */

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ListenAddress } from '#sluice/address/bind.js'
import type {
  Engine,
  EngineEvents,
  EngineKind,
  ListenResult,
  ListenSpec,
  RouteSpec,
} from '#sluice/engine/engine.js'
import {
  ByLabels,
  CodeLabels,
  ConnectFlag,
  Field,
  Handshake,
  PhaseLabels,
} from '#sluice/wire/wire.js'
import { createEngine, engineKinds } from './engines.js'
import { PATIENCE, Peer, PeerServer, type Target } from './peer.js'

/** What the engine told. Fields that an event does not have are absent. */
export interface Told {
  event: Exclude<keyof EngineEvents, 'fatal' | 'fault'>
  conn: number
  generation: number
  listener?: number
  bit?: number
  /** Copied. */
  bytes?: Buffer
  flags?: number
  peer?: number
  elapsed?: number
  /** As 'by phase code'. */
  reason?: string
  errno?: number
  opened?: boolean
  count?: number
  connectTime?: number
  localPort?: number
  /** HelloStatus of a question about TLS. */
  hello?: number
  version?: number
  cipher?: number
  alpn?: string
  /** State of the record while the event was told. */
  record: ConnectionRecord
}

export interface ConnectionRecord {
  src: string
  dst: string
  srcPort: number
  dstPort: number
  family: number
  state: number
  flags: number
  handshakes: number
  bytesIn: number
  bytesOut: number
}

/** What a test may decide for itself. */
export interface Answers {
  handshake?(told: Told & { bit: number }): void
  bytes?(told: Told & { bytes: Buffer; flags: number }): void
  connectFailed?(told: Told): void
  data?(told: Told & { bytes: Buffer; flags: number }): void
  closed?(told: Told): void
}

export class Harness {
  readonly engine: Engine
  readonly told: Told[] = []
  readonly faults: unknown[] = []
  answers: Answers = {}
  /** Route of sessions that no answer decides, or -1. */
  defaultRoute = -1
  #unread: Told[] = []
  #wake: (() => void)[] = []
  readonly #peers: Peer[] = []
  readonly #servers: PeerServer[] = []

  private constructor(engine: Engine) {
    this.engine = engine
    engine.start(this.#events())
  }

  static async start(
    kind: EngineKind,
    options: { slots?: number; workers?: number; busyPoll?: boolean; lead?: boolean } = {},
  ): Promise<Harness> {
    return new Harness(await createEngine(kind, options))
  }

  listen(spec: Partial<ListenSpec> = {}): Promise<ListenResult> {
    return this.engine.listen({ ...defaultListen(), ...spec })
  }

  /** Listens on 127.0.0.1 and says where to connect. */
  async listenPort(spec: Partial<ListenSpec> = {}): Promise<{ port: number; listener: number }> {
    const { listener, address } = await this.listen(spec)
    return { port: address.port, listener }
  }

  /** A route to a port of 127.0.0.1 or to a unix socket; it becomes the default route. */
  route(to: number | string, spec: Partial<RouteSpec> = {}): number {
    const address: RouteSpec['address'] =
      typeof to === 'number'
        ? { kind: 'tcp', ip: '127.0.0.1', port: to }
        : { kind: 'unix', path: to }
    this.defaultRoute = this.engine.route({ ...defaultRoute(address), ...spec })
    return this.defaultRoute
  }

  async dial(target: Target): Promise<Peer> {
    const peer = await Peer.connect(target)
    this.#peers.push(peer)
    return peer
  }

  async server(at: { host?: string; path?: string } = {}): Promise<PeerServer> {
    const server = await PeerServer.listen(at)
    this.#servers.push(server)
    return server
  }

  /** A client, the server it reached through the engine, and the handle of its connection. */
  async pair(
    listen: Partial<ListenSpec> = {},
    route: Partial<RouteSpec> = {},
  ): Promise<{ client: Peer; server: Peer; conn: number; generation: number; port: number }> {
    const upstream = await this.server()
    const { port } = await this.listenPort(listen)
    this.route(upstream.port, route)
    const client = await this.dial({ port })
    const server = await upstream.accept()
    const { conn, generation } = await this.next('connected')
    return { client, server, conn, generation, port }
  }

  /** The next event of this kind that was not taken yet. */
  async next(event: Told['event'], match: (told: Told) => boolean = () => true): Promise<Told> {
    const deadline = performance.now() + PATIENCE
    for (;;) {
      const found = this.#unread.findIndex((told) => told.event === event && match(told))
      if (found >= 0) return this.#unread.splice(found, 1)[0] as Told
      if (performance.now() > deadline) {
        const had = this.told.map((told) => `${told.event} ${told.reason ?? told.bit ?? ''}`)
        throw new Error(`no '${event}' came; before it: ${had.slice(-20).join(', ')}`)
      }
      await Promise.race([new Promise<void>((wake) => this.#wake.push(wake)), delay(500)])
    }
  }

  /** Events of this kind so far, taken or not. */
  all(event: Told['event']): Told[] {
    return this.told.filter((told) => told.event === event)
  }

  /** Waits until `condition` holds. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + PATIENCE
    while (!condition()) {
      assert.ok(performance.now() < deadline, `did not happen: ${what}`)
      await delay(5)
    }
  }

  /** Closes the test's peers, waits for the engine to be idle, and checks that nothing is left. */
  async settle(): Promise<void> {
    for (const peer of this.#peers) peer.destroy()
    for (const server of this.#servers) server.close()
    await this.idle()
    const name = ({ conn, generation }: Told) => `${conn}/${generation}`
    const ended = this.all('closed').map(name)
    assert.equal(new Set(ended).size, ended.length, 'closed came twice for a connection')
    const heard = this.told.filter((told) => told.event !== 'listenerPaused')
    for (const { event, conn, generation } of heard) {
      assert.ok(ended.includes(`${conn}/${generation}`), `no closed after ${event} of ${conn}`)
    }
    assert.deepEqual(this.faults, [])
  }

  async idle(): Promise<void> {
    await this.until(() => this.engine.stats().connections === 0, 'no connection is left open')
    const name = ({ conn, generation }: Told) => `${conn}/${generation}`
    // The native engine counts a connection as gone before its last event has been read.
    const unended = () => {
      const ended = new Set(this.all('closed').map(name))
      return this.told.some((told) => told.event !== 'listenerPaused' && !ended.has(name(told)))
    }
    await this.until(() => !unended(), 'every connection is told closed')
    const { pipesBorrowed, buffersBorrowed } = this.engine.stats()
    assert.equal(pipesBorrowed, 0, 'pipes are left borrowed')
    assert.equal(buffersBorrowed, 0, 'buffers are left borrowed')
  }

  async stop(): Promise<void> {
    await this.engine.stop()
    for (const peer of this.#peers) peer.destroy()
    for (const server of this.#servers) server.close()
  }

  record(conn: number): ConnectionRecord {
    const { table } = this.engine
    return {
      src: table.src(conn),
      dst: table.dst(conn),
      srcPort: table.srcPort(conn),
      dstPort: table.dstPort(conn),
      family: table.get(conn, Field.FAMILY),
      state: table.get(conn, Field.STATE),
      flags: table.get(conn, Field.FLAGS),
      handshakes: table.get(conn, Field.HANDSHAKES),
      bytesIn: table.bytesIn(conn),
      bytesOut: table.bytesOut(conn),
    }
  }

  /** The default answer: handshakes go on, sessions take the default route. */
  pass({ conn, generation, bit }: { conn: number; generation: number; bit: number }): void {
    if (bit === Handshake.ACCEPT_SESSION) {
      this.engine.connect(conn, generation, this.defaultRoute, ConnectFlag.WANT_CONNECTED, 0)
    } else if (bit === Handshake.ACCEPT_PROXY) {
      this.engine.proceed(conn, generation, 0, 0, 0)
    } else {
      this.engine.proceed(conn, generation, bit, 0, 0)
    }
  }

  #tell(told: Omit<Told, 'record'>): Told {
    const record = told.event === 'listenerPaused' ? noRecord : this.record(told.conn)
    const whole = { ...told, record }
    this.told.push(whole)
    this.#unread.push(whole)
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
    return whole
  }

  #events(): EngineEvents {
    return {
      handshake: ({ conn, generation, listener, bit, bytes: view, hello }) => {
        const event = 'handshake'
        const bytes = Buffer.from(view)
        const told = this.#tell({ event, conn, generation, listener, bit, bytes, hello })
        if (this.answers.handshake) this.answers.handshake({ ...told, bit })
        else this.pass({ ...told, bit })
      },
      handshakeWaits: ({ conn, generation }) => {
        this.#tell({ event: 'handshakeWaits', conn, generation })
      },
      secured: ({ conn, generation, bit, version, cipher, flags, alpn, bytes: view }) => {
        const event = 'secured'
        const bytes = Buffer.from(view)
        this.#tell({ event, conn, generation, bit, version, cipher, flags, alpn, bytes })
      },
      bytes: ({ conn, generation, bytes: view, flags }) => {
        const bytes = Buffer.from(view)
        const told = this.#tell({ event: 'bytes', conn, generation, bytes, flags })
        this.answers.bytes?.({ ...told, bytes, flags })
      },
      connected: ({ conn, generation, peer, elapsed }) => {
        this.#tell({ event: 'connected', conn, generation, peer, elapsed })
      },
      connectFailed: ({ conn, generation, reason: word, errno, elapsed }) => {
        const reason = reasonText(word)
        const event = 'connectFailed'
        const told = this.#tell({ event, conn, generation, reason, errno, elapsed })
        if (this.answers.connectFailed) this.answers.connectFailed(told)
        else this.engine.close(conn, generation, word, 0, 0)
      },
      closed: ({ conn, generation, reason: word, errno, connectTime, localPort }) => {
        const reason = reasonText(word)
        const event = 'closed'
        const how = { reason, errno, connectTime, localPort }
        const told = this.#tell({ event, conn, generation, ...how })
        this.answers.closed?.(told)
      },
      verdictTimeout: ({ conn, generation, bit, opened }) => {
        this.#tell({ event: 'verdictTimeout', conn, generation, bit, opened })
      },
      data: ({ conn, generation, bytes: view, flags }) => {
        const bytes = Buffer.from(view)
        const told = this.#tell({ event: 'data', conn, generation, bytes, flags })
        this.answers.data?.({ ...told, bytes, flags })
      },
      sent: ({ conn, generation, sent: count }) => {
        this.#tell({ event: 'sent', conn, generation, count })
      },
      listenerPaused: ({ listener, errno }) => {
        this.#tell({ event: 'listenerPaused', conn: -1, generation: 0, listener, errno })
      },
      fatal: (error) => {
        this.faults.push(error)
      },
      fault: (error) => {
        this.faults.push(error)
      },
    }
  }
}

const noRecord: ConnectionRecord = {
  src: '',
  dst: '',
  srcPort: 0,
  dstPort: 0,
  family: 0,
  state: 0,
  flags: 0,
  handshakes: 0,
  bytesIn: 0,
  bytesOut: 0,
}

/** A test on each engine that checks at its end that nothing is left over. */
export function engineTest(
  name: string,
  run: (h: Harness) => Promise<void>,
  options: { slots?: number; workers?: number; kinds?: readonly EngineKind[] } = {},
): void {
  const kinds = options.kinds ?? engineKinds
  for (const kind of engineKinds.filter((it) => kinds.includes(it))) {
    test(`${name} (${kind})`, { timeout: 120_000 }, async () => {
      const h = await Harness.start(kind, options)
      try {
        await run(h)
        await h.settle()
      } finally {
        await h.stop()
      }
    })
  }
}

/** A reason word as 'by phase code'. */
export function reasonText(word: number): string {
  const by = ByLabels[word & 15]
  const phase = PhaseLabels[(word >> 4) & 255]
  const code = CodeLabels[(word >> 12) & 0xfff]
  return `${by} ${phase} ${code}`
}

/** Packs a reason, for commands. */
export function reasonWord(by: number, phase: number, code: number): number {
  return by | (phase << 4) | (code << 12)
}

/** File descriptors of this process. */
export function openFds(): number {
  return readdirSync('/proc/self/fd').length
}

export function defaultListen(): ListenSpec {
  const address: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 }
  return {
    address,
    backlog: 1024,
    maxconn: 10_000,
    deferAccept: 0,
    fastOpen: 0,
    transparent: false,
    originalDst: false,
    handshakes: Handshake.ACCEPT_SESSION,
    ask: Handshake.ACCEPT_SESSION,
    handshakeTimeout: 60_000,
    verdictTimeout: 60_000,
    fallbackRoute: -1,
    clientTimeout: 60_000,
    clientFinTimeout: 0,
  }
}

function defaultRoute(address: RouteSpec['address']): RouteSpec {
  return {
    address,
    sendProxy: 0,
    proxyCrc: false,
    connectTimeout: 60_000,
    serverTimeout: 60_000,
    serverFinTimeout: 0,
    tunnelTimeout: 0,
  }
}
