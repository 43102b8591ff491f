/** Floods of handshakes beside established traffic: what they took is given back. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { makeAuthority } from '../support/certificates.js'
import { openFds } from '../support/engine-harness.js'
import type { Peer } from '../support/peer.js'
import { type Stage, terminating, tlsTest } from '../support/tls-site.js'

const ca = makeAuthority()
const issued = ca.issue({ names: ['a.example'] })
const versions = ['TLSv1.2', 'TLSv1.3'] as const
const FLOOD = 300

/** A message there and back. */
async function turn({ client, server }: { client: Peer; server: Peer }, n: number): Promise<void> {
  await client.send(`question ${n}`)
  await server.expect(`question ${n}`)
  await server.send(`answer ${n}`)
  await client.expect(`answer ${n}`)
}

const engineOf = (stage: Stage) => stage.site.proxy.stats().engine

/** The clients' own descriptors are two thirds of what a test may have open. */
tlsTest(
  'hundreds of handshakes that stand still, then all are gone',
  terminating({ cert: issued.pemFile }, { config: { timeouts: { handshake: '5m' } } }),
  async (stage) => {
    const established = await stage.pair()
    await turn(established, 0)
    const fds = openFds()
    const start = engineOf(stage)
    const hello = await stage.hello({ servername: 'a.example' })
    const flood: Peer[] = []
    for (let i = 0; i < FLOOD; i++) {
      const client = await stage.dialRaw()
      flood.push(client)
      // Silent, in the middle of the ClientHello, and behind it.
      if (i % 3 === 1) await client.send(hello.subarray(0, 1 + (i % (hello.length - 1))))
      if (i % 3 === 2) await client.send(hello)
      if (i % 30 === 0) await turn(established, i)
    }
    const all = 2 + FLOOD
    await stage.site.until(() => engineOf(stage)?.connections === all, 'the flood is there')
    const behind = flood.filter((_, i) => i % 3 === 2)
    for (const client of behind) await client.until(() => client.received > 0)
    await turn(established, FLOOD)
    // A connection that waits in its handshake costs no buffer. Node cannot look at bytes and
    // leave them with the kernel: the js engine keeps the beginnings of ClientHellos.
    const kept = stage.kind === 'js' ? FLOOD / 3 : 0
    const { buffersBorrowed = 0 } = engineOf(stage) ?? {}
    assert.ok(buffersBorrowed <= (start?.buffersBorrowed ?? 0) + kept, `${buffersBorrowed} buffers`)
    for (const [i, client] of flood.entries()) {
      if (i % 2 === 0) client.reset()
      else client.fin()
      if (i % 30 === 0) await turn(established, i)
    }
    const gone = () => engineOf(stage)?.connections === 2
    await stage.site.until(gone, 'the flood is gone')
    for (const client of flood) client.destroy()
    assert.equal(engineOf(stage)?.buffersBorrowed, start?.buffersBorrowed)
    await stage.site.until(() => openFds() <= fds, 'descriptors are as before')
    const reasons = new Set(stage.site.records.map(({ by, phase }) => `${by} ${phase}`))
    assert.deepEqual(reasons, new Set(['client tls']))
    await turn(established, -1)
    await stage.pair()
  },
)

for (const maxVersion of versions) {
  tlsTest(
    `connections come and go in every way, ${maxVersion}`,
    terminating({ cert: issued.pemFile }),
    async (stage) => {
      const established = await stage.pair()
      const ways = 8
      for (let round = 0; round < 10; round++) {
        const batch = Array.from({ length: ways }, async (_, way) => {
          if (way === 0) {
            const raw = await stage.dialRaw()
            raw.reset()
            return
          }
          const client = await stage.dial({ maxVersion })
          if (way >= 4) await client.send('something')
          if (way % 4 === 0) client.fin()
          else if (way % 4 === 1) client.reset()
          else if (way % 4 === 2) client.truncate()
          else client.destroy()
        })
        await Promise.all(batch)
        await turn(established, round)
        for (const server of stage.site.upstream.all) {
          if (server !== established.server) server.fin()
        }
      }
      await delay(50)
      for (const server of stage.site.upstream.all) {
        if (server !== established.server) server.destroy()
      }
      await stage.site.until(() => engineOf(stage)?.connections === 2, 'they are gone')
      await turn(established, -1)
    },
  )
}

tlsTest(
  'more handshakes at once than may be: each has its turn or its reason',
  terminating(
    { cert: issued.pemFile },
    {
      config: {
        global: { maxconn: 500, tlsHandshakes: { concurrent: 8, queue: 40 } },
        timeouts: { handshake: '20s' },
      },
    },
  ),
  async (stage) => {
    const attempts = await Promise.all(Array.from({ length: 150 }, () => stage.attempt()))
    const done = attempts.filter(({ peer }) => peer !== undefined).length
    assert.ok(done >= 40, `${done} handshakes`)
    const { records } = stage.site
    const refused = () => records.filter(({ code }) => code === 'queue-full').length
    await stage.site.until(() => done + refused() === 150, 'everybody has an answer')
    // Nothing is held on to: the next ones are served.
    for (let i = 0; i < 10; i++) await stage.dial()
  },
)
