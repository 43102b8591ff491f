/** The plugin canary, without a network. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CanaryOptions, canary } from 'sluice/plugins/canary'
import { createTestProxy } from 'sluice/testing'
import { isAmong, share } from '#sluice/plugins/share.js'

test('the share of a canary is as asked, and grows by adding clients', () => {
  const sources = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.7`)
  for (const percent of [1, 5, 25, 50]) {
    const chosen = sources.filter((source) => isAmong(source, percent)).length / 200
    assert.ok(Math.abs(chosen - percent) < 1, `${chosen} of ${percent} percent`)
  }
  for (const source of sources) {
    assert.ok(share(source) >= 0 && share(source) < 1)
    assert.ok(!isAmong(source, 5) || isAmong(source, 10))
  }
  assert.ok(sources.every((source) => !isAmong(source, 0) && isAmong(source, 100)))
})

function start(options: CanaryOptions) {
  return createTestProxy({
    frontends: { web: { bind: '127.0.0.1:80', backend: 'stable' } },
    backends: {
      stable: { servers: { a: '127.0.0.1:9001' } },
      next: { servers: { b: '127.0.0.1:9002' } },
    },
    use: [canary(options)],
  })
}

test('those who are among them go to the other backend, and are counted', async () => {
  await using proxy = await start({ backend: 'next', percent: 30 })
  let chosen = 0
  for (let i = 0; i < 50; i++) {
    const src = `192.0.2.${i}`
    const { backend } = await proxy.connect({ src })
    assert.equal(backend, isAmong(src, 30) ? 'next' : 'stable')
    if (backend === 'next') chosen++
  }
  assert.ok(chosen > 0 && chosen < 50)
  assert.deepEqual(proxy.stats().plugins.canary?.chosen_total?.values, [
    { labels: { frontend: 'web' }, value: chosen },
  ])
})

test('some sources are always in, some never', async () => {
  await using all = await start({ backend: 'next', percent: 100, never: ['192.0.2.0/25'] })
  assert.equal((await all.connect({ src: '192.0.2.1' })).backend, 'stable')
  assert.equal((await all.connect({ src: '192.0.2.200' })).backend, 'next')
  await using none = await start({
    ...{ backend: 'next', percent: 0, always: ['192.0.2.0/24'], never: ['192.0.2.7'] },
  })
  assert.equal((await none.connect({ src: '192.0.2.1' })).backend, 'next')
  assert.equal((await none.connect({ src: '192.0.2.7' })).backend, 'stable')
  assert.equal((await none.connect({ src: '198.51.100.1' })).backend, 'stable')
})

test('the part may change, and be of something else than sources', async () => {
  let percent = 0
  const by = ({ srcPort }: { srcPort: number }) => (srcPort === 1 ? undefined : 'everybody')
  await using proxy = await start({ backend: 'next', percent: () => percent, by })
  assert.equal((await proxy.connect()).backend, 'stable')
  percent = 100
  assert.equal((await proxy.connect()).backend, 'next')
  assert.equal((await proxy.connect({ srcPort: 1 })).backend, 'stable')
})

test('what is wrong in its options is told with the path', async () => {
  await assert.rejects(start({ backend: 'nxt', percent: 5 }), (error: Error) => {
    assert.match(error.message, /plugins\[0\]: there is no backend named 'nxt'.*'next'/)
    return true
  })
  const wrong = { backend: 'next', percent: 101, alwys: [], never: ['10.0.0.0/8', 'nobody'] }
  await assert.rejects(start(wrong as CanaryOptions), (error: Error) => {
    assert.match(error.message, /plugins\[0\]\.percent: expected a number from 0 to 100, got 101\./)
    assert.match(error.message, /plugins\[0\]\.never\[1\]: .*'nobody'/)
    assert.match(error.message, /plugins\[0\]\.alwys: is unknown\. Did you mean 'always'\?/)
    return true
  })
})
