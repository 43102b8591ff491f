/** Plugins of a proxy that runs: start and stop, log, metrics, their rules at work. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from 'sluice'
import { definePlugin, type PluginParts, reject, useBackend } from 'sluice/policy'
import { createTestProxy } from 'sluice/testing'
import { VirtualClock } from '#sluice/testing/clock.js'
import { TestEngine } from '#sluice/testing/engine/engine.js'
import { harness, web } from '../support/harness.js'

/** Plugins that note what is called. */
function noting(parts: (name: string, told: string[]) => Partial<PluginParts> = () => ({})) {
  const told: string[] = []
  const plugin = definePlugin<{ name: string }>({
    name: 'noting',
    setup({ name }, { signal }) {
      signal.addEventListener('abort', () => told.push(`${name} aborted`))
      return {
        start: () => void told.push(`${name} start`),
        stop: () => void told.push(`${name} stop`),
        ...parts(name, told),
      }
    },
  })
  return { told, plugin }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('plugins start in order before the proxy listens, and stop in reverse when it has stopped', async () => {
  const { told, plugin } = noting((name, told) => ({
    async start() {
      await turn()
      told.push(`${name} start`)
    },
  }))
  const { proxy, engine } = await harness({
    frontends: web({ use: [plugin({ name: 'b' }), plugin({ name: 'c' })] }),
    plugins: [plugin({ name: 'a' })],
  })
  assert.deepEqual(told, ['a start', 'b start', 'c start'])
  assert.equal(engine.listeners.size, 1)
  told.length = 0
  await proxy.stop()
  const ends = ['a aborted', 'b aborted', 'c aborted']
  assert.deepEqual(told, [...ends, 'c stop', 'b stop', 'a stop'])
})

test('a plugin that does not start stops the start, and is stopped with those before it', async () => {
  const { told, plugin } = noting((name, told) => ({
    async start() {
      await turn()
      told.push(`${name} start`)
      if (name === 'b') throw new RangeError('port taken')
    },
  }))
  const use = [plugin({ name: 'a' }), plugin({ name: 'b' }), plugin({ name: 'c' })]
  await assert.rejects(harness({ frontends: web({ use }) }), (error) => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'ERR_SLUICE_PLUGIN')
    assert.equal(
      error.message,
      "frontends.web.use[1]: plugin 'noting:web' did not start: port taken",
    )
    assert.ok(error.cause instanceof RangeError)
    return true
  })
  const ends = ['a aborted', 'b aborted', 'c aborted']
  assert.deepEqual(told, ['a start', 'b start', ...ends, 'b stop', 'a stop'])
})

test('a proxy that is stopped does not wait for a plugin that does not start', async () => {
  const { told, plugin } = noting(() => ({ start: () => new Promise<void>(() => {}) }))
  const controller = new AbortController()
  const { assembleProxy } = await import('#sluice/proxy/create.js')
  const proxy = assembleProxy(
    {
      frontends: web({ use: [plugin({ name: 'a' })] }),
      backends: { app: { servers: { a: '127.0.0.1:9001' } } },
      log: { level: 'silent' },
    },
    {
      engine: new TestEngine(new VirtualClock()),
      signal: controller.signal,
    },
  )
  const starting = proxy.start()
  await turn()
  controller.abort()
  await assert.rejects(starting, /The proxy was stopped while it started/)
  assert.deepEqual(await proxy.stop(), { drained: true, closed: 0 })
  assert.deepEqual(told, ['a aborted', 'a stop'])
})

test('a proxy that never started ends its plugins, without their stop', async () => {
  const { told, plugin } = noting()
  const { createProxy } = await import('sluice')
  const proxy = createProxy({
    frontends: web({ use: [plugin({ name: 'a' })] }),
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    log: { level: 'silent' },
  })
  await proxy.stop()
  assert.deepEqual(told, ['a aborted'])
})

test('a plugin that fails to stop, or never does, holds up nobody', async () => {
  const { told, plugin } = noting((name, told) => ({
    stop() {
      if (name === 'hangs') return new Promise<void>(() => {})
      if (name === 'fails') throw new Error('no')
      told.push(`${name} stop`)
      return undefined
    },
  }))
  const names = ['well', 'fails', 'hangs']
  const { proxy, clock, lines } = await harness({
    frontends: web({ use: names.map((name) => plugin({ name })) }),
  })
  const stopping = proxy.stop()
  let stopped = false
  void stopping.then(() => {
    stopped = true
  })
  await clock.advanceAsync('4999ms', turn)
  assert.equal(stopped, false)
  await clock.advanceAsync('1ms', turn)
  await stopping
  assert.ok(told.includes('well stop'))
  const failed = lines.filter(({ msg }) => msg === 'a plugin did not stop well')
  assert.deepEqual(
    failed.map(({ plugin, err }) => [plugin, (err as { message: string }).message]),
    [
      ['noting:web:2', 'it did not stop within 5s'],
      ['noting:web', 'no'],
    ],
  )
})

test('rules of plugins are named after them, in logs and where they decide', async () => {
  const plugin = definePlugin<{ refused: string }>({
    name: 'refuse',
    setup: ({ refused }) => ({
      rules: {
        connection: [
          function bad({ src }) {
            if (src === refused) return reject()
          },
        ],
        session: [() => {}, useBackend('app')],
      },
    }),
  })
  await using proxy = await createTestProxy({
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    use: [plugin({ refused: '192.0.2.7' }, { name: 'first' })],
    plugins: [plugin({ refused: '192.0.2.8' })],
  })
  const rules = async (src: string) => (await proxy.connect({ src })).steps.map(({ name }) => name)
  assert.deepEqual(await rules('192.0.2.7'), ['first/bad'])
  assert.deepEqual(await rules('192.0.2.8'), ['first/bad', 'refuse/bad'])
  assert.deepEqual(await rules('192.0.2.9'), [
    'first/bad',
    'refuse/bad',
    'first/session[0]',
    'first/useBackend',
    'refuse/session[0]',
    'refuse/useBackend',
  ])
  const ends = proxy.logs.filter(({ event }) => event === 'session')
  assert.deepEqual(
    ends.map(({ rule }) => rule),
    ['first/bad', 'refuse/bad'],
  )
})

test('a rule of a plugin that throws is that connection’s problem, told with its name', async () => {
  const plugin = definePlugin({
    name: 'bad',
    setup: () => ({
      rules: {
        connection: [
          function boom() {
            throw new Error('boom')
          },
        ],
      },
    }),
  })
  await using proxy = await createTestProxy({
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    use: [plugin()],
  })
  assert.equal((await proxy.connect()).reason?.code, 'policy-error')
  assert.ok(proxy.logs.some(({ msg }) => msg === 'rule bad/boom failed'))
})

test('the context has a log, a clock and metrics that are the proxy’s', async () => {
  const plugin = definePlugin({
    name: 'busy-body',
    setup(_options, { log, clock, metrics, name }) {
      log.info({ at: clock.now() }, 'set up')
      const seen = metrics.counter('seen_total', 'Connections seen.')
      const open = metrics.gauge('load', 'Made up.')
      open.set(3)
      return {
        rules: {
          connection: [
            function count({ frontend }) {
              seen.inc({ frontend })
              open.dec()
              log.info({ at: clock.now() }, `${name} counts`)
            },
          ],
        },
      }
    },
  })
  await using proxy = await createTestProxy(
    {
      frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
      backends: { app: { servers: { a: '127.0.0.1:9001' } } },
      use: [plugin()],
    },
    { now: 5_000 },
  )
  await proxy.advance('1s')
  await proxy.connect()
  await proxy.connect()
  const lines = proxy.logs.filter(({ plugin }) => plugin === 'busy-body')
  assert.deepEqual(
    lines.map(({ msg, at }) => [msg, at]),
    [
      ['set up', 5_000],
      ['busy-body counts', 6_000],
      ['busy-body counts', 6_000],
    ],
  )
  assert.deepEqual(proxy.stats().plugins, {
    'busy-body': {
      seen_total: {
        name: 'busy_body_seen_total',
        type: 'counter',
        help: 'Connections seen.',
        values: [{ labels: { frontend: 'web' }, value: 2 }],
      },
      load: {
        name: 'busy_body_load',
        type: 'gauge',
        help: 'Made up.',
        values: [{ labels: {}, value: 1 }],
      },
    },
  })
})
