/** Sessions listed, looked at and killed. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Config } from '#sluice/config/types.js'
import type { SessionView } from '#sluice/policy/live.js'
import { reject, tarpit } from '#sluice/policy.js'
import { createProxy } from '#sluice/proxy/create.js'
import { createTestProxy } from '#sluice/testing/index.js'
import { engineKinds } from '../support/engines.js'
import { harness, memoryLogger, web } from '../support/harness.js'
import { dial, nextText, startEcho } from '../support/net.js'

const backends = {
  app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 2 }, b: '127.0.0.1:9002' } },
  other: { servers: { a: '127.0.0.1:9003' } },
} as const

for (const kind of engineKinds) {
  test(`${kind}: a session is listed with what it is at, and killed`, async () => {
    const server = await startEcho()
    const { logger, lines } = memoryLogger()
    const proxy = createProxy(
      {
        frontends: {
          web: {
            bind: '127.0.0.1:0',
            backend: 'app',
            rules: { session: [{ name: 'seen', run: () => ({ kind: 'accept' }) }] },
          },
        },
        backends: { app: { servers: { a: `127.0.0.1:${server.port}` } } },
      },
      { engine: kind, logger },
    )
    await proxy.start()
    const port = proxy.addresses.web?.[0]?.port as number
    const client = await dial(port)
    client.write('hello')
    assert.equal(await nextText(client), 'hello')
    const [session, ...others] = [...proxy.sessions()]
    assert.ok(session)
    assert.equal(others.length, 0)
    const { frontend, bind, src, srcPort, dst, dstPort, backend, server: name } = session
    assert.deepEqual(
      { frontend, bind, src, srcPort, dst, dstPort, backend, name },
      {
        frontend: 'web',
        bind: `127.0.0.1:${port}`,
        src: '127.0.0.1',
        srcPort: client.localPort,
        dst: '127.0.0.1',
        dstPort: port,
        backend: 'app',
        name: 'a',
      },
    )
    assert.equal(session.serverAddress, `127.0.0.1:${server.port}`)
    assert.deepEqual(
      [session.phase, session.clientState, session.serverState],
      ['data', 'EST', 'EST'],
    )
    // Counts are one read behind what the client has.
    while (session.bytesOut === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual([session.bytesIn, session.bytesOut, session.rule], [5, 5, 'seen'])
    assert.equal(session.serverName, undefined)
    assert.ok(session.age >= 0)
    assert.match(String(session), new RegExp(`^${session.id} data cs=EST ss=EST rq=`))
    const record = once(proxy, 'session')
    assert.equal(session.kill(), true)
    assert.equal(session.kill(), false)
    const [{ id, by, phase, code }] = await record
    assert.deepEqual([id, by, phase, code], [session.id, 'proxy', 'data', 'killed'])
    assert.equal(proxy.stats().frontends.web?.ends['proxy/data/killed'], 1)
    const line = lines.find(({ event }) => event === 'session')
    assert.deepEqual([line?.id, line?.code, line?.level], [id, 'killed', 30])
    assert.deepEqual(
      [session.ended, session.kill(), session.src, session.age],
      [true, false, src, 0],
    )
    assert.deepEqual([...proxy.sessions()], [])
    client.destroy()
    await proxy.stop()
    await server.close()
  })

  test(`${kind}: the sessions of a server are shut down, and no others`, async () => {
    const [one, two] = [await startEcho(), await startEcho()]
    const { logger } = memoryLogger()
    const proxy = createProxy(
      {
        frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
        backends: {
          app: { servers: { a: `127.0.0.1:${one.port}`, b: `127.0.0.1:${two.port}` } },
        },
      },
      { engine: kind, logger },
    )
    await proxy.start()
    const port = proxy.addresses.web?.[0]?.port as number
    const clients = await Promise.all([1, 2, 3, 4].map(() => dial(port)))
    for (const client of clients) {
      client.write('x')
      assert.equal(await nextText(client), 'x')
    }
    const { a, b } = proxy.backends.app.servers
    assert.deepEqual([a.sessions, b.sessions], [2, 2])
    assert.equal(a.shutdownSessions(), 2)
    assert.equal(a.shutdownSessions(), 0)
    while (a.sessions > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(
      Array.from(proxy.sessions(), ({ server }) => server),
      ['b', 'b'],
    )
    assert.equal(b.sessions, 2)
    await proxy.stop({ deadline: '0s' })
    for (const client of clients) client.destroy()
    await one.close()
    await two.close()
  })
}

async function busy(config: Partial<Config> = {}) {
  const running = await harness({ backends, ...config }, { onConnect: () => 'pending' })
  for (let i = 1; i <= 3; i++) running.engine.accept({ src: `192.0.2.${i}` })
  return running
}

const sources = (sessions: Iterable<SessionView>) => Array.from(sessions, ({ src }) => src).sort()

test('a filter takes what fits in everything', async () => {
  const { proxy } = await busy()
  const listed = (filter: Parameters<typeof proxy.sessions>[0]) => sources(proxy.sessions(filter))
  assert.deepEqual(listed({}), ['192.0.2.1', '192.0.2.2', '192.0.2.3'])
  assert.deepEqual(listed({ server: 'a' }), ['192.0.2.1', '192.0.2.3'])
  assert.deepEqual(listed({ server: 'a', src: '192.0.2.2/31' }), ['192.0.2.3'])
  assert.deepEqual(listed({ src: '192.0.2.2' }), ['192.0.2.2'])
  assert.deepEqual(listed({ frontend: 'web', backend: 'app', server: 'b' }), ['192.0.2.2'])
  assert.deepEqual(listed({ backend: 'other' }), [])
})

test('a filter that can fit nothing is refused', async () => {
  const { proxy } = await busy()
  for (const [filter, message] of [
    [{ frontend: 'wob' }, "There is no frontend 'wob'. Did you mean 'web'?"],
    [{ backend: 'ap' }, "There is no backend 'ap'. Did you mean 'app'?"],
    [{ backend: 'other', server: 'b' }, "There is no server 'b'."],
    [{ source: '192.0.2.1' }, "There is no filter of sessions 'source'."],
    [{ frontend: 7 }, 'expected a string as frontend, got 7.'],
  ] as const) {
    assert.throws(() => proxy.sessions(filter as never), { code: 'ERR_SLUICE_ARGUMENT', message })
  }
  assert.throws(() => proxy.sessions({ src: '10.0.0.0/99' }), { code: 'ERR_SLUICE_ARGUMENT' })
})

test('what policy has not decided yet is listed, a tarpit too, and killed', async () => {
  const { proxy, engine, sessions } = await harness({
    frontends: web({
      rules: {
        connection: [
          (conn) => {
            if (conn.src === '192.0.2.1') return tarpit('1h')
            if (conn.src === '192.0.2.2') return new Promise<undefined>(() => {})
            return reject()
          },
        ],
      },
    }),
  })
  const clients = [1, 2].map((i) => engine.accept({ src: `192.0.2.${i}` }))
  const listed = [...proxy.sessions()]
  assert.deepEqual(
    listed.map(({ phase, serverState, backend }) => [phase, serverState, backend]),
    [
      ['tcp-rules', 'INI', undefined],
      ['tcp-rules', 'INI', undefined],
    ],
  )
  assert.deepEqual(sources(listed), ['192.0.2.1', '192.0.2.2'])
  const waiting = listed.find(({ src }) => src === '192.0.2.2') as SessionView
  assert.equal(proxy.kill('nonsense'), false)
  for (const id of [`${waiting.id}0`, `${waiting.id}z`, waiting.id.toUpperCase(), '']) {
    assert.equal(proxy.kill(id === waiting.id ? '' : id), false)
  }
  assert.throws(() => proxy.kill(7 as never), { message: 'kill: expected an id, got 7.' })
  assert.equal(proxy.kill(waiting.id), true)
  assert.equal(proxy.kill(waiting.id), false)
  assert.deepEqual(clients[1]?.end, { by: 'proxy', phase: 'tcp-rules', code: 'killed' })
  assert.equal(sessions().at(-1)?.code, 'killed')
  for (const session of listed) session.kill()
  assert.deepEqual([...proxy.sessions()], [])
})

test('a kill in the queue gives the place up, and one on a server lets the next in', async () => {
  const { proxy, engine } = await harness(
    { backends: { app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } } } },
    { onConnect: () => 'ok' },
  )
  for (let i = 1; i <= 3; i++) engine.accept({ src: `192.0.2.${i}` })
  const [first, second] = [...proxy.sessions()].sort((x, y) => x.src.localeCompare(y.src))
  assert.deepEqual([second?.phase, second?.serverState], ['queue', 'QUE'])
  second?.kill()
  assert.equal(proxy.backends.app?.queued, 1)
  assert.equal(first?.server, 'a')
  assert.equal(proxy.backends.app?.servers.a?.shutdownSessions(), 1)
  assert.deepEqual(sources(proxy.sessions({ server: 'a' })), ['192.0.2.3'])
  assert.equal(proxy.backends.app?.queued, 0)
})

test('a list that is read slowly goes on while sessions come and go', async () => {
  const { proxy, engine } = await busy()
  const list = proxy.sessions()
  const seen: string[] = []
  for (const session of list) {
    seen.push(session.src)
    session.kill()
    await Promise.resolve()
    if (seen.length === 1) engine.accept({ src: '192.0.2.9' })
    if (seen.length > 5) break
  }
  assert.ok(seen.length >= 3)
  assert.equal(new Set(seen).size, seen.length)
})

test('there is nothing to list before the start and after the stop', async () => {
  const { logger } = memoryLogger()
  const proxy = createProxy({ frontends: web({}), backends }, { logger, engine: 'js' })
  assert.deepEqual([...proxy.sessions()], [])
  assert.equal(proxy.kill('1'), false)
  await proxy.start()
  await proxy.stop()
  assert.deepEqual([...proxy.sessions()], [])
})

test('a test proxy kills too', async () => {
  await using proxy = await createTestProxy({
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  })
  const result = await proxy.connect()
  for (const session of proxy.proxy.sessions()) session.kill()
  await proxy.settle()
  assert.deepEqual(result.reason, { by: 'proxy', phase: 'data', code: 'killed' })
})
