/** A server whose name has several addresses: which of them sessions are given. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestProxy } from '#sluice/testing/index.js'
import { engineOf } from '#sluice/testing/proxy.js'

const hosts = { 'app.example': ['2001:db8::1', '192.0.2.1', '192.0.2.2'] }

function config(backend: object = {}) {
  return {
    frontends: { web: { bind: ':8080', backend: 'app' } },
    backends: { app: { servers: { a: 'app.example:9001' }, ...backend } },
  } as const
}

function addresses(proxy: Awaited<ReturnType<typeof start>>['proxy']): (string | undefined)[] {
  return engineOf(proxy)
    .calls.filter(({ name }) => name === 'connect')
    .map(({ args }) => {
      const address = engineOf(proxy).routes.get(args[0] as number)?.address
      return address?.kind === 'tcp' ? address.ip : undefined
    })
}

async function start(backend?: object, dead: readonly string[] = ['2001:db8::1']) {
  const proxy = await createTestProxy(config(backend), { hosts })
  const { onConnect } = engineOf(proxy)
  engineOf(proxy).onConnect = (client, route) => {
    const address = engineOf(proxy).routes.get(route)?.address
    const isDead = address?.kind === 'tcp' && dead.includes(address.ip)
    return isDead ? { code: 4, errno: 111 } : onConnect(client, route)
  }
  return { proxy, onConnect }
}

test('the next address is tried at once, and the one that worked first by the next session', async () => {
  for (const backend of [{}, { redispatch: false }, { passive: false }]) {
    await using proxy = (await start(backend)).proxy
    const first = await proxy.connect()
    assert.equal(first.verdict, 'accepted')
    assert.equal((await proxy.connect()).verdict, 'accepted')
    assert.deepEqual(addresses(proxy), ['2001:db8::1', '192.0.2.1', '192.0.2.1'])
    assert.equal(proxy.stats().backends.app?.servers.a?.status, 'up')
  }
})

test('clients that come at once all find the address that works', async () => {
  await using proxy = (await start({}, ['2001:db8::1', '192.0.2.1'])).proxy
  const results = await Promise.all(Array.from({ length: 20 }, () => proxy.connect()))
  for (const { verdict } of results) assert.equal(verdict, 'accepted')
  assert.equal(addresses(proxy).at(-1), '192.0.2.2')
  assert.equal(proxy.stats().backends.app?.servers.a?.status, 'up')
})

test('where no address works each is tried once before the pause', async () => {
  const dead = [...hosts['app.example']]
  await using proxy = (await start({}, dead)).proxy
  const result = await proxy.connect()
  assert.equal(result.verdict, 'pending')
  assert.deepEqual(addresses(proxy), dead)
  dead.splice(1, 1)
  await proxy.advance('1s')
  assert.equal(result.verdict, 'accepted')
})

test('without retries a session has one address, and the next session the next one', async () => {
  await using proxy = (await start({ retries: 0 })).proxy
  assert.equal((await proxy.connect()).reason?.code, 'refused')
  assert.equal((await proxy.connect()).verdict, 'accepted')
})
