/** The policy in the README is the one in examples, and does what the README says of it. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mock, test } from 'node:test'
import * as sluice from 'sluice'
import * as policy from 'sluice/policy'
import { createTestProxy } from 'sluice/testing'
import { loadConfig } from '#sluice/config/load.js'

const root = new URL('../../../', import.meta.url)
const file = 'examples/first-policy/sluice.config.ts'
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

async function load() {
  const modules = { sluice, 'sluice/policy': policy }
  return (await loadConfig(new URL(file, root).pathname, { modules })).config
}

/** Testers are in 203.0.113.0/24; the service is down where `up` says so. */
function mockService(up = true) {
  return mock.method(globalThis, 'fetch', async (url: string) => {
    if (!up) throw new TypeError('fetch failed')
    return new Response(null, { status: url.includes('/testers/203.0.113.') ? 204 : 404 })
  })
}

test('the policy in the README is the example, in 15 lines', () => {
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(read('README.md')) ?? []
  const example = read(file)
  assert.equal(code, example.slice(example.indexOf('import ')))
  assert.equal(code.split('\n').filter((line) => line !== '').length, 15)
})

test('testers get the next version, others do not', async (t) => {
  const service = mockService()
  t.after(() => service.mock.restore())
  await using proxy = await createTestProxy(await load())
  const tester = await proxy.connect({ src: '203.0.113.9' })
  await tester.settled()
  const other = await proxy.connect({ src: '198.51.100.9' })
  await other.settled()
  assert.deepEqual([tester.backend, tester.rule], ['next', 'tester'])
  assert.equal(other.backend, 'app')
})

test('the 101st connection within ten seconds is rejected before the service is asked', async (t) => {
  const service = mockService()
  t.after(() => service.mock.restore())
  await using proxy = await createTestProxy(await load())
  for (let i = 0; i < 100; i++) await (await proxy.connect({ src: '198.51.100.9' })).settled()
  const fast = await proxy.connect({ src: '198.51.100.9' })
  assert.deepEqual([fast.verdict, fast.rule], ['rejected', 'tooFast'])
  assert.equal(service.mock.callCount(), 100)
})

test('while the service is down connections are closed, and the log says why', async (t) => {
  const service = mockService(false)
  t.after(() => service.mock.restore())
  await using proxy = await createTestProxy(await load())
  const result = await proxy.connect({ src: '198.51.100.9' })
  await result.settled()
  assert.deepEqual(result.reason, { by: 'policy', phase: 'tcp-rules', code: 'policy-error' })
  assert.equal(result.rule, 'tester')
})
