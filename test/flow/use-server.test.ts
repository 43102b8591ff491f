/** A rule chooses a server: taken where it can be used, waited for while it is full, or nothing else. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Config } from '#sluice/config/types.js'
import type { Rule } from '#sluice/index.js'
import { useBackend, useServer } from '#sluice/policy.js'
import type { TestEngine } from '#sluice/testing/engine/engine.js'
import { Code } from '#sluice/wire/wire.js'
import { harness, web } from '../support/harness.js'

const servers = {
  a: { address: '127.0.0.1:9001', maxconn: 1 },
  b: '127.0.0.1:9002',
} as const

async function choosing(
  rules: Rule[],
  app: Partial<Config['backends'][string]> = {},
  onConnect: TestEngine['onConnect'] = () => 'ok',
) {
  const running = await harness(
    {
      frontends: web({ rules: { session: rules } }),
      backends: {
        app: { balance: 'first', servers, ...app },
        other: { servers: { a: '127.0.0.1:9003', c: '127.0.0.1:9004' } },
      },
    },
    { onConnect },
  )
  const { proxy } = running
  return {
    ...running,
    /** Servers of open sessions, in the order in which they came. */
    chosen: () =>
      [...proxy.sessions()]
        .sort((x, y) => (x.id < y.id ? -1 : 1))
        .map(({ backend, server }) => `${backend}/${server}`),
    server: (name: 'a' | 'b') => {
      const server = proxy.backends.app?.servers[name]
      assert.ok(server)
      return server
    },
  }
}

test('the server is taken, whatever the balance says', async () => {
  const { engine, chosen } = await choosing([useServer('app', 'b')])
  engine.accept()
  engine.accept()
  assert.deepEqual(chosen(), ['app/b', 'app/b'])
})

test('it may be of another backend; the last choice counts', async () => {
  const { engine, chosen } = await choosing([
    useServer('app', 'b'),
    (conn) => {
      if (conn.src === '192.0.2.1') return useServer('other', 'c')
      if (conn.src === '192.0.2.2') return useBackend('app')
      return undefined
    },
  ])
  for (let i = 1; i <= 3; i++) engine.accept({ src: `192.0.2.${i}` })
  assert.deepEqual(chosen(), ['other/c', 'app/a', 'app/b'])
})

test('while it is full its queue is waited in, and its maxconn holds', async () => {
  const { engine, proxy, server, chosen } = await choosing([useServer('app', 'a')])
  const first = engine.accept()
  engine.accept()
  assert.deepEqual([server('a').sessions, server('a').queued, server('b').sessions], [1, 1, 0])
  first.reset()
  assert.deepEqual([server('a').sessions, proxy.backends.app?.queued], [1, 0])
  assert.deepEqual(chosen(), ['app/a'])
})

test('it is taken where it drains; in maintenance the backend balances', async () => {
  const { engine, server, chosen } = await choosing([useServer('app', 'a')])
  server('a').state = 'drain'
  engine.accept().reset()
  engine.accept()
  assert.deepEqual(chosen(), ['app/a'])
  engine.accept()
  assert.equal(server('a').queued, 1)
  // Who waits for it is served by others once it is out.
  server('a').state = 'maint'
  assert.deepEqual(chosen(), ['app/a', 'app/b'])
  engine.accept()
  assert.deepEqual(chosen(), ['app/a', 'app/b', 'app/b'])
})

test('a connect to it that fails moves on, as any', async () => {
  const { engine, sessions, chosen } = await choosing(
    [useServer('app', 'a')],
    { retries: 1, redispatch: 1 },
    (_, route) => (route === 0 ? { code: Code.REFUSED } : 'ok'),
  )
  engine.accept()
  assert.deepEqual(chosen(), ['app/b'])
  assert.deepEqual(sessions(), [])
})

test('strict: no other server, not behind a failure either', async () => {
  const { engine, clock, sessions } = await choosing(
    [useServer('app', 'a', { strict: true })],
    { retries: 1, redispatch: 1, retryDelay: '1s' },
    (_, route) => (route === 0 ? { code: Code.REFUSED } : 'ok'),
  )
  engine.accept()
  clock.advance('1s')
  const [{ server, attempts, code } = {}] = sessions() as { [name: string]: unknown }[]
  assert.equal(server, 'a')
  assert.equal(code, 'refused')
  assert.deepEqual(
    (attempts as { server: string }[]).map(({ server }) => server),
    ['a', 'a'],
  )
})

test('strict: waits for it while it is out, until the queue time-out', async () => {
  const { engine, clock, server, chosen } = await choosing(
    [useServer('app', 'a', { strict: true })],
    { timeouts: { queue: '5s' } },
  )
  server('a').state = 'maint'
  const late = engine.accept()
  assert.deepEqual([server('a').queued, server('b').sessions], [1, 0])
  clock.advance('4s')
  const early = engine.accept()
  clock.advance('1s')
  assert.deepEqual(late.end, { by: 'timeout', phase: 'queue', code: 'queue-timeout' })
  assert.equal(early.ended, false)
  server('a').state = 'ready'
  assert.deepEqual(chosen(), ['app/a'])
  // One that waits while it goes out waits on.
  engine.accept()
  server('a').state = 'maint'
  assert.deepEqual([server('a').queued, server('b').sessions], [1, 0])
})

test('what does not exist is a failure of the rule, told by name', async () => {
  for (const [rule, message] of [
    [() => useServer('app', 'z'), /there is no server 'app\/z'/],
    [() => useServer('zz', 'a'), /there is no backend 'zz'/],
  ] as const) {
    const { engine, lines, sessions } = await choosing([rule as Rule])
    engine.accept()
    assert.equal(sessions()[0]?.code, 'policy-error')
    const err = lines.find(({ err }) => err)?.err
    assert.match(String((err as Error).message), message)
  }
})
