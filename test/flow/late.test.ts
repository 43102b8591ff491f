import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineEvent } from '#sluice/engine/event.js'
import { reject, track } from '#sluice/policy.js'
import { settle } from '#sluice/testing/clock.js'
import type { TestClient } from '#sluice/testing/engine/client.js'
import type { TestEngine } from '#sluice/testing/engine/engine.js'
import { Field, Handshake } from '#sluice/wire/wire.js'
import { harness, web } from '../support/harness.js'

function tellLate(engine: TestEngine, client: TestClient, bit: number, opened: boolean): void {
  const { slot: conn, generation } = client
  engine.events.verdictTimeout({ conn, generation, bit, opened })
}

test('where the default is open the engine knows the first ready server', async () => {
  const { engine } = await harness({
    backends: {
      app: {
        servers: {
          off: { address: '127.0.0.1:9001', state: 'maint' },
          spare: { address: '127.0.0.1:9002', backup: true },
          good: '127.0.0.1:9003',
        },
      },
    },
    frontends: {
      open: { bind: '127.0.0.1:0', backend: 'app', onError: 'open' },
      shut: { bind: '127.0.0.1:0', backend: 'app' },
    },
  })
  const [open, shut] = [...engine.listeners.values()]
  const address = engine.routes.get(open?.fallbackRoute ?? -1)?.address
  assert.equal(address?.kind === 'tcp' && address.port, 9003)
  assert.equal(shut?.fallbackRoute, -1)
})

test('a session that the engine opened goes on without server accounting', async () => {
  let release: ((verdict: ReturnType<typeof reject>) => void) | undefined
  const { engine, proxy, sessions, lines } = await harness({
    frontends: web({
      onError: 'open',
      rules: {
        connection: [
          {
            name: 'slow',
            deadline: '60s',
            run: () =>
              new Promise<ReturnType<typeof reject>>((resolve) => {
                release = resolve
              }),
          },
        ],
      },
    }),
  })
  const client = engine.accept()
  // JavaScript was stalled: the engine's own deadline came first.
  tellLate(engine, client, Handshake.TCP_RULES, true)
  release?.(reject())
  await settle()
  assert.equal(client.ended, false)
  assert.equal(proxy.backends.app?.servers.a?.sessions, 0)
  assert.equal(proxy.stats().frontends.web?.lateVerdicts, 1)
  client.endWith(1, 17, 1)
  assert.equal(sessions()[0]?.opened, true)
  assert.equal(sessions()[0]?.server, undefined)
  assert.ok(lines.some(({ msg }) => /opened/.test(msg)))
})

test('a choice that was too late gives its slot back when the engine opened', async () => {
  const { engine, proxy, lines } = await harness(
    { frontends: web({ onError: 'open' }) },
    { onConnect: () => 'pending' },
  )
  const client = engine.accept()
  assert.equal(proxy.backends.app?.servers.a?.sessions, 1)
  tellLate(engine, client, Handshake.ACCEPT_SESSION, true)
  assert.equal(proxy.backends.app?.servers.a?.sessions, 0)
  client.reset()
  assert.equal(proxy.backends.app?.servers.a?.sessions, 0)
  assert.ok(!lines.some(({ level }) => level >= 50))
})

test('where the default is close the connection only waits for its end', async () => {
  const { engine, sessions, proxy } = await harness({
    frontends: web({ rules: { session: [() => new Promise<undefined>(() => {})] } }),
  })
  const client = engine.accept()
  tellLate(engine, client, Handshake.ACCEPT_SESSION, false)
  client.endWith(5, 8, 19)
  assert.equal(sessions()[0]?.code, 'verdict-timeout')
  assert.equal(sessions()[0]?.by, 'timeout')
  assert.equal(proxy.stats().connections, 0)
})

test('the engine has a later deadline than the core, rule deadlines included', async () => {
  const { engine } = await harness({
    global: { verdictTimeout: '2s' },
    frontends: web({
      rules: { connection: [{ name: 'x', run: () => undefined, deadline: '3s' }] },
    }),
  })
  const [spec] = engine.listeners.values()
  assert.equal(spec?.verdictTimeout, 5100)
})

test('events with a stale generation are nobody’s', async () => {
  const { engine, proxy, lines } = await harness({})
  const client = engine.accept()
  const event = Object.assign(new EngineEvent(), {
    conn: client.slot,
    generation: client.generation + 7,
    bit: Handshake.TCP_RULES,
    bytes: Uint8Array.of(1),
    opened: true,
  })
  engine.events.bytes(event)
  engine.events.connected(event)
  engine.events.connectFailed(event)
  engine.events.verdictTimeout(event)
  engine.events.data(event)
  engine.events.closed(event)
  assert.equal(proxy.stats().connections, 1)
  assert.equal(engine.table.get(client.slot, Field.GENERATION), client.generation)
  client.reset()
  assert.equal(proxy.stats().connections, 0)
  assert.ok(!lines.some(({ level }) => level >= 50))
})

test('a shared limit of several listeners pauses them, and resumes', async () => {
  const { engine } = await harness({
    frontends: { web: { bind: ['127.0.0.1:0', '127.0.0.1:0'], backend: 'app', maxconn: 2 } },
  })
  const a = engine.accept({ listener: 0 })
  assert.deepEqual([...engine.paused], [])
  const b = engine.accept({ listener: 1 })
  assert.deepEqual([...engine.paused], [0, 1])
  a.reset()
  assert.deepEqual([...engine.paused], [])
  b.reset()
})

test('the limit of the process pauses every listener', async () => {
  const { engine } = await harness({
    global: { maxconn: 2 },
    frontends: {
      web: { bind: '127.0.0.1:0', backend: 'app' },
      more: { bind: ['127.0.0.1:0', '127.0.0.1:0'], backend: 'app', maxconn: 1 },
    },
  })
  const a = engine.accept({ listener: 1 })
  assert.deepEqual([...engine.paused], [1, 2])
  const b = engine.accept({ listener: 0 })
  assert.deepEqual([...engine.paused].sort(), [0, 1, 2])
  b.reset()
  // The frontend's own limit still holds.
  assert.deepEqual([...engine.paused].sort(), [1, 2])
  a.reset()
  assert.deepEqual([...engine.paused], [])
})

test('a listener of the caller’s that throws harms nobody', async () => {
  const { engine, proxy, lines } = await harness({
    tables: { t: { key: 'ip', size: 10, store: { connCur: true } } },
    frontends: web({ rules: { connection: [track('sc0', (conn) => conn.src, 't')] } }),
  })
  proxy.on('session', () => {
    throw new Error('mine')
  })
  proxy.on('transition', () => {
    throw new Error('mine too')
  })
  await Promise.resolve()
  engine.accept().reset()
  assert.equal(proxy.stats().connections, 0)
  assert.equal(proxy.tables.t?.get('192.0.2.1')?.connCur, 0)
  assert.equal(proxy.backends.app?.servers.a?.sessions, 0)
  assert.ok(lines.some(({ err }) => (err as Error | undefined)?.message === 'mine'))
})

test('a paused listener is logged once in a while', async () => {
  const { engine, clock, lines } = await harness({})
  const logged = () => lines.filter(({ errno }) => errno === 24).length
  for (let i = 0; i < 5; i++) engine.events.listenerPaused({ listener: 0, errno: 24 })
  assert.equal(logged(), 1)
  clock.advance('10s')
  engine.events.listenerPaused({ listener: 0, errno: 24 })
  assert.equal(logged(), 2)
})

test('sampling leaves out clean sessions, never trouble', async () => {
  const { engine, sessions, proxy } = await harness({ frontends: web({ log: { sample: 3 } }) })
  let told = 0
  proxy.on('session', () => told++)
  for (let i = 0; i < 7; i++) engine.accept().reset()
  assert.equal(sessions().length, 2)
  assert.equal(told, 7)
  engine.accept().endWith(5, 17, 14)
  assert.equal(sessions().length, 3)
  assert.equal(sessions()[2]?.level, 40)
  const errorsOnly = await harness({ frontends: web({ log: { sample: 0 } }) })
  errorsOnly.engine.accept().reset()
  errorsOnly.engine.accept().endWith(2, 17, 2)
  assert.deepEqual(
    errorsOnly.sessions().map(({ by }) => by),
    ['server'],
  )
})
