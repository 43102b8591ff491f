/** Recipes that choose a server: sticky-sessions, canary, priority-queue. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAmong } from '#sluice/plugins/share.js'
import { engineKinds } from '../support/engines.js'
import { PeerServer } from '../support/peer.js'
import { serveNamed } from './servers.js'
import { eventually, type RunningExample, runExample } from './support.js'

/** Which server answers. */
async function visit({ connect }: RunningExample, from: string): Promise<string> {
  const client = await connect('web', { from })
  client.fin()
  return (await client.readToEnd()).toString().replace(':', '')
}

for (const kind of engineKinds) {
  test(`${kind}: canary sends the same clients to the new version every time`, async (t) => {
    process.env.CANARY = '30'
    t.after(() => delete process.env.CANARY)
    const servers: Record<string, number> = {}
    for (const name of ['stable/a', 'stable/b', 'next/c']) {
      servers[name] = await serveNamed(t, name)
    }
    const running = await runExample(t, kind, 'canary', { servers })
    const backends = new Set<string>()
    for (let i = 1; i <= 20; i++) {
      const from = `127.0.0.${i}`
      const backend = isAmong(from, 30) ? 'next' : 'stable'
      backends.add(backend)
      for (let again = 0; again < 2; again++) {
        assert.ok((await visit(running, from)).startsWith(`${backend}/`), from)
      }
    }
    assert.equal(backends.size, 2)
  })

  test(`${kind}: sticky-sessions keeps each client at its server`, async (t) => {
    const servers: Record<string, number> = {}
    for (const name of ['app/a', 'app/b', 'app/old']) servers[name] = await serveNamed(t, name)
    const running = await runExample(t, kind, 'sticky-sessions', { servers })
    // The first one stays, so that the least loaded server is the other one.
    const first = await running.connect('web', { from: '127.0.0.1' })
    await eventually('a session', () => running.proxy.stats().frontends.web?.sessions === 1)
    const second = await visit(running, '127.0.0.2')
    first.fin()
    const choice = (await first.readToEnd()).toString().replace(':', '')
    assert.deepEqual([choice, second].sort(), ['app/a', 'app/b'])
    for (let i = 0; i < 4; i++) {
      assert.equal(await visit(running, '127.0.0.1'), choice)
      assert.equal(await visit(running, '127.0.0.2'), second)
    }
    const { affinity } = running.proxy.tables
    assert.equal(affinity?.size, 2)
    // Drained: nobody new comes, who is known to be there does.
    affinity.set('127.0.0.3', { serverId: 3 })
    assert.equal(await visit(running, '127.0.0.3'), 'app/old')
  })

  test(`${kind}: priority-queue serves customers first and batch jobs last`, async (t) => {
    const server = await PeerServer.listen()
    t.after(() => server.close())
    const running = await runExample(t, kind, 'priority-queue', {
      servers: { 'app/a': server.port },
    })
    const busy = []
    for (let i = 0; i < 2; i++) {
      await running.connect('web', { from: '127.0.0.9' })
      busy.push(await server.accept())
    }
    const queued = () => running.proxy.stats().backends.app?.queued
    const sources = ['127.0.0.3', '127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2']
    for (const [i, from] of sources.entries()) {
      const client = await running.connect('web', { from })
      await client.send(`${from.at(-1)}${i}`)
      await eventually('a place in the queue', () => queued() === i + 1)
    }
    const order: string[] = []
    for (const [i] of sources.entries()) {
      const served = busy[i]
      assert.ok(served)
      served.reset()
      const next = await server.accept()
      order.push((await next.read(2)).toString())
      busy[i + 2] = next
    }
    assert.deepEqual(order, ['22', '24', '11', '13', '30'])
  })
}
