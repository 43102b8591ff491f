import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, SluiceError } from '#sluice/errors.js'
import { createProxy } from '#sluice/proxy.js'
import { VirtualClock } from '#sluice/testing/clock.js'
import { TestEngine } from '#sluice/testing/engine.js'
import { harness, memoryLogger } from '../support/harness.js'

const config = {
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
}

test('a wrong configuration is refused at once, with its paths', () => {
  assert.throws(
    () => createProxy({ ...config, frontends: { web: { bind: 'nowhere', backend: 'ap' } } }),
    (error) => error instanceof ConfigError && error.issues.length === 2,
  )
})

test('listening tells the real addresses; a proxy starts once', async () => {
  const clock = new VirtualClock()
  const proxy = createProxy(config, {
    engine: new TestEngine(clock),
    clock,
    logger: memoryLogger().logger,
  })
  const told: unknown[] = []
  proxy.on('listening', (addresses) => told.push(addresses))
  assert.equal(await proxy.start(), proxy)
  assert.equal(proxy.running, true)
  assert.equal(proxy.engineKind, 'js')
  const addresses = { web: [{ family: 'IPv4', address: '127.0.0.1', port: 40_000 }] }
  assert.deepEqual(told, [addresses])
  assert.deepEqual(proxy.addresses, addresses)
  await assert.rejects(proxy.start(), { code: 'ERR_SLUICE_STATE' })
  await proxy.stop()
  assert.equal(proxy.running, false)
})

test('a failed start leaves nothing behind', async () => {
  const clock = new VirtualClock()
  const engine = new TestEngine(clock)
  engine.busyPort = 8080
  const proxy = createProxy(
    { ...config, frontends: { web: { bind: ['127.0.0.1:0', '127.0.0.1:8080'], backend: 'app' } } },
    { engine, clock, logger: memoryLogger().logger },
  )
  await assert.rejects(
    proxy.start(),
    (error) => error instanceof SluiceError && error.code === 'ERR_SLUICE_LISTEN',
  )
  assert.equal(engine.stopped, true)
  assert.equal(engine.listeners.size, 0)
  assert.equal(clock.pending, 0)
})

test('stop drains: accepting ends, sessions go on until they are done', async () => {
  const { proxy, engine, clock } = await harness({})
  const client = engine.accept()
  const stopping = proxy.stop({ deadline: '10s' })
  await clock.advanceAsync(5_000)
  assert.equal(engine.listeners.size, 0)
  assert.equal(client.ended, false)
  client.fin()
  client.serverFin()
  await clock.advanceAsync(20)
  assert.deepEqual(await stopping, { drained: true, closed: 0 })
  assert.equal(engine.stopped, true)
  assert.equal(clock.pending, 0)
})

test('at the deadline the rest is closed as shutdown, by phase', async () => {
  const { proxy, engine, clock, sessions } = await harness({
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } } },
  })
  const served = engine.accept()
  const queued = engine.accept()
  const stopped: unknown[] = []
  proxy.on('stopped', (result) => stopped.push(result))
  const stopping = proxy.stop({ deadline: 1_000 })
  assert.equal(proxy.stop(), stopping)
  await clock.advanceAsync(1_000)
  assert.deepEqual(await stopping, { drained: false, closed: 2 })
  assert.deepEqual(stopped, [{ drained: false, closed: 2 }])
  assert.deepEqual(served.end, { by: 'proxy', phase: 'data', code: 'shutdown' })
  assert.deepEqual(queued.end, { by: 'proxy', phase: 'queue', code: 'shutdown' })
  // A shutdown is no trouble.
  assert.deepEqual(
    sessions().map(({ level }) => level),
    [30, 30],
  )
})

test('an AbortSignal and asyncDispose stop the proxy', async () => {
  const controller = new AbortController()
  const clock = new VirtualClock()
  const engine = new TestEngine(clock)
  const proxy = createProxy(config, {
    engine,
    clock,
    logger: memoryLogger().logger,
    signal: controller.signal,
  })
  await proxy.start()
  controller.abort()
  await proxy.stop()
  assert.equal(engine.stopped, true)

  const second = createProxy(config, {
    engine: new TestEngine(clock),
    clock,
    logger: memoryLogger().logger,
  })
  await second.start()
  await second[Symbol.asyncDispose]()
  assert.equal(second.running, false)

  const aborted = createProxy(config, {
    engine: new TestEngine(clock),
    clock,
    logger: memoryLogger().logger,
    signal: AbortSignal.abort(),
  })
  await assert.rejects(aborted.start(), { name: 'AbortError' })
})

test('stop during start makes the start fail, and nothing listens', async () => {
  const clock = new VirtualClock()
  const engine = new TestEngine(clock)
  const proxy = createProxy(config, { engine, clock, logger: memoryLogger().logger })
  const starting = proxy.start()
  const stopping = proxy.stop()
  await assert.rejects(starting, { code: 'ERR_SLUICE_STATE' })
  assert.deepEqual(await stopping, { drained: true, closed: 0 })
  assert.equal(engine.listeners.size, 0)
})

test('an engine that cannot go on stops the proxy and says so', async () => {
  const { proxy, engine, lines } = await harness({})
  const errors: Error[] = []
  proxy.on('error', (error) => errors.push(error))
  engine.events.fatal(new Error('a worker died'))
  await proxy.stop()
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['a worker died'],
  )
  assert.ok(lines.some(({ level }) => level === 60))
})

test('stats name frontends, backends and tables', async () => {
  const { proxy, engine } = await harness({ tables: { t: { key: 'ip', size: 10 } } })
  engine.accept()
  const stats = proxy.stats()
  assert.equal(stats.connections, 1)
  assert.equal(stats.frontends.web?.current, 1)
  assert.equal(stats.frontends.web?.sessions, 1)
  assert.deepEqual(stats.backends.app?.servers.a, { sessions: 1, status: 'up', weight: 1 })
  assert.deepEqual(stats.tables, { t: { entries: 0, size: 10 } })
  assert.equal(stats.engine?.connections, 1)
})

test('changes of a server’s state are told', async () => {
  const { proxy } = await harness({})
  const changes: unknown[] = []
  proxy.on('serverState', (change) => changes.push(change))
  proxy.backends.get('app')?.servers[0]?.setState('maint')
  assert.deepEqual(changes, [{ backend: 'app', server: 'a', from: 'up', to: 'maint' }])
})
