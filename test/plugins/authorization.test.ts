/** The plugin authorization, without a network. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AuthorizationOptions, authorization } from 'sluice/plugins/authorization'
import { createTestProxy } from 'sluice/testing'

const url = 'http://127.0.0.1:9100/authorize'

/** A service that answers when it is told to; `asked` are the URLs. */
function service() {
  const asked: string[] = []
  const answers: ((status: number) => void)[] = []
  const signals: AbortSignal[] = []
  const fetch: AuthorizationOptions['fetch'] = (url, { signal }) => {
    asked.push(url)
    signals.push(signal)
    return new Promise((resolve, reject) => {
      answers.push((status) => resolve(new Response(null, { status })))
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  }
  return { asked, answers, signals, fetch }
}

function start(options: Partial<AuthorizationOptions>) {
  return createTestProxy({
    frontends: { web: { bind: '127.0.0.1:80', backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    use: [authorization({ url, ...options })],
  })
}

/** Answers at once, by the source. */
function byStatus(status: (source: string) => number) {
  const asked: string[] = []
  const fetch: AuthorizationOptions['fetch'] = async (url) => {
    const source = new URL(url).searchParams.get('source') ?? ''
    asked.push(source)
    return new Response('x', { status: status(source) })
  }
  return { asked, fetch }
}

test('the service is asked once for a source, until the answer is too old', async () => {
  const { asked, fetch } = byStatus((source) => (source === '192.0.2.2' ? 403 : 200))
  await using proxy = await start({ fetch, remember: '1m' })
  for (let i = 0; i < 3; i++) {
    assert.equal((await proxy.connect({ src: '192.0.2.1' })).verdict, 'accepted')
    const refused = await proxy.connect({ src: '192.0.2.2' })
    assert.deepEqual([refused.verdict, refused.rule], ['rejected', 'authorization/authorize'])
    await proxy.advance('10s')
  }
  assert.deepEqual(asked, ['192.0.2.1', '192.0.2.2'])
  // Counted from the answer, however often it is used.
  await proxy.advance('30s')
  await proxy.connect({ src: '192.0.2.1' })
  assert.deepEqual(asked, ['192.0.2.1', '192.0.2.2', '192.0.2.1'])
  const { asked_total, refused_total } = proxy.stats().plugins.authorization ?? assert.fail()
  assert.deepEqual(asked_total?.values, [
    { labels: { outcome: 'allowed' }, value: 2 },
    { labels: { outcome: 'refused' }, value: 1 },
  ])
  assert.deepEqual(refused_total?.values, [{ labels: { frontend: 'web' }, value: 3 }])
})

test("'0s' remembers nothing", async () => {
  const { asked, fetch } = byStatus(() => 200)
  await using proxy = await start({ fetch, remember: '0s' })
  await proxy.connect()
  await proxy.connect()
  assert.equal(asked.length, 2)
})

test('connections with the same question wait for one answer', async () => {
  const { asked, answers, fetch } = service()
  await using proxy = await start({ fetch })
  const first = await proxy.connect()
  const second = await proxy.connect()
  assert.equal(asked.length, 1)
  assert.equal(asked[0], `${url}?source=192.0.2.1`)
  answers[0]?.(200)
  await proxy.settle()
  assert.deepEqual([first.verdict, second.verdict], ['accepted', 'accepted'])
})

test('a service that is late, or fails, closes or opens as it is told', async () => {
  for (const onError of ['close', 'open'] as const) {
    const { answers, fetch } = service()
    await using proxy = await start({ fetch, onError, deadline: '250ms' })
    const late = await proxy.connect()
    await proxy.advance('249ms')
    assert.equal(late.open && late.backend === undefined, true)
    await proxy.advance('1ms')
    assert.equal(late.backend, onError === 'open' ? 'app' : undefined)
    // What comes too late counts for the next one.
    answers[0]?.(403)
    await proxy.settle()
    assert.equal((await proxy.connect()).verdict, 'rejected')
    const failed = await proxy.connect({ src: '192.0.2.5' })
    answers[1]?.(500)
    await proxy.settle()
    assert.equal(failed.backend, onError === 'open' ? 'app' : undefined)
    assert.ok(proxy.logs.some(({ msg }) => msg === 'rule authorization/authorize failed'))
    // A failure is not remembered.
    await proxy.connect({ src: '192.0.2.5' })
    assert.equal(answers.length, 3)
  }
})

test('questions have a bound, and are given up in the end', async () => {
  const { asked, signals, fetch } = service()
  await using proxy = await start({ fetch, concurrent: 2 })
  for (const src of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) await proxy.connect({ src })
  assert.equal(asked.length, 2)
  const failed = proxy.logs.find(({ msg }) => msg === 'rule authorization/authorize failed')
  assert.ok(failed)
  assert.match((failed.err as Error).message, /2 questions wait for .* already/)
  await proxy.advance('10s')
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, true],
  )
  await proxy.connect({ src: '192.0.2.3' })
  assert.equal(asked.length, 3)
  await proxy.stop({ deadline: '0s' })
  assert.equal(signals[2]?.aborted, true)
})

test('what it is asked may be something else, and be long', async () => {
  const { asked, fetch } = byStatus(() => 200)
  await using proxy = await start({
    fetch,
    url: `${url}?v=1`,
    query: ({ srcPort }) => ({ source: `${'x'.repeat(200)}${srcPort}` }),
  })
  for (const srcPort of [1, 2, 1, 2]) await proxy.connect({ srcPort })
  assert.deepEqual(
    asked.map((source) => source.slice(199)),
    ['x1', 'x2'],
  )
})

test('what is wrong in its options is told with the path', async () => {
  const told = (options: object) => start(options).then(() => '', String)
  const text = await told({ url: 'ftp://x', onErorr: 'open', deadline: 250, concurrent: 0 })
  assert.match(text, /plugins\[0\]\.url: expected a URL such as .*, got 'ftp:\/\/x'\./)
  assert.match(text, /plugins\[0\]\.onErorr: is unknown\. Did you mean 'onError'\?/)
  assert.match(text, /plugins\[0\]\.deadline: .*250/)
  assert.match(text, /plugins\[0\]\.concurrent: /)
})
