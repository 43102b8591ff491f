/** What a rule sees and sets of its connection: clock, backends, place in queues, time-outs, fields. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection, Rule } from '#sluice/index.js'
import type { BackendView } from '#sluice/policy/live.js'
import { reject, useBackend } from '#sluice/policy.js'
import { settle } from '#sluice/testing/index.js'
import { Timeout } from '#sluice/wire/wire.js'
import { harness, web } from '../support/harness.js'

const session = (...rules: Rule[]) => ({ frontends: web({ rules: { session: rules } }) })

test('a rule reads the clock of the proxy', async () => {
  const seen: number[] = []
  const { engine, clock } = await harness(session((conn) => void seen.push(conn.now)))
  engine.accept()
  clock.advance('1500ms')
  engine.accept()
  const [first = 0, second] = seen
  assert.equal(second, first + 1500)
})

test('a rule asks for the health of backends', async () => {
  const { engine, proxy, sessions } = await harness({
    ...session((conn) =>
      conn.backend('app').usable === 0 || conn.backend('app').queued > 0
        ? useBackend('spare')
        : undefined,
    ),
    backends: {
      app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } },
      spare: { servers: { s: '127.0.0.1:9002' } },
    },
  })
  const first = engine.accept()
  engine.accept()
  assert.equal(proxy.backends.app?.queued, 1)
  engine.accept()
  assert.equal(proxy.backends.spare?.sessions, 1)
  assert.ok(proxy.backends.app?.servers.a)
  proxy.backends.app.servers.a.state = 'maint'
  engine.accept()
  assert.equal(proxy.backends.spare?.sessions, 2)
  first.reset()
  assert.equal(sessions()[0]?.backend, 'app')
})

test('a backend that is none is a failure of the rule, told with what is near', async () => {
  const { engine, lines, sessions } = await harness(session((conn) => void conn.backend('ap')))
  engine.accept()
  assert.equal(sessions()[0]?.code, 'policy-error')
  const err = lines.find(({ err }) => err)?.err
  assert.match(String((err as Error).message), /There is no backend 'ap'. Did you mean 'app'\?/)
})

test('the view that a rule has is that of the proxy', async () => {
  let seen: BackendView | undefined
  const { engine, proxy } = await harness(
    session((conn) => {
      seen = conn.backend('app')
    }),
  )
  engine.accept()
  assert.equal(seen, proxy.backends.app)
})

test('a place in queues is assigned', async () => {
  const { engine, proxy } = await harness({
    ...session((conn) => {
      if (conn.src === '192.0.2.3') conn.priority = -10
      assert.equal(conn.priority, conn.src === '192.0.2.3' ? -10 : 0)
    }),
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } } },
  })
  const [first] = [1, 2, 3].map((i) => engine.accept({ src: `192.0.2.${i}` }))
  first?.reset()
  const [served] = proxy.sessions({ server: 'a' })
  assert.equal(served?.src, '192.0.2.3')
})

test('time-outs are told to the engine, and taken back', async () => {
  let conn: Connection | undefined
  const { engine } = await harness(
    session((held) => {
      conn = held
      held.timeouts.client = '5m'
      held.timeouts.connect = '250ms'
    }),
  )
  const client = engine.accept()
  assert.ok(conn)
  assert.deepEqual([conn.timeouts.client, conn.timeouts.server], ['5m', undefined])
  conn.timeouts.tunnel = '0s'
  conn.timeouts.client = undefined
  const calls = () =>
    engine.calls.filter(({ name }) => name === 'setTimeout').map(({ args }) => args)
  assert.deepEqual(calls(), [
    [Timeout.CLIENT, 300_000],
    [Timeout.CONNECT, 250],
    [Timeout.TUNNEL, 0],
    [Timeout.CLIENT, -1],
  ])
  // Behind its end it is nobody's.
  client.reset()
  conn.timeouts.server = '1s'
  assert.equal(calls().length, 4)
  assert.deepEqual(Object.keys(Object.getPrototypeOf(conn.timeouts)).sort(), [
    'client',
    'clientFin',
    'connect',
    'queue',
    'server',
    'serverFin',
    'tunnel',
  ])
})

test('a time-out of its own ends a connection, and no other', async () => {
  const { engine, clock } = await harness({
    ...session((conn) => {
      if (conn.src === '192.0.2.1') conn.timeouts.client = '2s'
    }),
    timeouts: { client: '1m', server: '1m' },
  })
  const [short, long] = [1, 2].map((i) => engine.accept({ src: `192.0.2.${i}` }))
  clock.advance('2000ms')
  assert.deepEqual(short?.end, { by: 'timeout', phase: 'data', code: 'client-timeout' })
  assert.equal(long?.ended, false)
})

test('a wait in the queue has a time-out of its own, shorter, longer or none', async () => {
  const { engine, clock, proxy } = await harness({
    ...session((conn) => {
      conn.timeouts.queue = ({ 2: '1s', 3: '1m', 4: '0s' } as const)[conn.src.slice(-1) as '2']
    }),
    backends: {
      app: {
        servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } },
        timeouts: { queue: '10s' },
      },
    },
  })
  const clients = [1, 2, 3, 4, 5].map((i) => engine.accept({ src: `192.0.2.${i}` }))
  const ended = () => clients.flatMap(({ ended }, i) => (ended ? [i + 1] : []))
  clock.advance('1000ms')
  assert.deepEqual(ended(), [2])
  assert.deepEqual(clients[1]?.end, { by: 'timeout', phase: 'queue', code: 'queue-timeout' })
  clock.advance('9000ms')
  assert.deepEqual(ended(), [2, 5])
  clock.advance('50000ms')
  assert.deepEqual(ended(), [2, 3, 5])
  clients[0]?.reset()
  assert.deepEqual(
    Array.from(proxy.sessions(), ({ src, server }) => [src, server]),
    [['192.0.2.4', 'a']],
  )
})

test('what is no time-out and no place is a failure of the rule', async () => {
  const tried: [(conn: Connection) => void, RegExp][] = [
    [
      (conn) => Object.assign(conn.timeouts, { client: 30 }),
      /timeouts.client: expected a duration .* got 30 without a unit/,
    ],
    [(conn) => Object.assign(conn.timeouts, { queue: '5 sec' }), /Did you mean '5s'/],
    [
      (conn) => Object.assign(conn.timeouts, { connect: '0s' }),
      /timeouts.connect: expected more than '0s'/,
    ],
    [(conn) => Object.assign(conn.timeouts, { cleint: '5s' }), /cleint/],
    [
      (conn) => Object.assign(conn, { priority: 'high' }),
      /priority: expected a finite number, got 'high'/,
    ],
    [(conn) => Object.assign(conn, { priority: Number.NaN }), /priority: expected a finite number/],
    [(conn) => Object.assign(conn, { fields: {} }), /fields/],
  ]
  for (const [rule, message] of tried) {
    const { engine, lines, sessions } = await harness(session(rule))
    engine.accept()
    assert.equal(sessions()[0]?.code, 'policy-error')
    const err = lines.find(({ err }) => err)?.err
    assert.match(String((err as Error).message), message)
  }
})

test('fields stand in the line and in the event, bounded and fit for JSON', async () => {
  const { engine, proxy, sessions } = await harness(
    session((conn) => {
      conn.fields.tenant = 'blue'
      conn.fields.tries = 3
      conn.fields.big = 7n
      conn.fields.odd = Number.NaN
      conn.fields.none = undefined
      Object.assign(conn.fields, { list: [1], ['x'.repeat(100)]: 'y'.repeat(5000) })
      Object.defineProperty(conn.fields, 'trap', {
        enumerable: true,
        get() {
          throw new Error('mine')
        },
      })
      for (let i = 0; i < 100; i++) conn.fields[`f${i}`] = true
    }),
  )
  const records: unknown[] = []
  proxy.on('session', ({ fields }) => records.push(fields))
  engine.accept().reset()
  const fields = sessions()[0]?.fields as Record<string, unknown>
  const { tenant, tries, big, odd, list } = fields
  assert.deepEqual([tenant, tries, big, odd, list], ['blue', 3, '7', 'NaN', 'a list'])
  assert.equal(fields['x'.repeat(64)], `${'y'.repeat(1024)}…`)
  assert.equal('trap' in fields, false)
  assert.equal('none' in fields, false)
  assert.equal(Object.keys(fields).length, 32)
  assert.deepEqual(records, [fields])
})

test('without fields there is none in the line, asked for or not', async () => {
  const { engine, sessions } = await harness(session((conn) => reject({ reset: !conn.fields })))
  engine.accept()
  await settle()
  assert.equal(sessions().length, 1)
  assert.equal('fields' in (sessions()[0] ?? {}), false)
})

test('a line of a session that goes on has them too', async () => {
  const { engine, clock, lines } = await harness({
    frontends: web({
      log: { openAfter: '1m' },
      rules: {
        session: [
          (conn) => {
            conn.fields.tenant = 'blue'
          },
        ],
      },
    }),
  })
  engine.accept()
  clock.advance('60000ms')
  assert.deepEqual(lines.find(({ event }) => event === 'open')?.fields, { tenant: 'blue' })
})
