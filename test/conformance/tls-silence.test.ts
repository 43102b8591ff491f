/** TLS clients that do not read: they are timed out, whatever else has ended, and nobody else is blamed. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { defineApplet, reply } from '#sluice/policy.js'
import { makeAuthority } from '../support/certificates.js'
import { type Relay, recordEnds } from '../support/tls-relay.js'
import { type Stage, terminating, tlsTest } from '../support/tls-site.js'

const ca = makeAuthority()
const front = ca.issue({ names: ['front.example'] })
const tls = { cert: front.pemFile }
const MEGABYTE = 1 << 20
const ALERT = 21

/** From what fits into the kernel's buffers to what does not. */
const ANSWERS = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 40].map((n) => n * MEGABYTE - n * 777)

tlsTest(
  'a client that ends its side and does not read the answer, of any size',
  terminating(tls, {
    config: {
      timeouts: { client: '1s', clientFin: '1s', server: '1s', serverFin: '1s' },
    },
  }),
  async (stage) => {
    for (const size of ANSWERS) {
      const { client, server } = await stage.pair()
      client.pause()
      server.socket.end(Buffer.alloc(size))
      await delay(20)
      client.fin()
    }
    const { records } = stage.site
    await stage.site.until(() => records.length === ANSWERS.length, 'every session ends')
    for (const { by, code } of records) {
      assert.match(`${by} ${code}`, /^(timeout client-(fin-)?timeout|(client|server) done)$/)
    }
    assert.ok(records.some(({ by }) => by === 'timeout'))
  },
)

tlsTest(
  'a client that pauses for longer than the time-out of the server, and goes on',
  terminating(tls, { backend: { timeouts: { server: '500ms' } } }),
  async (stage) => {
    const size = 60 * MEGABYTE
    const { client, server } = await stage.pair()
    client.pause()
    server.socket.end(Buffer.alloc(size))
    await delay(1500)
    assert.equal(stage.site.records.length, 0)
    client.resume()
    await client.until(() => client.received === size)
    client.fin()
    assert.equal((await stage.end(0)).reason, 'server data done')
  },
)

/** Records of the proxy's stream, TLS 1.2: an alert at its end is the close_notify. */
function alerts(relay: Relay): number {
  const bytes = relay.bytes('down')
  const starts = [0, ...recordEnds(bytes)].filter((at) => at < bytes.length)
  return starts.filter((at) => bytes[at] === ALERT).length
}

async function alertsAfter(stage: Stage): Promise<number> {
  const relay = await stage.relay(stage.site.port)
  const client = await stage.dial({ maxVersion: 'TLSv1.2' }, relay.port)
  client.socket.write('?')
  assert.equal(await client.ending(), 'fin')
  client.fin()
  return alerts(relay)
}

for (const size of [1, 16_384, 300_000, MEGABYTE]) {
  const content = Buffer.alloc(size, 'last ')

  tlsTest(
    `an applet returns behind ${size} bytes: a close_notify follows`,
    terminating(tls, {
      backend: {
        servers: {
          a: defineApplet('last', async (stream) => {
            await stream.read()
            await stream.write(content)
          }),
        },
      },
    }),
    async (stage) => {
      assert.equal(await alertsAfter(stage), 1)
      const { bytesOut, by, code } = await stage.site.record(0)
      assert.equal(bytesOut, size)
      assert.equal(`${by} ${code}`, 'policy done')
    },
  )

  tlsTest(
    `a rule replies with ${size} bytes: a close_notify follows`,
    terminating(tls, { frontend: { rules: { handshake: [reply(content)] } } }),
    async (stage) => {
      assert.equal(await alertsAfter(stage), 1)
      const { bytesOut, code } = await stage.site.record(0)
      assert.equal(bytesOut, size)
      assert.equal(code, 'replied')
    },
  )
}

for (const [how, finish, reason] of [
  ['returns', () => {}, 'policy data done'],
  [
    'throws',
    () => {
      throw new Error('on purpose')
    },
    'policy data applet-error',
  ],
] as const) {
  for (const secure of [true, false]) {
    const block = Buffer.alloc(60_000, 'acknowledged ')
    let acknowledged = 0
    let held = () => {}
    const applet = defineApplet('writer', async (stream) => {
      acknowledged = 0
      for (;;) {
        const taken = stream.write(block).then(() => true)
        if (!(await Promise.race([taken, delay(200, false)]))) break
        acknowledged += block.length
      }
      held()
      finish()
    })
    const backend = { servers: { a: applet } }
    tlsTest(
      `an applet ${how} while its client does not read, ${secure ? 'TLS' : 'clear'}: what was acknowledged arrives`,
      secure ? terminating(tls, { backend }) : { backend },
      async (stage) => {
        const isHeld = new Promise<void>((resolve) => {
          held = resolve
        })
        const relay = await stage.relay(stage.site.port, { holdsBack: true })
        const client = secure
          ? await stage.dial({ maxVersion: 'TLSv1.2' }, relay.port)
          : await stage.dialRaw(relay.port)
        client.pause()
        await isHeld
        await delay(100)
        client.resume()
        const all = await client.readToEnd()
        assert.ok(acknowledged > 0)
        // The write that was held back: all of it behind a return, what the engine had
        // of it behind a throw.
        const left = all.length - acknowledged
        assert.ok(left >= 0 && left <= block.length, `${all.length} of ${acknowledged}`)
        if (how === 'returns') assert.equal(left, block.length)
        for (let at = 0; at < all.length; at += block.length) {
          const part = all.subarray(at, at + block.length)
          assert.ok(part.equals(block.subarray(0, part.length)), `other bytes at ${at}`)
        }
        // Whoever has all that was sent is told so.
        if (secure) assert.equal(alerts(relay), 1)
        client.fin()
        assert.equal((await stage.end(0)).reason, reason)
        assert.equal((await stage.site.record(0)).bytesOut, all.length)
      },
      { failing: true },
    )
  }
}
