/** What the line of a session tells of the servers that were tried. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '#sluice/config/types.js'
import { createProxy } from '#sluice/proxy/create.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'
import { closedPort, Peer } from '../support/peer.js'

interface Line {
  msg: string
  level: number
  server?: string
  serverAddress?: string
  localPort?: number
  errno?: number
  error?: string
  code: string
  retries: number
  attempts?: { server: string; address: string; code: string; errno: number; error: string }[]
}

/** The line of one client, which stays until it is cut off or `served`. */
async function lineOf(
  t: TestContext,
  engine: 'js' | 'native',
  backend: Config['backends'][string],
  addresses: string[] = [],
): Promise<Line> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'log')
  const proxy = createProxy(
    {
      frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
      backends: { app: backend },
      log: { file },
    },
    { engine, resolver: { lookup: () => Promise.resolve(addresses) } },
  )
  await proxy.start()
  const ended = once(proxy, 'session')
  const client = await Peer.connect({ port: proxy.addresses.web?.[0]?.port as number })
  client.fin()
  await client.ending()
  client.destroy()
  await ended
  await proxy.stop()
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  const sessions = lines
    .map((line) => JSON.parse(line) as Line & { event?: string })
    .filter(({ event }) => event === 'session')
  assert.equal(sessions.length, 1)
  return sessions[0] as Line
}

for (const kind of engineKinds) {
  test(`a server that refuses, then one that answers (${kind})`, async (t) => {
    let seen: number | undefined
    const server = createServer((socket) => {
      seen = socket.remotePort
      socket.end('hello')
    }).listen(0, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const dead = await closedPort()
    const line = await lineOf(t, kind, {
      servers: { dead: `127.0.0.1:${dead}`, good: `127.0.0.1:${port}` },
      balance: 'first',
      retryDelay: '10ms',
    })
    assert.equal(line.server, 'good')
    assert.equal(line.serverAddress, `127.0.0.1:${port}`)
    assert.equal(line.localPort, seen)
    assert.equal(line.msg, 'session ended')
    assert.equal(line.level, 30)
    assert.equal(line.error, undefined)
    assert.ok(line.retries >= 1)
    assert.equal(line.attempts?.length, line.retries)
    for (const attempt of line.attempts ?? []) {
      assert.deepEqual(attempt, {
        server: 'dead',
        address: `127.0.0.1:${dead}`,
        by: 'server',
        phase: 'connect',
        code: 'refused',
        errno: 111,
        error: 'ECONNREFUSED',
      })
    }
  })

  test(`a name whose first address refuses (${kind})`, async (t) => {
    const server = createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const backend = { servers: { name: `name.example:${port}` }, retryDelay: '10ms' } as const
    const line = await lineOf(t, kind, backend, ['127.0.0.2', '127.0.0.1'])
    assert.equal(line.serverAddress, `127.0.0.1:${port}`)
    assert.deepEqual(
      line.attempts?.map(({ address, error }) => [address, error]),
      [[`127.0.0.2:${port}`, 'ECONNREFUSED']],
    )
  })

  test(`no server answers: the error by name (${kind})`, async (t) => {
    const dead = await closedPort()
    const line = await lineOf(t, kind, {
      servers: { dead: `127.0.0.1:${dead}` },
      retries: 1,
      retryDelay: '10ms',
    })
    assert.equal(line.msg, 'the server refused the connection')
    assert.equal(line.level, 40)
    assert.deepEqual([line.errno, line.error], [111, 'ECONNREFUSED'])
    assert.equal(line.serverAddress, `127.0.0.1:${dead}`)
    assert.equal(line.localPort, undefined)
    assert.equal(line.attempts?.length, 2)
  })

  test(`a unix socket that is not there (${kind})`, async (t) => {
    const line = await lineOf(t, kind, {
      servers: { gone: 'unix:/nowhere/a.sock' },
      retries: 0,
    })
    assert.equal(line.serverAddress, 'unix:/nowhere/a.sock')
    assert.deepEqual([line.errno, line.error], [2, 'ENOENT'])
    assert.equal(line.attempts?.[0]?.error, 'ENOENT')
  })

  test(`a session that goes on has our port towards the server (${kind})`, async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { logger, lines } = memoryLogger()
    const proxy = createProxy(
      {
        frontends: { web: { bind: '127.0.0.1:0', backend: 'app', log: { openAfter: '100ms' } } },
        backends: { app: { servers: { a: `127.0.0.1:${port}` } } },
      },
      { engine: kind, logger },
    )
    await proxy.start()
    const accepted = once(server, 'connection')
    const client = await Peer.connect({ port: proxy.addresses.web?.[0]?.port as number })
    const [socket] = (await accepted) as [Socket]
    const told = () => lines.find(({ event }) => event === 'open')
    while (told() === undefined) await delay(5)
    assert.equal(told()?.localPort, socket.remotePort)
    client.destroy()
    await proxy.stop()
  })
}
