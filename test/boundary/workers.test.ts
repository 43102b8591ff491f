/** Several worker threads behind one engine. */

import assert from 'node:assert/strict'
import { Harness, type Told } from '../support/engine-harness.js'
import type { Peer } from '../support/peer.js'
import { boundaryTest } from './support.js'

const SLOTS = 512

/** Which worker holds a connection. */
const workerOf = (conn: number) => Math.floor(conn / SLOTS)

boundaryTest('connections spread over the workers, and every end is told', async () => {
  const h = await Harness.start('native', { workers: 2, slots: SLOTS })
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  const used = new Set<number>()
  const count = 200
  for (let i = 0; i < count; i++) {
    const client = await h.dial({ port })
    const server = await upstream.accept()
    const { conn, peer } = await h.next('connected')
    used.add(workerOf(conn))
    assert.equal(workerOf(peer as number), workerOf(conn), 'both sides live in one worker')
    await client.send(`${i}`)
    await server.expect(`${i}`)
    await server.send('answer')
    await client.expect('answer')
    if (i % 2 === 0) client.reset()
    else client.fin()
    server.fin()
  }
  assert.deepEqual([...used].sort(), [0, 1])
  await h.until(() => h.all('closed').length === count, 'every end is told')
  await h.settle()
  await h.stop()
})

boundaryTest('unlisten waits for every worker, and leaves sessions alone', async () => {
  const h = await Harness.start('native', { workers: 2, slots: SLOTS })
  const { client, server, port } = await h.pair()
  const { listener } = h.all('handshake')[0] as { listener: number }
  await h.engine.unlisten(listener)
  await assert.rejects(h.dial({ port }), { code: 'ECONNREFUSED' })
  await client.send('still here')
  await server.expect('still here')
  await h.settle()
  await h.stop()
})

// The rings of two workers have no common order, so counts are compared where nothing is
// under way: one client ends at a time, and who was let in beyond the limit would still be there.
boundaryTest("maxconn holds over all workers, and a place of one is the other's", async () => {
  const limit = 3
  const count = 60
  const h = await Harness.start('native', { workers: 2, slots: SLOTS })
  h.answers.handshake = () => {}
  const { port } = await h.listenPort({ maxconn: limit })
  const clients = new Map<number, Peer>()
  for (let i = 0; i < count; i++) {
    const client = await h.dial({ port })
    clients.set(client.socket.localPort as number, client)
  }
  const used = new Set<number>()
  for (let ended = 0; ended < count; ended++) {
    const admitted = Math.min(limit + ended, count)
    await h.until(() => h.all('handshake').length >= admitted, 'a place is taken')
    assert.equal(h.all('handshake').length, admitted)
    assert.equal(h.engine.stats().connections, admitted - ended)
    const { conn, record } = h.all('handshake')[ended] as Told
    used.add(workerOf(conn))
    clients.get(record.srcPort)?.reset()
    await h.until(() => h.all('closed').length > ended, 'the end is told')
    assert.equal(h.all('closed').length, ended + 1)
  }
  assert.deepEqual([...used].sort(), [0, 1])
  await h.settle()
  await h.stop()
})
