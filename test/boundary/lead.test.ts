/** Leader and follower: policy's thread takes the workers' turns while traffic is sparse. */

import assert from 'node:assert/strict'
import type { NativeEngine } from '#sluice/engine/native/engine.js'
import { Harness } from '../support/engine-harness.js'
import { blockFor, boundaryTest, ClientThread, ClientThreadEcho } from './support.js'

interface Site {
  h: Harness
  port: number
  upstream: ClientThreadEcho
  /** One client after the other. */
  thread: ClientThread
}

async function site(workers = 1): Promise<Site> {
  const h = await Harness.start('native', { workers, lead: true })
  const upstream = await ClientThreadEcho.start()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  return { h, port, upstream, thread: await ClientThread.start() }
}

/** Goes on until policy leads. */
async function untilLed({ h, port, thread }: Site): Promise<void> {
  const before = h.engine.stats().led
  for (let round = 0; h.engine.stats().led === before; round++) {
    assert.ok(round < 100, 'policy never led')
    await thread.run({ kind: 'sequence', port, count: 40 })
  }
}

async function end({ h, upstream, thread }: Site): Promise<void> {
  await h.idle()
  await h.until(
    () => h.all('closed').length === h.all('handshake').length,
    'each connection ends once',
  )
  await Promise.all([thread.stop(), upstream.stop()])
  await h.settle()
  await h.stop()
}

for (const workers of [1, 2]) {
  boundaryTest(`one client after the other is led, ${workers} workers`, async () => {
    const running = await site(workers)
    await untilLed(running)
    await end(running)
  })
}

boundaryTest('without the option nobody but the workers takes turns', async () => {
  const h = await Harness.start('native', { lead: false })
  const upstream = await ClientThreadEcho.start()
  const thread = await ClientThread.start()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  await thread.run({ kind: 'sequence', port, count: 200 })
  assert.equal(h.engine.stats().led, 0)
  await end({ h, port, upstream, thread })
})

boundaryTest('verdicts from promises and timers are run where policy leads', async () => {
  const running = await site()
  const { h } = running
  let asked = 0
  h.answers.handshake = (told) => {
    if (asked++ % 5 === 0) setTimeout(() => h.pass(told), 3)
    else void Promise.resolve().then(() => h.pass(told))
  }
  await untilLed(running)
  await running.thread.run({ kind: 'sequence', port: running.port, count: 100 })
  assert.equal(h.engine.stats().lateVerdicts, 0)
  await end(running)
})

boundaryTest('a policy that blocks while it leads gives the turns back', async () => {
  const running = await site()
  const { h, port } = running
  const traffic = await ClientThread.start()
  for (let round = 0; ; round++) {
    await untilLed(running)
    const pinging = traffic.run({ kind: 'pingpong', port, ms: 600 })
    const count = h.all('connected').length
    await h.until(() => h.all('connected').length > count, 'the traffic is there')
    const { led } = h.engine.stats()
    blockFor(500)
    // Nobody but the worker's own thread could have served it meanwhile.
    assert.equal(h.engine.stats().led, led)
    const trips = await pinging
    assert.ok(trips > 50, `only ${trips} round trips beside a blocked policy`)
    if (round === 2) break
  }
  await traffic.stop()
  await end(running)
})

boundaryTest('traffic that asks nothing is a worker’s own', async () => {
  const running = await site()
  const { h, port, thread } = running
  await untilLed(running)
  const pinging = thread.run({ kind: 'pingpong', port, ms: 300 })
  await h.until(() => h.all('connected').length > 0, 'the traffic is there')
  const { led } = h.engine.stats()
  const trips = await pinging
  // A few until it is noticed.
  const more = h.engine.stats().led - led
  assert.ok(more <= 40 && more < trips, `${more} turns were led for ${trips} round trips`)
  await end(running)
})

boundaryTest('many at once are the worker’s again', async () => {
  const running = await site()
  await untilLed(running)
  const crowd = await ClientThread.start()
  const connected = await crowd.run({ kind: 'churn', port: running.port, count: 2000 })
  assert.ok(connected > 0)
  await untilLed(running)
  await crowd.stop()
  await end(running)
})

boundaryTest('an engine is stopped, and started anew, while policy leads', async () => {
  for (let round = 0; round < 3; round++) {
    const running = await site(2)
    await untilLed(running)
    await running.h.stop()
    await Promise.all([running.thread.stop(), running.upstream.stop()])
  }
})

boundaryTest('a panic in a turn that policy leads is fatal, and is told', async () => {
  const running = await site()
  const { h, thread, upstream } = running
  await untilLed(running)
  ;(h.engine as NativeEngine).testPanic(0)
  await h.until(() => h.faults.length === 1, 'fatal is told')
  assert.match(String(h.faults[0]), /worker 0 of the native engine died/)
  await h.stop()
  await Promise.all([thread.stop(), upstream.stop()])
})
