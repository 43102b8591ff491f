/** Both sides at once: shutdowns that cross, writes after errors, closes of what is closing. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { useBackend } from '#sluice/policy.js'
import { faultTest } from './support.js'

/** Often enough that the ends meet in one batch of the poller now and then. */
const ROUNDS = 60

faultTest('races: both sides shut down at the same time', {}, async (site) => {
  for (let n = 0; n < ROUNDS; n++) {
    const { client, server } = await site.pair()
    await Promise.all([client.send('last up'), server.send('last down')])
    client.fin()
    server.fin()
    await Promise.all([client.expect('last down'), server.expect('last up')])
    assert.deepEqual(await Promise.all([client.ending(), server.ending()]), ['fin', 'fin'])
    assert.match(await site.ending(n), /^(client|server) data done$/)
  }
})

faultTest('races: a shutdown twice, the second one by RST', {}, async (site) => {
  for (let n = 0; n < ROUNDS; n++) {
    const { client, server } = await site.pair()
    client.fin()
    // Node cannot reset a socket whose shutdown is under way: the FIN must be out.
    await once(client.socket, 'finish')
    client.reset()
    server.fin()
    assert.match(
      await site.ending(n),
      /^(client (close|data) reset|(client|server) data done)$/,
      `round ${n}`,
    )
  }
})

faultTest('races: a reset behind a FIN that could not be delivered yet', {}, async (site) => {
  for (let n = 0; n < 10; n++) {
    const { client, server } = await site.pair()
    server.pause()
    client.socket.write(Buffer.alloc(8_000_000))
    await delay(5)
    client.fin()
    await site.until(() => client.socket.writableLength === 0 || n % 2 === 1, 'it is sent')
    if (client.socket.writableFinished) client.reset()
    else client.destroy()
    await delay(5)
    server.destroy()
    await site.record(n)
  }
})

faultTest('races: a write towards a side that has just reset', {}, async (site) => {
  for (let n = 0; n < ROUNDS; n++) {
    const { client, server } = await site.pair()
    const [resets, writes] = n % 2 === 0 ? [client, server] : [server, client]
    // In one turn, so that the poller has both in one batch.
    writes.socket.write(Buffer.alloc(n % 3 === 0 ? 200_000 : 10))
    resets.reset()
    if (n % 4 === 0) writes.fin()
    assert.match(await site.ending(n), n % 2 === 0 ? /^client \w+ reset$/ : /^server \w+ reset$/)
  }
})

faultTest('races: both sides reset at the same time, bytes on their way', {}, async (site) => {
  for (let n = 0; n < ROUNDS; n++) {
    const { client, server } = await site.pair()
    client.socket.write(Buffer.alloc(100_000))
    server.socket.write(Buffer.alloc(100_000))
    client.reset()
    server.reset()
    assert.match(await site.ending(n), /^(client|server) \w+ reset$/)
  }
})

faultTest(
  'races: the client leaves in the moment of the verdict',
  {
    frontend: {
      rules: {
        connection: [{ name: 'later', run: () => delay(1).then(() => useBackend('app')) }],
      },
    },
  },
  async (site) => {
    for (let n = 0; n < ROUNDS; n++) {
      const client = await site.dial()
      await delay(n % 4)
      client.reset()
    }
    await site.until(() => site.proxy.stats().connections === 0, 'all of them end')
    await site.serves()
  },
)

faultTest('races: the proxy stops in the middle of everything', {}, async (site) => {
  const pairs = await Promise.all(Array.from({ length: 10 }, () => site.pair()))
  for (const [n, { client, server }] of pairs.entries()) {
    client.socket.on('error', () => {})
    client.socket.write(Buffer.alloc(500_000))
    if (n % 3 === 0) client.reset()
    if (n % 3 === 1) server.fin()
  }
  await site.proxy.stop({ deadline: '0s' })
  site.stopped = true
  assert.equal(site.proxy.stats().connections, 0)
  assert.equal(site.records.length, 10)
})
