import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError, SluiceError } from '#sluice/base/errors.js'
import { assembleProxy, createProxy } from '#sluice/proxy/create.js'
import { VirtualClock } from '#sluice/testing/clock.js'
import { TestEngine } from '#sluice/testing/engine/engine.js'
import { engineKinds } from '../support/engines.js'
import { harness, memoryLogger } from '../support/harness.js'

const config = {
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
}

test('a wrong configuration is refused at once, with its paths', () => {
  assert.throws(
    () =>
      // @ts-expect-error: there is no backend 'ap'
      createProxy({ ...config, frontends: { web: { bind: 'nowhere', backend: 'ap' } } }),
    (error) => error instanceof ConfigError && error.issues.length === 2,
  )
})

test('listening tells the real addresses; a proxy starts once', async () => {
  const clock = new VirtualClock()
  const proxy = assembleProxy(config, {
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
  const proxy = assembleProxy(
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
  await clock.advanceAsync('5s')
  assert.equal(engine.listeners.size, 0)
  assert.equal(client.ended, false)
  client.fin()
  client.serverFin()
  await clock.advanceAsync('20ms')
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
  const stopping = proxy.stop({ deadline: '1s' })
  assert.equal(proxy.stop(), stopping)
  await clock.advanceAsync('1s')
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
  const proxy = assembleProxy(config, {
    engine,
    clock,
    logger: memoryLogger().logger,
    signal: controller.signal,
  })
  await proxy.start()
  controller.abort()
  await proxy.stop()
  assert.equal(engine.stopped, true)

  const second = assembleProxy(config, {
    engine: new TestEngine(clock),
    clock,
    logger: memoryLogger().logger,
  })
  await second.start()
  await second[Symbol.asyncDispose]()
  assert.equal(second.running, false)

  const aborted = assembleProxy(config, {
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
  const proxy = assembleProxy(config, { engine, clock, logger: memoryLogger().logger })
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
  const server = proxy.backends.app?.servers.a
  assert.ok(server)
  server.state = 'maint'
  assert.deepEqual(changes, [{ backend: 'app', server: 'a', from: 'up', to: 'maint' }])
})

test('options of stop that make no sense are refused, and the proxy goes on', async () => {
  const { proxy } = await harness({})
  const bad = [-1, Number.NaN, '5 min', 'soon'] as never[]
  for (const value of bad) {
    await assert.rejects(proxy.stop({ deadline: value }), { code: 'ERR_SLUICE_ARGUMENT' })
    await assert.rejects(proxy.stop({ grace: value }), { code: 'ERR_SLUICE_ARGUMENT' })
  }
  assert.equal(proxy.running, true)
  assert.deepEqual(await proxy.stop({ deadline: '1s', grace: '0s' }), { drained: true, closed: 0 })
})

test('during the grace clients are served, and health and monitor say no', async () => {
  const { proxy, engine, clock } = await harness({
    global: { grace: '5s' },
    frontends: {
      web: {
        bind: ['127.0.0.1:0', { address: '127.0.0.1:0', health: true }],
        backend: 'app',
        monitor: { from: ['192.0.2.1/32'], reply: 'yes' },
      },
    },
  })
  const replies = (src: string) => engine.accept({ src }).text
  const [first] = [...engine.listeners.keys()]
  assert.equal(replies('192.0.2.1'), 'yes')
  const stopped = proxy.stop()
  await settle()
  assert.deepEqual([...engine.listeners.keys()], [first])
  const watched = engine.accept({ src: '192.0.2.1' })
  assert.deepEqual(watched.end, { by: 'proxy', phase: 'monitor-in', code: 'shutdown' })
  const client = engine.accept({ src: '192.0.2.9' })
  client.send('ping')
  clock.advance('4999ms')
  await settle()
  assert.equal(engine.listeners.size, 1)
  clock.advance('1ms')
  await settle()
  assert.equal(engine.listeners.size, 0)
  client.fin()
  client.serverFin()
  clock.advance('100ms')
  assert.deepEqual(await stopped, { drained: true, closed: 0 })
})

test('a listener that does not close, or an engine that does not stop, holds nothing up', async () => {
  const { proxy, engine, lines } = await harness({
    frontends: { web: { bind: ['127.0.0.1:0', '127.0.0.1:0'], backend: 'app' } },
  })
  const { unlisten } = engine
  const closed: number[] = []
  engine.unlisten = (id) => {
    closed.push(id)
    return closed.length === 1 ? Promise.reject(new Error('no')) : unlisten.call(engine, id)
  }
  proxy.on('stopped', () => {
    throw new Error('a listener of the program')
  })
  assert.deepEqual(await proxy.stop(), { drained: true, closed: 0 })
  assert.equal(closed.length, 2)
  assert.equal(engine.stopped, true)
  const messages = lines.filter(({ level }) => level === 50).map(({ msg }) => msg)
  assert.deepEqual(messages, ['a listener did not close', "a listener of 'stopped' threw"])
})

test('an engine that fails to stop is told, once the rest is given up', async () => {
  const { proxy, engine, clock } = await harness({})
  engine.stop = () => Promise.reject(new Error('no'))
  await assert.rejects(proxy.stop(), /no/)
  assert.equal(clock.pending, 0)
})

for (const kind of engineKinds) {
  test(`a start that fails half-way closes what it has opened (${kind})`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    t.after(() => taken.close())
    const free = createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const port = (free.address() as AddressInfo).port
    free.close()
    await once(free, 'close')
    const path = join(folder, 'a.sock')
    const busy = (taken.address() as AddressInfo).port
    const proxy = assembleProxy(
      {
        frontends: {
          one: { bind: [`127.0.0.1:${port}`, `unix:${path}`], backend: 'app' },
          two: { bind: `127.0.0.1:${busy}`, backend: 'app' },
        },
        backends: { app: { servers: { a: '127.0.0.1:9001' } } },
        log: { file: join(folder, 'log') },
      },
      { engine: kind },
    )
    await assert.rejects(proxy.start(), (error) => {
      assert.ok(error instanceof SluiceError)
      assert.equal(error.code, 'ERR_SLUICE_LISTEN')
      assert.match(error.message, new RegExp(`127.0.0.1:${busy}`))
      return true
    })
    assert.equal(proxy.running, false)
    assert.equal(existsSync(path), false)
    // Whoever comes next gets the port.
    const next = createServer().listen(port, '127.0.0.1')
    await once(next, 'listening')
    next.close()
    assert.deepEqual(await proxy.stop(), { drained: true, closed: 0 })
  })
}

/** Lets promises that are settled have their say. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

test('times of stop() have a unit, and say what to write otherwise', async () => {
  const proxy = assembleProxy(config, { engine: new TestEngine(new VirtualClock()) })
  await proxy.start()
  // @ts-expect-error: a number has no unit
  await assert.rejects(proxy.stop({ deadline: 30 }), {
    code: 'ERR_SLUICE_ARGUMENT',
    message: /^deadline: expected a duration such as .*, got 30 without a unit\.$/,
  })
  await assert.rejects(proxy.stop({ grace: '5 s' as '5s' }), {
    code: 'ERR_SLUICE_ARGUMENT',
    message: /^grace: .* Did you mean '5s'\?$/,
  })
  assert.equal(proxy.running, true)
  await proxy.stop({ deadline: '0s' })
})

test('an engine that there is not is refused with those that there are', () => {
  // @ts-expect-error: no such engine
  assert.throws(() => createProxy(config, { engine: 'nativ' }), {
    code: 'ERR_SLUICE_ARGUMENT',
    message: "engine: expected 'native', 'js', 'auto', got 'nativ'. Did you mean 'native'?",
  })
})

for (const kind of engineKinds) {
  test(`a dozen proxies with one signal: no warning, and each stops (${kind})`, async () => {
    const warnings: string[] = []
    const warned = ({ message }: Error) => warnings.push(message)
    process.on('warning', warned)
    const controller = new AbortController()
    const options = { engine: kind, signal: controller.signal }
    const proxies = Array.from({ length: 12 }, () =>
      createProxy({ ...config, log: { level: 'silent' } }, options),
    )
    await Promise.all(proxies.map((proxy) => proxy.start()))
    const exits = process.listenerCount('exit')
    const [first, ...others] = proxies
    await first?.stop()
    const stopped = Promise.all(others.map((proxy) => once(proxy, 'stopped')))
    controller.abort()
    await stopped
    await new Promise((resolve) => setImmediate(resolve))
    process.removeListener('warning', warned)
    assert.deepEqual(warnings, [])
    assert.ok(process.listenerCount('exit') <= exits)
    assert.ok(proxies.every(({ running }) => !running))
  })
}
