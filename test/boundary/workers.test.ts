/** Several worker threads behind one engine. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { Handshake } from '#sluice/wire/wire.js'
import { Harness } from '../support/engine-harness.js'
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

boundaryTest('maxconn holds over all workers', async () => {
  const limit = 10
  const h = await Harness.start('native', { workers: 2, slots: SLOTS })
  const upstream = await h.server()
  h.answers.handshake = (told) => {
    if (told.bit === Handshake.ACCEPT_SESSION) h.pass(told)
  }
  const { port } = await h.listenPort({ maxconn: limit })
  h.route(upstream.port)
  const clients: Peer[] = []
  for (let i = 0; i < 60; i++) clients.push(await h.dial({ port }))
  await h.until(() => h.all('connected').length >= limit, 'the first ones are let in')
  // Long enough for one more to come in, were it let in.
  await delay(100)
  assert.equal(h.all('handshake').length, limit)
  let most = 0
  let ended = 0
  while (ended < clients.length) {
    const open = h.all('handshake').length - h.all('closed').length
    most = Math.max(most, open)
    const next = h.all('connected')[ended]
    if (next) {
      // Ends the oldest session from the server's side, whoever it was.
      const peer = await upstream.accept()
      peer.fin()
      ended++
      const wanted = ended
      for (const client of clients) if (client.ended) client.fin()
      await h.until(() => {
        for (const client of clients) if (client.ended) client.fin()
        return h.all('closed').length >= wanted
      }, 'a session ends')
    } else {
      await h.until(() => h.all('connected').length > ended, 'the next one is let in')
    }
  }
  // The rings of two workers have no common order: where one worker's session
  // ends and the other's begins in its place, the beginning may be told first.
  assert.ok(most <= limit + 1, `${most} at once`)
  await h.settle()
  await h.stop()
})
