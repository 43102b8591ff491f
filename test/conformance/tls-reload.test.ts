/** Certificates that change while connections come and go: by file and by call, right and broken. */

import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Clock, systemClock } from '#sluice/base/clock.js'
import type { Config, DownstreamTlsConfig, Duration } from '#sluice/config/types.js'
import type { Engine, EngineKind } from '#sluice/engine/engine.js'
import { assembleProxy } from '#sluice/proxy/create.js'
import type { SluiceProxy } from '#sluice/proxy/proxy.js'
import { certificateFolder, makeAuthority } from '../support/certificates.js'
import { createEngine, engineKinds } from '../support/engines.js'
import { type LogLine, memoryLogger } from '../support/harness.js'
import { PATIENCE, type Peer, PeerServer } from '../support/peer.js'
import { Maker } from '../support/tls-certificates.js'
import { type DialOptions, TlsPeer } from '../support/tls-peer.js'

// Runs alone: a thousand certificates, each made and read, take all of a processor.
const NAMES = 1000
const maker = new Maker()
const names = Array.from({ length: NAMES }, (_, i) => `n${i}.example`)

/** A reloading proxy, with its contexts counted. */
class Reloading {
  /** Contexts that were made and not forgotten. */
  readonly contexts = new Set<number>()
  readonly lines: LogLine[]
  readonly proxy: SluiceProxy
  readonly upstream: PeerServer
  readonly #peers: Peer[] = []

  private constructor(
    engine: Engine,
    upstream: PeerServer,
    tls: DownstreamTlsConfig,
    interval: Duration,
  ) {
    this.upstream = upstream
    this.#count(engine)
    const { logger, lines } = memoryLogger()
    this.lines = lines
    const config: Config = {
      global: { maxconn: 500, tlsReload: interval },
      frontends: { web: { bind: { address: '127.0.0.1:0', tls }, backend: 'app' } },
      backends: { app: { servers: { a: `127.0.0.1:${upstream.port}` } } },
    }
    this.proxy = assembleProxy(config, { engine, logger, clock: hasty })
  }

  static async start(
    kind: EngineKind,
    tls: DownstreamTlsConfig,
    interval: Duration = '0s',
  ): Promise<Reloading> {
    const engine = await createEngine(kind, { slots: 1000 })
    const reloading = new Reloading(engine, await PeerServer.listen(), tls, interval)
    try {
      await reloading.proxy.start()
    } catch (error) {
      reloading.upstream.close()
      throw error
    }
    return reloading
  }

  get port(): number {
    return this.proxy.addresses.web?.[0]?.port as number
  }

  async dial(servername: string, options: DialOptions = {}): Promise<TlsPeer> {
    const peer = await TlsPeer.dial(this.port, { servername, ...options })
    this.#peers.push(peer)
    return peer
  }

  /** The common name that a client of this name is shown. */
  async shown(servername: string): Promise<string> {
    const peer = await this.dial(servername)
    const { shown } = peer
    peer.destroy()
    return shown
  }

  /** A client with its session's server. */
  async pair(
    servername: string,
    options: DialOptions = {},
  ): Promise<{ client: TlsPeer; server: Peer }> {
    const client = await this.dial(servername, options)
    const words = `I am ${servername} ${this.#peers.length}`
    await client.send(words)
    await this.until(() => this.#of(words) !== undefined, 'the server hears it')
    const server = this.#of(words) as Peer
    server.rest()
    return { client, server }
  }

  readonly #heard = new Map<string, Peer>()
  #of(words: string): Peer | undefined {
    for (const peer of this.upstream.all) {
      if (peer.received === words.length && !this.#heard.has(words)) {
        this.#heard.set(words, peer)
      }
    }
    return this.#heard.get(words)
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + 2 * PATIENCE
    while (!condition()) {
      assert.ok(performance.now() < deadline, `did not happen: ${what}`)
      await delay(20)
    }
  }

  async stop(): Promise<void> {
    for (const peer of this.#peers) peer.destroy()
    this.upstream.close()
    const { drained } = await this.proxy.stop({ deadline: `${PATIENCE}ms` })
    assert.equal(drained, true)
    const { engine } = this.proxy.stats()
    assert.equal(engine?.connections, 0)
    assert.equal(engine?.buffersBorrowed, 0)
  }

  #count(engine: Engine): void {
    const { downstreamTls, upstreamTls, tlsForget } = engine
    engine.downstreamTls = (spec) => this.#made(downstreamTls.call(engine, spec))
    engine.upstreamTls = (spec) => this.#made(upstreamTls.call(engine, spec))
    engine.tlsForget = (context) => {
      assert.ok(this.contexts.delete(context), 'a context is forgotten twice')
      tlsForget.call(engine, context)
    }
  }

  #made(context: number): number {
    assert.ok(!this.contexts.has(context))
    this.contexts.add(context)
    return context
  }
}

/** Contexts outlive their successors for a time that a test does not have. */
const hasty: Clock = {
  now: systemClock.now,
  after: (ms, fn) => systemClock.after(ms === 10_000 ? 500 : ms, fn),
}

function reloadTest(name: string, run: (kind: EngineKind) => Promise<void>): void {
  for (const kind of engineKinds) test(`${kind}: ${name}`, { timeout: 120_000 }, () => run(kind))
}

/** Replaces a file at once, as tools that renew certificates do. */
function put(file: string, content: string): void {
  writeFileSync(`${file}.new`, content)
  renameSync(`${file}.new`, file)
}

/** A thousand certificates of a generation. */
function write(folder: string, generation: number): void {
  for (const name of names) {
    const { cert, key } = maker.make(name, 90, `${name} ${generation}`)
    put(join(folder, `${name}.pem`), cert + key)
  }
}

function newFolder(): string {
  const folder = join(certificateFolder(), 'certs')
  mkdirSync(folder)
  return folder
}

/** Handshakes with random names, two at once, until told to end. */
class Load {
  handshakes = 0
  readonly failures: string[] = []
  readonly generations = new Set<string>()
  readonly #workers: Promise<void>[]
  #running = true

  constructor(port: number) {
    this.#workers = Array.from({ length: 2 }, () => this.#work(port))
  }

  async end(): Promise<void> {
    this.#running = false
    await Promise.all(this.#workers)
  }

  async #work(port: number): Promise<void> {
    while (this.#running) {
      const servername = names[Math.floor(Math.random() * NAMES)] as string
      const { peer, error } = await TlsPeer.attempt(port, { servername })
      if (!peer) {
        this.failures.push(`${servername}: ${error}`)
        continue
      }
      this.handshakes++
      const [name, generation] = peer.shown.split(' ')
      if (name !== servername) this.failures.push(`${servername} got ${peer.shown}`)
      this.generations.add(String(generation))
      peer.destroy()
      // The reload is what takes the time of the test's one thread.
      await delay(10)
    }
  }
}

const collect = () => {
  setFlagsFromString('--expose_gc')
  ;(runInNewContext('gc') as () => void)()
}

for (const [how, interval, swaps] of [
  ['by call', '0s', 3],
  ['by file', '100ms', 1],
] as const) {
  reloadTest(`a thousand certificates are swapped under load, ${how}`, async (kind) => {
    const folder = newFolder()
    write(folder, 0)
    const proxy = await Reloading.start(kind, { cert: folder }, interval)
    let load: Load | undefined
    try {
      const contexts = proxy.contexts.size
      assert.ok(contexts >= NAMES)
      const fingerprints = () => {
        const told = proxy.proxy.certificates().map(({ fingerprint }) => fingerprint)
        assert.equal(told.length, NAMES)
        return new Set(told)
      }
      const established = await proxy.pair('n0.example')
      load = new Load(proxy.port)
      const { failures, generations } = load
      let first = 0
      for (let swap = 1; swap <= swaps; swap++) {
        const before = fingerprints()
        write(folder, swap)
        const running: Load = load
        const mark = running.handshakes
        if (how === 'by call') {
          const report = await proxy.proxy.reloadCertificates()
          assert.deepEqual(report.errors, [])
          assert.equal(report.changed.length, NAMES)
        }
        // A look at the files may fall between two of them: the next one sees the rest.
        await proxy.until(() => isDisjoint(fingerprints(), before), 'everything is new')
        const last = names.at(-1) as string
        assert.equal(await proxy.shown(last), `${last} ${swap}`)
        await proxy.until(() => running.handshakes > mark, 'handshakes go on')
        await established.client.send(`still ${swap}`)
        await established.server.expect(`still ${swap}`)
        // Those that were replaced are gone.
        await proxy.until(() => proxy.contexts.size === contexts, 'contexts are as before')
        collect()
        if (swap === 1) first = process.memoryUsage().rss
      }
      await load.end()
      assert.deepEqual(failures, [])
      assert.ok(generations.has('0') || generations.has('1'))
      assert.ok(generations.has(String(swaps)))
      for (const name of names.slice(0, 20))
        assert.equal(await proxy.shown(name), `${name} ${swaps}`)
      const grown = (process.memoryUsage().rss - first) / 1e6
      assert.ok(grown < 80, `${grown.toFixed(0)} MB more than after the first swap`)
      await established.server.send('to the end')
      await established.client.expect('to the end')
      assert.deepEqual(
        proxy.lines.filter(({ level }) => level >= 50),
        [],
      )
    } finally {
      // Also where the test fails: who dials a proxy that has stopped is refused.
      await load?.end()
      await proxy.stop()
      rmSync(folder, { recursive: true })
    }
  })
}

function isDisjoint(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  for (const one of a) if (b.has(one)) return false
  return true
}

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 2 * PATIENCE
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, 'the new certificate never came')
    await delay(20)
  }
}

const broken: Record<string, (good: { cert: string; key: string }) => string> = {
  'no PEM': () => 'this is no certificate\n',
  'nothing at all': () => '',
  'a chain without a key': ({ cert }) => cert,
  'the key of another': ({ cert }) => cert + new Maker().key,
  'a chain that is cut short': ({ cert, key }) => cert.slice(0, 200) + key,
}

for (const [name, damage] of Object.entries(broken)) {
  reloadTest(`a file that is broken keeps the old certificate: ${name}`, async (kind) => {
    const folder = newFolder()
    const put2 = (file: string, content: string) => put(join(folder, file), content)
    const text = ({ cert, key }: { cert: string; key: string }) => cert + key
    put2('a.pem', text(maker.make('a.example', 90, 'a 1')))
    put2('b.pem', text(maker.make('b.example', 90, 'b 1')))
    const proxy = await Reloading.start(kind, { cert: folder })
    try {
      put2('a.pem', damage(maker.make('a.example', 90, 'a 2')))
      put2('b.pem', text(maker.make('b.example', 90, 'b 2')))
      const report = await proxy.proxy.reloadCertificates()
      assert.equal(report.errors.length, 1)
      assert.match(report.errors[0] ?? '', /a\.pem/)
      assert.equal(await proxy.shown('a.example'), 'a 1')
      assert.equal(await proxy.shown('b.example'), 'b 2')
      const said = proxy.lines.filter(({ level, msg }) => level >= 40 && msg.includes('a.pem'))
      assert.ok(said.length > 0, 'the log does not name the file')
      put2('a.pem', text(maker.make('a.example', 90, 'a 3')))
      const repaired = await proxy.proxy.reloadCertificates()
      assert.deepEqual(repaired.errors, [])
      assert.equal(await proxy.shown('a.example'), 'a 3')
    } finally {
      await proxy.stop()
    }
  })
}

reloadTest('certificates appear in a directory and disappear', async (kind) => {
  const folder = newFolder()
  const text = ({ cert, key }: { cert: string; key: string }) => cert + key
  put(join(folder, 'a.pem'), text(maker.make('a.example')))
  const proxy = await Reloading.start(kind, { cert: folder }, '50ms')
  try {
    assert.equal(await proxy.shown('b.example'), 'a.example')
    put(join(folder, 'b.pem'), text(maker.make('b.example')))
    await eventually(async () => (await proxy.shown('b.example')) === 'b.example')
    rmSync(join(folder, 'b.pem'))
    await eventually(async () => (await proxy.shown('b.example')) === 'a.example')
    await proxy.until(() => proxy.proxy.certificates().length === 1, 'one is left')
  } finally {
    await proxy.stop()
  }
})

reloadTest('sessions from before a reload are resumed after it', async (kind) => {
  const folder = newFolder()
  const file = join(folder, 'a.pem')
  const renew = () => {
    const { cert, key } = maker.make('a.example')
    put(file, cert + key)
  }
  renew()
  for (const tickets of [true, false]) {
    const proxy = await Reloading.start(kind, { cert: file, tickets })
    try {
      // The js engine resumes TLS 1.3 by tickets alone.
      const maxVersion = tickets ? 'TLSv1.3' : 'TLSv1.2'
      const { client } = await proxy.pair('a.example', { maxVersion })
      const session = await client.session()
      renew()
      assert.equal((await proxy.proxy.reloadCertificates()).changed.length, 1)
      const again = await proxy.dial('a.example', { maxVersion, session })
      assert.equal(again.tls.isSessionReused(), true, `tickets: ${tickets}`)
    } finally {
      await proxy.stop()
    }
  }
})

reloadTest('authorities and revocation lists reload too', async (kind) => {
  const ca = makeAuthority()
  const site = ca.issue({ names: ['a.example'] })
  const ada = ca.issue({ names: [], commonName: 'Ada', client: true })
  ca.crl()
  const proxy = await Reloading.start(kind, {
    cert: site.pemFile,
    ca: ca.certFile,
    crl: ca.crlFile,
    clientCert: 'required',
  })
  try {
    const served = async () => {
      const shown = { cert: ada.chain, key: ada.key }
      const { peer } = await TlsPeer.attempt(proxy.port, { servername: 'a.example', ...shown })
      if (!peer) return false
      const before = proxy.upstream.all.length
      await peer.send('x').catch(() => {})
      await proxy.until(
        () => proxy.upstream.all.length > before || peer.ended !== undefined,
        'an answer',
      )
      peer.destroy()
      return proxy.upstream.all.length > before
    }
    assert.equal(await served(), true)
    ca.revoke(ada)
    ca.crl()
    assert.deepEqual((await proxy.proxy.reloadCertificates()).errors, [])
    assert.equal(await served(), false)
  } finally {
    await proxy.stop()
  }
})

reloadTest('the days that are left, and what is told of certificates', async (kind) => {
  const folder = newFolder()
  for (const [name, days] of [
    ['long', 90],
    ['soon', 3],
  ] as const) {
    const { cert, key } = maker.make(`${name}.example`, days)
    put(join(folder, `${name}.pem`), cert + key)
  }
  const proxy = await Reloading.start(kind, { cert: folder })
  try {
    const told = new Map(proxy.proxy.certificates().map((one) => [one.names[0], one]))
    const long = told.get('long.example')
    const soon = told.get('soon.example')
    assert.ok(long && soon)
    assert.ok(long.daysLeft === 89 || long.daysLeft === 90)
    assert.ok(soon.daysLeft === 2 || soon.daysLeft === 3)
    assert.equal(soon.keyType, 'ecdsa')
    assert.equal(soon.file, join(folder, 'soon.pem'))
    assert.equal(soon.usedBy.length, 1)
    assert.match(soon.usedBy[0] ?? '', /frontends\.web\.bind/)
    assert.match(soon.fingerprint, /^[0-9a-f]{64}$/)
    const warned = proxy.lines.filter(({ level, msg }) => level >= 40 && /soon\.pem/.test(msg))
    assert.ok(warned.length > 0, 'nothing says that it expires soon')
    const quiet = proxy.lines.filter(({ level, msg }) => level >= 40 && /long\.pem/.test(msg))
    assert.deepEqual(quiet, [])
  } finally {
    await proxy.stop()
  }
})

reloadTest('a proxy does not start with a broken certificate, and says which', async (kind) => {
  const folder = newFolder()
  put(join(folder, 'bad.pem'), 'nonsense')
  await assert.rejects(
    Reloading.start(kind, { cert: join(folder, 'bad.pem') }),
    (error: Error & { code?: string }) => /bad\.pem/.test(error.message),
  )
})
