/** The plugin rate-limit, without a network. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RateLimitOptions, rateLimit } from 'sluice/plugins/rate-limit'
import { createTestProxy } from 'sluice/testing'

function start(options: RateLimitOptions) {
  return createTestProxy({
    frontends: { web: { bind: ['127.0.0.1:80', '[::1]:80'], backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    use: [rateLimit(options)],
  })
}

type Proxy = Awaited<ReturnType<typeof start>>

/** How a client is treated that leaves at once: 'ok', or the rule that refuses it. */
async function visit(proxy: Proxy, src: string): Promise<string> {
  const bind = src.includes(':') ? 1 : 0
  const result = await proxy.connect({ src, bind, fin: true, servers: { 'app/a': { reply: 'x' } } })
  return result.verdict === 'accepted' ? 'ok' : (result.rule ?? '?')
}

async function visits(proxy: Proxy, n: number, src: string): Promise<string[]> {
  const answers = new Set<string>()
  for (let i = 0; i < n; i++) answers.add(await visit(proxy, src))
  return [...answers]
}

test('a source above its rate is refused until the window has passed', async () => {
  await using proxy = await start({ limit: 3 })
  assert.deepEqual(await visits(proxy, 3, '192.0.2.1'), ['ok'])
  assert.deepEqual(await visits(proxy, 2, '192.0.2.1'), ['rate-limit/tooFast'])
  assert.equal(await visit(proxy, '192.0.2.2'), 'ok')
  await proxy.advance('20s')
  assert.equal(await visit(proxy, '192.0.2.1'), 'ok')
  assert.deepEqual(proxy.stats().plugins['rate-limit']?.refused_total?.values, [
    { labels: { frontend: 'web', reason: 'rate' }, value: 2 },
  ])
  assert.equal(proxy.stats().tables['rate-limit.seen']?.entries, 2)
})

test('who goes on is refused for longer', async () => {
  await using proxy = await start({ limit: 2, window: '1s', ban: 3, banWindow: '1m' })
  assert.deepEqual(await visits(proxy, 2, '192.0.2.1'), ['ok'])
  assert.deepEqual(await visits(proxy, 3, '192.0.2.1'), ['rate-limit/tooFast'])
  await proxy.advance('30s')
  assert.equal(await visit(proxy, '192.0.2.1'), 'rate-limit/banned')
  // Every attempt counts again.
  await proxy.advance('50s')
  assert.deepEqual(await visits(proxy, 3, '192.0.2.1'), ['ok', 'rate-limit/tooFast'])
  await proxy.advance('3m')
  assert.equal(await visit(proxy, '192.0.2.1'), 'ok')
})

test('connections that are open are counted too', async () => {
  await using proxy = await start({ limit: 100, open: 2 })
  const first = await proxy.connect({ src: '192.0.2.1' })
  const second = await proxy.connect({ src: '192.0.2.1' })
  assert.deepEqual([first.verdict, second.verdict], ['accepted', 'accepted'])
  assert.equal(await visit(proxy, '192.0.2.1'), 'rate-limit/tooMany')
  assert.equal(await visit(proxy, '192.0.2.2'), 'ok')
  await first.connection.reset()
  assert.equal(await visit(proxy, '192.0.2.1'), 'ok')
})

test('IPv6 sources count by their first 64 bits', async () => {
  await using proxy = await start({ limit: 2 })
  assert.equal(await visit(proxy, '2001:db8:0:1::1'), 'ok')
  assert.equal(await visit(proxy, '2001:db8:0:1::2'), 'ok')
  assert.equal(await visit(proxy, '2001:db8:0:1:ffff::3'), 'rate-limit/tooFast')
  assert.equal(await visit(proxy, '2001:db8:0:2::1'), 'ok')
})

test('some sources have no limit, and others than sources may be counted', async () => {
  await using spared = await start({ limit: 1, except: ['192.0.2.0/24'] })
  assert.deepEqual(await visits(spared, 3, '192.0.2.1'), ['ok'])
  await using byNet = await start({
    limit: 2,
    by: ({ src }) => (src.startsWith('10.') ? undefined : src.slice(0, src.lastIndexOf('.'))),
  })
  assert.deepEqual(await visits(byNet, 5, '10.0.0.1'), ['ok'])
  assert.equal(await visit(byNet, '192.0.2.1'), 'ok')
  assert.equal(await visit(byNet, '192.0.2.2'), 'ok')
  assert.equal(await visit(byNet, '192.0.2.3'), 'rate-limit/tooFast')
})

test('what is wrong in its options is told with the path', async () => {
  const told = (options: object) => start(options as RateLimitOptions).then(() => '', String)
  const text = await told({ limit: 0, window: 10, opn: 3 })
  assert.match(text, /plugins\[0\]\.limit: expected a whole number from 1 to 2147483647, got 0\./)
  assert.match(text, /plugins\[0\]\.window: .*10/)
  assert.match(text, /plugins\[0\]\.opn: is unknown\. Did you mean 'open'\?/)
  assert.match(await told({}), /plugins\[0\]\.limit: is required\./)
})
