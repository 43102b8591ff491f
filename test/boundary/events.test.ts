/** Events while JavaScript is blocked: nothing is lost, few wake-ups, no harm to anybody. */

import assert from 'node:assert/strict'
import { loadBinding } from '#sluice/engine/native/load.js'
import { Control, Handshake, Layout, Region } from '#sluice/wire/wire.js'
import { Harness } from '../support/engine-harness.js'
import { blockFor, boundaryTest, ClientThread, ClientThreadEcho } from './support.js'

boundaryTest('100 k events while JavaScript is blocked for 1 s: none lost, few wakes', async () => {
  const count = 100_000
  const words = new Int32Array(new SharedArrayBuffer(Region.WORKER_WORDS * 4))
  const seen: number[] = []
  const batches: number[] = []
  let tail = 0
  await new Promise<void>((done) => {
    loadBinding().benchRing(words, count, () => {
      Atomics.store(words, Control.EVENT_WAKE, 0)
      const before = seen.length
      let head = Atomics.load(words, Control.EVENT_HEAD)
      while (tail !== head) {
        const at = (tail & (Layout.EVENT_CAPACITY - 1)) * Layout.RECORD_WORDS
        seen.push(words[Region.EVENT_RING + at + 1] as number)
        tail = (tail + 1) & Layout.POSITION_MASK
        if (tail === head) head = Atomics.load(words, Control.EVENT_HEAD)
      }
      Atomics.store(words, Control.EVENT_TAIL, tail)
      batches.push(seen.length - before)
      if (seen.length >= count) done()
    })
    blockFor(1000)
  })
  assert.equal(seen.length, count)
  assert.ok(
    seen.every((n, i) => n === i),
    'events are in order',
  )
  // One doorbell stood for everything that came while nobody looked.
  assert.ok((batches[0] as number) >= Layout.EVENT_CAPACITY / 2, `first batch ${batches[0]}`)
  // The writer publishes 64 at a time, and rings at most once for each.
  assert.ok(batches.length <= count / 64 + 1, `${batches.length} wakes`)
})

boundaryTest('established traffic goes on while policy is blocked, newcomers wait', async () => {
  const h = await Harness.start('native')
  const upstream = await ClientThreadEcho.start()
  const thread = await ClientThread.start()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  const running = thread.run({ kind: 'pingpong', port, ms: 1200 })
  await h.next('connected')
  const newcomers = await ClientThread.start()
  const before = h.engine.stats()
  const holding = newcomers.run({ kind: 'hold', port, count: 200, bytes: 1 })
  blockFor(1000)
  const { wakes } = h.engine.stats()
  assert.ok(wakes - before.wakes <= 1, `${wakes - before.wakes} wakes in one blocked turn`)
  const trips = await running
  assert.ok(trips > 100, `only ${trips} round trips beside a blocked policy`)
  await holding
  await h.until(() => h.all('connected').length === 201, 'every newcomer is served')
  await newcomers.run({ kind: 'release' })
  await h.until(() => h.all('closed').length === 201, 'every end is told')
  await Promise.all([thread.stop(), newcomers.stop(), upstream.stop()])
  await h.settle()
  await h.stop()
})

boundaryTest('a full event ring stops accepting, and nothing is lost', async () => {
  // Two events for each of these fill more than the ring.
  const count = Layout.EVENT_CAPACITY / 2 + 2000
  const h = await Harness.start('native', { slots: 4 * Layout.EVENT_CAPACITY })
  const thread = await ClientThread.start()
  h.answers.handshake = () => {}
  const { port } = await h.listenPort({ backlog: 4096, maxconn: 0x7fff_ffff })
  const churning = thread.run({ kind: 'churn', port, count })
  const end = performance.now() + 15_000
  // Blocked, but for a look at the counters.
  while (h.engine.stats().events < (Layout.EVENT_CAPACITY * 3) / 4 && performance.now() < end) {
    blockFor(20)
  }
  const { events, ringFull } = h.engine.stats()
  assert.ok(events >= (Layout.EVENT_CAPACITY * 3) / 4, `only ${events} events came`)
  assert.ok(events <= Layout.EVENT_CAPACITY, 'an event was overwritten')
  await h.until(() => h.engine.stats().ringFull > 0 || ringFull > 0, 'the back-pressure shows')
  const connected = await churning
  await h.idle()
  await h.until(
    () => h.all('closed').length === h.all('handshake').length,
    'each connection ends once',
  )
  // A reset that overtakes the accept may leave nothing to hear of.
  assert.ok(h.all('closed').length <= connected)
  assert.ok(h.all('closed').length > Layout.EVENT_CAPACITY / 2)
  await thread.stop()
  await h.settle()
  await h.stop()
})

boundaryTest('a full event slab holds payload back, and nothing is lost', async () => {
  // 64 connections of 64 kB are twice the slab.
  const count = 64
  const bytes = Layout.MAX_CHUNK
  const h = await Harness.start('native')
  const upstream = await h.server()
  const thread = await ClientThread.start()
  h.answers.handshake = ({ conn, generation, bit }) => {
    if (bit === Handshake.ACCEPT_SESSION) h.engine.inspect(conn, generation, bytes, 0, 0)
  }
  const { port } = await h.listenPort()
  const route = h.route(upstream.port)
  await thread.run({ kind: 'hold', port, count, bytes: 0 })
  await h.until(() => h.all('handshake').length === count, 'every one is inspected')
  const sending = thread.run({ kind: 'send', bytes })
  const end = performance.now() + 15_000
  while (h.engine.stats().ringFull === 0 && performance.now() < end) blockFor(20)
  assert.ok(h.engine.stats().ringFull > 0, 'the slab was never full')
  h.answers.bytes = (told) => {
    if (told.bytes.length < bytes) return
    h.engine.connect(told.conn, told.generation, route, 0, 0)
  }
  await sending
  await h.until(() => upstream.all.length === count, 'every connection is forwarded')
  await h.until(() => upstream.all.every((peer) => peer.received === bytes), 'whole')
  await thread.run({ kind: 'release' })
  await thread.stop()
  await h.settle()
  await h.stop()
})

boundaryTest(
  'with busyPoll promises, timers and the rest of the loop have their turn',
  async () => {
    const h = await Harness.start('native', { workers: 2, busyPoll: true })
    const upstream = await ClientThreadEcho.start()
    const thread = await ClientThread.start()
    const count = 500
    h.answers.handshake = (told) => {
      // Answered from a microtask, and every tenth from a timer.
      if ((told.conn + told.generation) % 10 === 0) setTimeout(() => h.pass(told), 1)
      else void Promise.resolve().then(() => h.pass(told))
    }
    const { port } = await h.listenPort()
    h.route(upstream.port)
    const running = thread.run({ kind: 'pingpong', port, ms: 300 })
    const churner = await ClientThread.start()
    const connected = await churner.run({ kind: 'churn', port, count })
    assert.ok((await running) > 0)
    assert.ok(connected > 0)
    await h.idle()
    await h.until(
      () => h.all('closed').length === h.all('handshake').length,
      'each connection ends once',
    )
    assert.equal(h.engine.stats().lateVerdicts, 0)
    await Promise.all([thread.stop(), churner.stop(), upstream.stop()])
    await h.settle()
    await h.stop()
  },
)

boundaryTest('a stop tells every end, also those that the ring has no room for', async () => {
  const h = await Harness.start('native')
  const thread = await ClientThread.start()
  const count = 50
  h.answers.handshake = () => {}
  const { port } = await h.listenPort()
  await thread.run({ kind: 'hold', port, count, bytes: 0 })
  await h.until(() => h.all('handshake').length === count, 'all are asked about')
  const { conn, generation } = h.all('handshake')[0] as { conn: number; generation: number }
  h.engine.applet(conn, generation, Layout.MAX_CHUNK, 0)
  // Each of these is answered by SENT, in this turn, in which nobody reads.
  const end = performance.now() + 15_000
  while (h.engine.stats().ringFull === 0 && performance.now() < end) {
    for (let i = 0; i < 1000; i++) h.engine.send(conn, generation, Buffer.from('x'), false)
    await Promise.resolve()
  }
  assert.ok(h.engine.stats().ringFull > 0, 'the ring was never full')
  await h.stop()
  assert.equal(h.all('closed').length, count)
  assert.equal(h.told.at(-1)?.event, 'closed')
  await thread.stop()
})
