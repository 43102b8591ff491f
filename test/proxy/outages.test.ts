/** Servers that come and go, with real sockets: what clients notice of it. */

import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { test } from 'node:test'
import type { Config } from '#sluice/config/types.js'
import type { EngineKind } from '#sluice/engine/engine.js'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import { createProxy } from '#sluice/proxy/create.js'
import type { ProxyOptions } from '#sluice/proxy/types.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'
import { closedPort, talk } from '../support/net.js'

/** A server that says its name, and can go away and come back to its port. */
class Flapping {
  readonly name: string
  port = 0
  #server: Server | undefined

  constructor(name: string) {
    this.name = name
  }

  async up(): Promise<this> {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end(this.name)
    })
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.port, '127.0.0.1', resolve)
    })
    this.port = (server.address() as { port: number }).port
    return this
  }

  async down(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server) await new Promise((resolve) => server.close(resolve))
  }
}

async function run(kind: EngineKind, backend: object, options: ProxyOptions = {}) {
  const { logger } = memoryLogger()
  const config = {
    global: { maxconn: 500 },
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
    backends: { app: backend },
  } as Config
  const proxy = createProxy(config, { engine: kind, logger, ...options })
  const records: SessionRecord[] = []
  proxy.on('session', (record) => records.push(record))
  await proxy.start()
  const port = proxy.addresses.web?.[0]?.port as number
  return { proxy, records, talk: () => talk(port, '') }
}

const at = ({ port }: Flapping) => `127.0.0.1:${port}`
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

for (const kind of engineKinds) {
  test(`${kind}: with one of two servers refusing nobody is served late, nor twice by it`, async () => {
    const b = await new Flapping('b').up()
    const a = `127.0.0.1:${await closedPort()}`
    const { proxy, records, talk } = await run(kind, {
      balance: 'first',
      servers: { a, b: at(b) },
      retryDelay: '5s',
      timeouts: { connect: '20s' },
    })
    for (let i = 0; i < 10; i++) assert.equal((await talk()).text, 'b')
    await proxy.stop()
    // A pause would have been one of five seconds.
    for (const { retries, timers } of records) assert.ok(retries <= 1 && timers.total < 5000)
    assert.equal(records.length, 10)
    assert.equal(records.filter(({ retries }) => retries === 1).length, 3)
    await b.down()
  })

  test(`${kind}: the address of a name that works is found, and then goes first`, async () => {
    const a = await new Flapping('a').up()
    const lookup = () => Promise.resolve(['::1', '127.0.0.2', '127.0.0.1'])
    const { proxy, records, talk } = await run(
      kind,
      { servers: { a: `app.example:${a.port}` } },
      { resolver: { lookup } },
    )
    for (let i = 0; i < 5; i++) assert.equal((await talk()).text, 'a')
    await proxy.stop()
    assert.deepEqual(
      records.map(({ retries }) => retries),
      [2, 0, 0, 0, 0],
    )
    await a.down()
  })

  test(`${kind}: three servers of which one at a time is up lose nobody`, async () => {
    const all = await Promise.all(['a', 'b', 'c'].map((name) => new Flapping(name).up()))
    const [a, b, c] = all as [Flapping, Flapping, Flapping]
    const { proxy, talk } = await run(kind, { servers: { a: at(a), b: at(b), c: at(c) } })
    await b.down()
    await c.down()
    const texts = new Map<string, number>()
    for (let turn = 0; turn < 9; turn++) {
      for (let i = 0; i < 20; i++) {
        const { text } = await talk()
        texts.set(text, (texts.get(text) ?? 0) + 1)
      }
      // The next one comes before the one before goes.
      await all[(turn + 1) % 3]?.up()
      await all[turn % 3]?.down()
    }
    assert.deepEqual([...texts].sort(), [
      ['a', 60],
      ['b', 60],
      ['c', 60],
    ])
    await proxy.stop()
    for (const server of all) await server.down()
  })

  test(`${kind}: a single server away for a moment loses nobody, and serves as soon as it is back`, async () => {
    const a = await new Flapping('a').up()
    const { proxy, records, talk } = await run(kind, { servers: { a: at(a) } })
    assert.equal((await talk()).text, 'a')
    await a.down()
    const status = async (wanted: string) => {
      while (proxy.stats().backends.app?.servers.a?.status !== wanted) await sleep(5)
    }
    const waiting = Array.from({ length: 20 }, () => talk())
    await status('down')
    await a.up()
    // Marked or not: whoever comes now is served now.
    assert.equal((await talk()).text, 'a')
    await status('up')
    for (const { text } of await Promise.all(waiting)) assert.equal(text, 'a')
    await proxy.stop()
    assert.equal(records.length, 22)
    assert.ok(records.every(({ code }) => code === 'done'))
    await a.down()
  })
}
