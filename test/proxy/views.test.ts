/** What programs hold of a proxy: views of tables, backends and servers. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { track } from '#sluice/policy.js'
import { createProxy } from '#sluice/proxy/create.js'
import { createTestProxy } from '#sluice/testing/index.js'
import { harness, web } from '../support/harness.js'

const backends = {
  app: {
    servers: {
      a: { address: '127.0.0.1:9001', maxconn: 1 },
      b: { address: '127.0.0.1:9002', state: 'maint' },
      spare: { address: '127.0.0.1:9003', backup: true, state: 'maint' },
    },
  },
} as const

test('a backend and its servers read as they are, and change by assigning', async () => {
  const { proxy, engine } = await harness({ backends })
  const { app } = proxy.backends
  assert.ok(app)
  const { a, b, spare } = app.servers
  assert.ok(a && b && spare)
  assert.deepEqual([a.name, a.backend, a.address, a.maxconn], ['a', 'app', '127.0.0.1:9001', 1])
  assert.deepEqual([app.name, app.usable, app.status], ['app', 1, 'up'])
  engine.accept()
  engine.accept()
  assert.deepEqual([app.sessions, app.queued, a.sessions, a.queued], [1, 1, 1, 0])
  b.state = 'ready'
  assert.deepEqual([app.usable, app.queued, app.sessions, b.sessions], [2, 0, 2, 1])
  a.weight = 0
  assert.deepEqual([a.weight, a.status, a.usable, app.usable], [0, 'drain', false, 1])
  b.state = 'maint'
  assert.deepEqual([b.status, app.usable, app.status], ['maint', 0, 'down'])
  spare.state = 'ready'
  assert.deepEqual([spare.usable, app.usable, app.status], [true, 1, 'up'])
})

test('a server that failed is not usable, and its backend is down', async () => {
  const { proxy, engine } = await harness(
    {
      backends: { app: { servers: { a: '127.0.0.1:9001' }, retries: 0, passive: { failures: 1 } } },
    },
    { onConnect: () => ({ code: 13 }) },
  )
  const { app } = proxy.backends
  assert.deepEqual([app?.usable, app?.status], [1, 'up'])
  engine.accept()
  await Promise.resolve()
  assert.deepEqual([app?.servers.a?.status, app?.servers.a?.usable], ['down', false])
  assert.deepEqual([app?.usable, app?.status, app?.sessions], [0, 'down', 0])
})

test('what makes no sense of a server is refused', async () => {
  const { proxy } = await harness({ backends })
  const server = proxy.backends.app?.servers.a
  assert.ok(server)
  for (const weight of [-1, 257, 1.5, '1']) {
    assert.throws(() => Object.assign(server, { weight }), { code: 'ERR_SLUICE_ARGUMENT' })
  }
  assert.throws(
    () => Object.assign(server, { state: 'down' }),
    /state of server 'a' must be one of/,
  )
  assert.throws(() => Object.assign(server, { sessions: 0 }), TypeError)
  assert.deepEqual([server.weight, server.state, server.sessions], [1, 'ready', 0])
})

test('views are there before the start, and what is asked of a server then holds', async () => {
  const proxy = createProxy({ frontends: web({}), backends })
  const { app } = proxy.backends
  assert.equal(app?.servers.a?.address, undefined)
  assert.equal(app?.servers.a?.status, 'unresolved')
  assert.ok(app?.servers.b)
  app.servers.b.state = 'ready'
  assert.equal(app.servers.b.shutdownSessions(), 0)
  await proxy.start()
  assert.deepEqual([app.usable, app.servers.b.status], [2, 'up'])
  assert.equal(app.servers.a?.address, '127.0.0.1:9001')
  await proxy.stop()
})

test('a table reads and writes by key', async () => {
  const { proxy, engine, clock } = await harness({
    tables: { t: { key: 'ip', size: 2, expire: '1m', store: { connCur: true, gpc0: true } } },
    frontends: web({ rules: { connection: [track('sc0', (conn) => conn.src, 't')] } }),
  })
  const { t } = proxy.tables
  assert.ok(t)
  assert.deepEqual([t.name, t.size, t.capacity], ['t', 0, 2])
  assert.equal(t.get('192.0.2.1'), undefined)
  const client = engine.accept({ src: '192.0.2.1' })
  assert.deepEqual(t.get('192.0.2.1'), { connCur: 1, gpc0: 0 })
  t.set('192.0.2.1', { gpc0: 3 })
  t.set('192.0.2.2', { gpc0: 1 })
  const rows = [...t.entries()].map(({ key, uses, data }) => [key, uses, data.gpc0])
  assert.deepEqual(rows.sort(), [
    ['192.0.2.1', 1, 3],
    ['192.0.2.2', 0, 1],
  ])
  assert.equal(t.delete('192.0.2.1'), false)
  assert.throws(() => t.set('192.0.2.1', { gpt0: 1 }), /table 't' does not store gpt0/)
  assert.throws(() => t.set('no address', { gpc0: 1 }), /table 't' has no place for 'no address'/)
  assert.throws(() => t.set('192.0.2.1', { gpc0: Number.NaN }), { code: 'ERR_SLUICE_ARGUMENT' })
  assert.equal(t.clear(), 1)
  client.reset()
  clock.advance('1m')
  assert.equal(t.size, 0)
})

test('the test proxy has the same views', async () => {
  await using proxy = await createTestProxy({
    tables: { t: { key: 'ip', size: 2, store: { gpc0: true } } },
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  })
  assert.equal(proxy.tables.t, proxy.proxy.tables.t)
  assert.equal(proxy.backends.app.servers.a, proxy.proxy.backends.app.servers.a)
  await proxy.connect()
  assert.equal(proxy.proxy.backends.app?.sessions, 1)
})

test('nothing but the views can be reached', async () => {
  const { proxy } = await harness({
    backends,
    tables: { t: { key: 'ip', size: 2, store: { gpc0: true } } },
  })
  const { app } = proxy.backends
  for (const view of [app, app?.servers.a, proxy.tables.t]) {
    assert.ok(view && Object.isFrozen(view))
    const names = new Set([
      ...Reflect.ownKeys(view),
      ...Reflect.ownKeys(Object.getPrototypeOf(view)),
    ])
    for (const name of names) {
      if (name === 'constructor' || name === 'servers') continue
      const value: unknown = Reflect.get(view, name)
      assert.ok(typeof value !== 'object', `${String(name)} is ${inspect(value)}`)
    }
  }
  assert.deepEqual(Object.keys(app?.servers ?? {}), ['a', 'b', 'spare'])
  assert.equal('constructor' in (app?.servers ?? {}), false)
  assert.equal('constructor' in proxy.tables, false)
})
