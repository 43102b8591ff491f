/** What is left of sessions while they are idle. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import { Session } from '#sluice/flow/session/session.js'
import type { SluiceProxy } from '#sluice/proxy/proxy.js'
import { Code } from '#sluice/wire/wire.js'
import { harness, web } from '../support/harness.js'

/** Counts idle sessions that are made anew. */
function counted(t: TestContext): { woken: number } {
  const count = { woken: 0 }
  const { woken } = Session
  Session.woken = (client, rest) => {
    count.woken++
    return woken.call(Session, client, rest)
  }
  t.after(() => {
    Session.woken = woken
  })
  return count
}

/** Slots taken, by server. */
function held(proxy: SluiceProxy): number[] {
  const { servers } = proxy.stats().backends.app as {
    servers: Record<string, { sessions: number }>
  }
  return Object.values(servers).map(({ sessions }) => sessions)
}

const APP = { app: { servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' }, retries: 1 } } as const

test('an idle session is not made anew for its end, nor for being listed', async (t) => {
  const count = counted(t)
  const { engine, proxy, sessions } = await harness({ backends: APP })
  const records: SessionRecord[] = []
  proxy.on('session', (record) => records.push(record))
  const clients = [engine.accept(), engine.accept()]
  const views = [...proxy.sessions()]
  const listed = views.map(({ server, serverAddress, serverState }) => [
    server,
    serverAddress,
    serverState,
  ])
  assert.deepEqual(listed, [
    ['a', '127.0.0.1:9001', 'EST'],
    ['b', '127.0.0.1:9002', 'EST'],
  ])
  for (const client of clients) client.reset()
  assert.deepEqual(
    views.map(({ server, clientState, serverState }) => [server, clientState, serverState]),
    [
      ['a', 'CLO', 'CLO'],
      ['b', 'CLO', 'CLO'],
    ],
  )
  assert.equal(count.woken, 0)
  assert.deepEqual(
    records.map(({ server, serverAddress, retries, attempts, timers, opened }) => {
      return { server, serverAddress, retries, attempts, queue: timers.queue, opened }
    }),
    [
      ['a', '127.0.0.1:9001'],
      ['b', '127.0.0.1:9002'],
    ].map(([server, serverAddress]) => {
      const rest = { retries: 0, attempts: undefined, queue: 0, opened: undefined }
      return { server, serverAddress, ...rest }
    }),
  )
  assert.equal(sessions().length, 2)
  assert.deepEqual(held(proxy), [0, 0])
})

test('a connect that fails wakes it, and its slot moves with it', async (t) => {
  const count = counted(t)
  const { engine, proxy, sessions } = await harness(
    { backends: APP },
    {
      onConnect: ({ routes }) => (routes.length === 1 ? { code: Code.REFUSED, errno: 111 } : 'ok'),
    },
  )
  const client = engine.accept()
  assert.equal(count.woken, 1)
  assert.equal(client.mode, 'forward')
  assert.deepEqual(held(proxy), [0, 1])
  client.reset()
  assert.deepEqual(held(proxy), [0, 0])
  const [line] = sessions()
  assert.deepEqual([line?.server, line?.retries], ['b', 1])
})

test('who begins to listen to transitions hears the end of an idle session', async () => {
  const { engine, proxy } = await harness({})
  const client = engine.accept()
  const walked: string[] = []
  proxy.on('transition', ({ side, from, to }) => walked.push(`${side} ${from}-${to}`))
  await Promise.resolve()
  client.reset()
  assert.deepEqual(walked, [
    'server CON-EST',
    'server EST-DIS',
    'server DIS-CLO',
    'client EST-DIS',
    'client DIS-CLO',
  ])
  assert.deepEqual(held(proxy), [0])
})

test('what has more to remember stays as it is', async (t) => {
  const count = counted(t)
  const { engine, clock, sessions } = await harness({
    frontends: web({ log: { openAfter: '1m' } }),
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } } },
  })
  const first = engine.accept()
  const second = engine.accept()
  clock.advance('300ms')
  first.reset()
  clock.advance('1s')
  second.reset()
  assert.equal(count.woken, 0)
  assert.deepEqual(
    sessions().map(({ timers }) => (timers as { queue: number }).queue),
    [0, 300],
  )
})
