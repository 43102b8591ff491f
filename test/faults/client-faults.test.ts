/** RST, FIN and silence of the client at every phase. */

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { more } from '#sluice/policy.js'
import type { Peer } from '../support/peer.js'
import { blackholeTest, faultTest, type Site, type SiteOptions } from './support.js'

/** What the client does, once the connection is in the phase. */
type Fault = 'rst' | 'fin' | 'silence'

function commit(client: Peer, fault: Fault): void {
  if (fault === 'rst') client.reset()
  else if (fault === 'fin') client.fin()
}

/** Long enough for the proxy to be where the test wants it, on both engines. */
const settleIn = () => delay(30)

/** Runs the three faults one after another. `bring` leads a new client into the phase. */
function phaseTest(
  name: string,
  options: SiteOptions,
  bring: (site: Site) => Promise<Peer>,
  expected: Record<Fault, string>,
): void {
  faultTest(`client faults: ${name}`, options, async (site) => {
    for (const [n, fault] of (['rst', 'fin', 'silence'] as const).entries()) {
      const client = await bring(site)
      await settleIn()
      commit(client, fault)
      assert.equal(await site.ending(n), expected[fault], fault)
      client.destroy()
    }
  })
}

/** A rule that answers when the test says so, or after the client has left. */
function later(ms: number): () => Promise<undefined> {
  return () => delay(ms).then(() => undefined)
}

phaseTest(
  'awaiting a PROXY header',
  {
    frontend: {
      bind: { address: '127.0.0.1:0', acceptProxy: true },
      timeouts: { handshake: '200ms' },
    },
  },
  (site) => site.dial(),
  {
    rst: 'client accept-proxy reset',
    fin: 'client accept-proxy aborted',
    silence: 'timeout accept-proxy handshake-timeout',
  },
)

phaseTest(
  'an asynchronous connection rule thinks for too long',
  {
    frontend: { rules: { connection: [{ name: 'slow', run: later(60_000) }] } },
    config: { global: { verdictTimeout: '300ms' } },
  },
  (site) => site.dial(),
  {
    rst: 'client tcp-rules reset',
    // Half a connection is a connection: the answer is awaited.
    fin: 'timeout tcp-rules verdict-timeout',
    silence: 'timeout tcp-rules verdict-timeout',
  },
)

phaseTest(
  'an asynchronous session rule thinks for too long',
  {
    frontend: { rules: { session: [{ name: 'slow', run: later(60_000) }] } },
    config: { global: { verdictTimeout: '300ms' } },
  },
  (site) => site.dial(),
  {
    rst: 'client accept-session reset',
    fin: 'timeout accept-session verdict-timeout',
    silence: 'timeout accept-session verdict-timeout',
  },
)

phaseTest(
  'a handshake rule wants more bytes',
  {
    frontend: {
      rules: { handshake: [{ name: 'greedy', deadline: '300ms', run: () => more() }] },
    },
  },
  async (site) => {
    const client = await site.dial()
    await client.send('a few')
    return client
  },
  {
    rst: 'client handshake reset',
    fin: 'client handshake aborted',
    silence: 'timeout handshake handshake-timeout',
  },
)

faultTest(
  'client faults: handshake rules that open want more bytes',
  {
    frontend: {
      rules: {
        handshake: [{ name: 'patient', run: () => more(), deadline: '300ms', onError: 'open' }],
      },
    },
  },
  async (site) => {
    const reset = await site.dial()
    await reset.send('half a requ')
    await settleIn()
    reset.reset()
    assert.equal(await site.ending(0), 'client handshake reset')
    // A FIN and the end of the delay both mean that this is all there is.
    for (const fault of ['fin', 'silence'] as const) {
      const client = await site.dial()
      await client.send('half a request')
      await settleIn()
      commit(client, fault)
      const server = await site.upstream.accept()
      await server.expect('half a request')
      if (fault === 'fin') assert.equal(await server.ending(), 'fin')
      server.fin()
      client.fin()
    }
    assert.match(await site.ending(1), /^(client|server) data done$/)
    assert.match(await site.ending(2), /^(client|server) data done$/)
  },
)

/** Every phase of which a queue of one slot is part. */
faultTest(
  'client faults: in the queue',
  (upstream) => ({
    backend: {
      servers: { a: { address: `127.0.0.1:${upstream}`, maxconn: 1 } },
      timeouts: { queue: '400ms' },
    },
  }),
  async (site) => {
    const app = site.proxy.backends.app
    const { client: holder, server: held } = await site.pair()
    const queued = async () => {
      const waiting = app?.queued ?? 0
      const client = await site.dial()
      await client.send('waits')
      await site.until(() => app?.queued === waiting + 1, 'it is in the queue')
      await settleIn()
      return client
    }
    const reset = await queued()
    reset.reset()
    assert.equal(await site.ending(0), 'client queue reset')
    assert.equal(app?.queued, 0)
    await queued()
    assert.equal(await site.ending(1), 'timeout queue queue-timeout')
    // Half a connection is a connection: it is served when its turn comes.
    const half = await queued()
    half.fin()
    holder.fin()
    held.fin()
    const server = await site.upstream.accept()
    await server.expect('waits')
    await server.send('answer')
    server.fin()
    await half.expect('answer')
    await site.record(3)
  },
)

for (const [fault, expected] of [
  ['rst', 'client connect reset'],
  ['fin', 'timeout connect connect-timeout'],
  ['silence', 'timeout connect connect-timeout'],
] as const) {
  const options: SiteOptions = { config: { timeouts: { connect: '300ms' } } }
  blackholeTest(`client faults: ${fault} during the connect`, options, async (site) => {
    const client = await site.dial()
    await client.send('hello?')
    await settleIn()
    commit(client, fault)
    assert.equal(await site.ending(0), expected)
  })
}

phaseTest(
  'payload flows',
  { config: { timeouts: { client: '250ms', server: '400ms' } } },
  async (site) => (await site.pair()).client,
  {
    rst: 'client data reset',
    // Its part is done: it is the server that owes an answer now.
    fin: 'timeout close server-fin-timeout',
    silence: 'timeout data client-timeout',
  },
)

phaseTest(
  'the server has sent its FIN',
  { config: { timeouts: { client: '30s', clientFin: '250ms', server: '30s', serverFin: '30s' } } },
  async (site) => {
    const { client, server } = await site.pair()
    server.fin()
    await client.ending()
    return client
  },
  {
    rst: 'client close reset',
    fin: 'server data done',
    silence: 'timeout close client-fin-timeout',
  },
)

faultTest('client faults: half-close, then the whole answer', {}, async (site) => {
  const { client, server } = await site.pair()
  client.fin()
  assert.equal(await server.ending(), 'fin')
  const answer = Buffer.alloc(3_000_000, 'answer ')
  await Promise.all([server.send(answer).then(() => server.fin()), client.read(answer.length)])
  assert.equal(await site.ending(0), 'client data done')
  assert.equal(site.records[0]?.bytesOut, answer.length)
})

faultTest('client faults: gone before it is accepted', {}, async (site) => {
  // Some may be over before accept() returns; each that was heard of has an end.
  await Promise.all(
    Array.from({ length: 50 }, () => {
      const socket = connect({ port: site.port, host: '127.0.0.1' })
      socket.on('error', () => {})
      socket.once('connect', () => socket.resetAndDestroy())
      return new Promise((resolve) => socket.once('close', resolve))
    }),
  )
  await site.serves()
  await site.until(() => site.proxy.stats().connections === 0, 'all of them end')
  assert.equal(site.records.length, site.proxy.stats().frontends.web?.connections)
})
