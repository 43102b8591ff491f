/**
 * Sessions that break off, with TLS on either side or both. TLS 1.2 where the test looks at
 * records: there an alert shows, while TLS 1.3 hides what a record is.
 */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { makeAuthority } from '../support/certificates.js'
import type { Peer } from '../support/peer.js'
import type { TlsPeer, TlsServer } from '../support/tls-peer.js'
import { type Relay, recordEnds } from '../support/tls-relay.js'
import { type SiteOptions, type Stage, terminating, tlsTest } from '../support/tls-site.js'

const ca = makeAuthority()
const front = ca.issue({ names: ['front.example'] })
const back = ca.issue({ names: ['back.example'] })
const versions = ['TLSv1.2', 'TLSv1.3'] as const
const ALERT = 21

let upstream: TlsServer
let beforeServer: Relay

function serverAt(port: number): SiteOptions['backend'] {
  const tls = { ca: ca.certFile, serverName: 'back.example' }
  return { servers: { a: { address: `127.0.0.1:${port}`, tls } } }
}

/** A server line that reaches a TLS server through a relay, which shows what it is sent. */
async function relayedServer(stage: Stage): Promise<SiteOptions['backend']> {
  upstream = await stage.server(back, { maxVersion: 'TLSv1.2' })
  beforeServer = await stage.relay(upstream.port)
  return serverAt(beforeServer.port)
}

/** A client through a relay; the payload of both sides has begun. */
async function relayed(stage: Stage): Promise<{ client: TlsPeer; server: Peer; relay: Relay }> {
  const relay = await stage.relay(stage.site.port)
  const client = await stage.dial({ maxVersion: 'TLSv1.2' }, relay.port)
  await client.send('>')
  const server = await stage.site.upstream.accept()
  await server.expect('>')
  await server.send('<')
  await client.expect('<')
  return { client, server, relay }
}

/** Types of the records of a stream. */
function recordTypes(bytes: Buffer): number[] {
  return [0, ...recordEnds(bytes)].filter((at) => at < bytes.length).map((at) => bytes[at] ?? 0)
}

const alerts = (bytes: Buffer) => recordTypes(bytes).filter((type) => type === ALERT).length

tlsTest(
  'a complete end of the server has a close_notify for the client',
  terminating({ cert: front.pemFile }),
  async (stage) => {
    const { client, server, relay } = await relayed(stage)
    server.fin()
    assert.equal(await client.ending(), 'fin')
    client.fin()
    assert.equal((await stage.end(0)).reason, 'server data done')
    assert.equal(alerts(relay.bytes('down')), 1)
  },
)

tlsTest('a reset of the server has none', terminating({ cert: front.pemFile }), async (stage) => {
  const { client, server, relay } = await relayed(stage)
  await server.send('last words')
  await client.expect('last words')
  server.reset()
  await client.ending()
  client.destroy()
  assert.equal((await stage.end(0)).reason, 'server data reset')
  assert.equal(alerts(relay.bytes('down')), 0)
})

tlsTest(
  'nor has a reset behind much that the client has still to take',
  terminating({ cert: front.pemFile }),
  async (stage) => {
    const { client, server, relay } = await relayed(stage)
    client.pause()
    const block = Buffer.alloc(1 << 20, 'payload')
    for (let i = 0; i < 40; i++) server.socket.write(block)
    await delay(100)
    server.reset()
    client.resume()
    await client.ending()
    client.destroy()
    assert.equal((await stage.end(0)).reason, 'server data reset')
    assert.equal(alerts(relay.bytes('down')), 0)
  },
)

tlsTest(
  'nor has a time-out of the server',
  terminating({ cert: front.pemFile }, { backend: { timeouts: { server: '500ms' } } }),
  async (stage) => {
    const { client, relay } = await relayed(stage)
    await client.ending()
    client.destroy()
    assert.equal((await stage.end(0)).reason, 'timeout data server-timeout')
    assert.equal(alerts(relay.bytes('down')), 0)
  },
)

tlsTest(
  'nor has the end of a proxy that stops in the midst',
  terminating({ cert: front.pemFile }),
  async (stage) => {
    const { client, relay } = await relayed(stage)
    stage.site.stopped = true
    await Promise.all([stage.site.proxy.stop({ deadline: '0s' }), client.ending()])
    assert.equal((await stage.end(0)).reason, 'proxy data shutdown')
    assert.equal(alerts(relay.bytes('down')), 0)
  },
)

tlsTest(
  'an end without close_notify is passed on without one, from TLS to TLS',
  async (stage) => ({
    ...terminating({ cert: front.pemFile }),
    backend: await relayedServer(stage),
  }),
  async (stage) => {
    const client = await stage.dial()
    await client.send('all but the end')
    const server = await upstream.accept()
    await server.expect('all but the end')
    client.truncate()
    assert.equal(await server.ending(), 'fin')
    assert.equal(alerts(beforeServer.bytes('up')), 0)
    server.fin()
    assert.equal((await stage.end(0)).reason, 'client data tls-truncated')
  },
)

tlsTest(
  'a complete end is passed on with one, from TLS to TLS',
  async (stage) => ({
    ...terminating({ cert: front.pemFile }),
    backend: await relayedServer(stage),
  }),
  async (stage) => {
    const client = await stage.dial()
    await client.send('all of it')
    const server = await upstream.accept()
    await server.expect('all of it')
    client.fin()
    assert.equal(await server.ending(), 'fin')
    assert.equal(alerts(beforeServer.bytes('up')), 1)
    server.fin()
    assert.equal((await stage.end(0)).reason, 'client data done')
  },
)

for (const maxVersion of versions) {
  const toServer = async (stage: Stage): Promise<SiteOptions> => {
    upstream = await stage.server(back, { maxVersion })
    return { backend: serverAt(upstream.port) }
  }
  const terminated = terminating({ cert: front.pemFile, maxVersion })

  tlsTest(`a TLS client resets: a raw server sees it, ${maxVersion}`, terminated, async (stage) => {
    const { client, server } = await stage.pair()
    client.reset()
    assert.equal(await server.ending(), 'reset')
    assert.equal((await stage.end(0)).reason, 'client data reset')
  })

  tlsTest(`a TLS server resets: a raw client sees it, ${maxVersion}`, toServer, async (stage) => {
    const client = await stage.dialRaw()
    await client.send('>')
    const server = await upstream.accept()
    await server.expect('>')
    await server.send('last words')
    await client.expect('last words')
    server.reset()
    assert.equal(await client.ending(), 'reset')
    assert.equal((await stage.end(0)).reason, 'server data reset')
  })

  tlsTest(
    `a TLS client ends without close_notify: a raw server sees a reset, ${maxVersion}`,
    terminated,
    async (stage) => {
      const { client, server } = await stage.pair()
      await client.send('all but the end')
      await server.expect('all but the end')
      client.truncate()
      assert.equal(await server.ending(), 'reset')
      assert.equal((await stage.end(0)).reason, 'client data tls-truncated')
    },
  )

  tlsTest(
    `a TLS server ends without close_notify: a raw client sees a reset, ${maxVersion}`,
    toServer,
    async (stage) => {
      const client = await stage.dialRaw()
      await client.send('>')
      const server = await upstream.accept()
      await server.expect('>')
      await server.send('all but the end')
      await client.expect('all but the end')
      server.truncate()
      assert.equal(await client.ending(), 'reset')
      assert.equal((await stage.end(0)).reason, 'server data tls-truncated')
    },
  )
}
