/** `started` of a configuration: what goes on beside the rules, from the start to the stop. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Config } from '#sluice/config/types.js'
import type { RunningProxy } from '#sluice/policy/live.js'
import { createProxy } from '#sluice/proxy/create.js'
import { createTestProxy } from '#sluice/testing/index.js'
import { engineKinds } from '../support/engines.js'
import { harness, memoryLogger, web } from '../support/harness.js'
import { dial } from '../support/net.js'

function proxyWith(started: Config['started'], engine: 'js' | 'native' = 'js') {
  const { logger } = memoryLogger()
  return createProxy(
    {
      frontends: web({}),
      backends: { app: { servers: { a: '127.0.0.1:9001' } } },
      ...(started && { started }),
    },
    { logger, engine },
  )
}

for (const kind of engineKinds) {
  test(`${kind}: it is called once, when everything listens, and the start waits for it`, async () => {
    const seen: RunningProxy[] = []
    const proxy = proxyWith(async (running) => {
      seen.push(running)
      // A client is served meanwhile.
      const client = await dial(running.addresses.web?.[0]?.port as number)
      while (running.stats().connections === 0) await new Promise((next) => setTimeout(next, 5))
      client.destroy()
    }, kind)
    await proxy.start()
    assert.deepEqual(seen, [proxy])
    assert.equal(proxy.signal.aborted, false)
    await proxy.stop({ deadline: '0s' })
    assert.equal(seen.length, 1)
    assert.equal(proxy.signal.aborted, true)
  })

  test(`${kind}: its failure is that of the start, and nothing listens`, async () => {
    let port = 0
    for (const fail of [
      () => {
        throw new Error('no database')
      },
      () => Promise.reject(new Error('no database')),
    ]) {
      const proxy = proxyWith((running) => {
        port = running.addresses.web?.[0]?.port as number
        return fail()
      }, kind)
      await assert.rejects(proxy.start(), {
        code: 'ERR_SLUICE_STARTED',
        message: 'started: no database',
        cause: new Error('no database'),
      })
      assert.equal(proxy.running, false)
      assert.equal(proxy.signal.aborted, true)
      await assert.rejects(dial(port), { code: 'ECONNREFUSED' })
    }
  })
}

test('a stop ends the wait for it', async () => {
  let called = () => {}
  const waiting = new Promise<void>((resolve) => {
    called = resolve
  })
  const proxy = proxyWith(() => {
    called()
    return new Promise(() => {})
  })
  const starting = proxy.start()
  await waiting
  const stopped = proxy.stop()
  await assert.rejects(starting, { code: 'ERR_SLUICE_STATE' })
  assert.deepEqual(await stopped, { drained: true, closed: 0 })
})

test('its signal is aborted when the proxy begins to stop, and sessions still drain', async () => {
  const { proxy, engine, clock } = await harness({ started: () => {} })
  const client = engine.accept()
  const stopping = proxy.stop({ deadline: '1m' })
  assert.equal(proxy.signal.aborted, true)
  assert.equal(client.ended, false)
  client.reset()
  await clock.advanceAsync('10ms')
  assert.deepEqual(await stopping, { drained: true, closed: 0 })
})

test('it may do what an operator does: a server goes out while its table is full', async () => {
  await using proxy = await createTestProxy({
    tables: { errors: { key: 'string', size: 10, store: { gpc0: true } } },
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' } } },
    started({ tables, backends }) {
      tables.errors.set('a', { gpc0: 7 })
      if ((tables.errors.get('a')?.gpc0 ?? 0) > 5) backends.app.servers.a.state = 'maint'
    },
  })
  const result = await proxy.connect()
  assert.equal(result.server, 'b')
  assert.equal(proxy.backends.app.servers.a.status, 'maint')
})

test('what is no function is told with its path', () => {
  assert.throws(() => proxyWith('soon' as never), /started: expected a function/)
})
