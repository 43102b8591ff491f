/** Payload through TLS: much of it, both ways, behind slow readers, and how it ends. */

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { TLSSocket } from 'node:tls'
import { makeAuthority } from '../support/certificates.js'
import type { Peer } from '../support/peer.js'
import type { TlsServer } from '../support/tls-peer.js'
import { type SiteOptions, type Stage, terminating, tlsTest } from '../support/tls-site.js'

const ca = makeAuthority()
const front = ca.issue({ names: ['front.example'] })
const back = ca.issue({ names: ['back.example'] })
const versions = ['TLSv1.2', 'TLSv1.3'] as const
const MEGABYTES_10 = randomBytes(10 * 1024 * 1024)

const sum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const SUM = sum(MEGABYTES_10)

/** A client with its session's server. */
type Pair = (stage: Stage) => Promise<{ client: Peer; server: Peer }>

interface Layout {
  name: string
  prepare(stage: Stage): SiteOptions | Promise<SiteOptions>
  pair: Pair
}

let upstream: TlsServer

/** A server line that speaks TLS to `upstream`. */
function toTls(stage: Stage, maxVersion: 'TLSv1.2' | 'TLSv1.3') {
  return async (): Promise<SiteOptions> => {
    upstream = await stage.server(back, { maxVersion })
    const tls = { ca: ca.certFile, serverName: 'back.example' }
    return { backend: { servers: { a: { address: `127.0.0.1:${upstream.port}`, tls } } } }
  }
}

const layouts: Layout[] = versions.flatMap((version) => [
  {
    name: `TLS to clear, ${version}`,
    prepare: () => terminating({ cert: front.pemFile, maxVersion: version }),
    pair: (stage) => stage.pair(),
  },
  {
    name: `clear to TLS, ${version}`,
    prepare: (stage) => toTls(stage, version)(),
    pair: async (stage) => {
      const client = await stage.dialRaw()
      await client.send('>')
      const server = await upstream.accept()
      await server.expect('>')
      return { client, server }
    },
  },
  {
    name: `TLS to TLS, ${version}`,
    prepare: async (stage) => ({
      ...(await toTls(stage, version)()),
      ...terminating({ cert: front.pemFile, maxVersion: version }),
    }),
    pair: async (stage) => {
      const client = await stage.dial()
      await client.send('>')
      const server = await upstream.accept()
      await server.expect('>')
      return { client, server }
    },
  },
])

/** Times 10 MB: more than socket buffers grow to on the way (tcp_rmem may allow 32 MB). */
const KERNEL_TAKES = 6

for (const { name, prepare, pair } of layouts) {
  tlsTest(`${name}: 10 MB each way at once, unchanged`, prepare, async (stage) => {
    const { client, server } = await pair(stage)
    const up = client.send(MEGABYTES_10)
    const down = server.send(MEGABYTES_10)
    const [there, here] = await Promise.all([
      server.read(MEGABYTES_10.length),
      client.read(MEGABYTES_10.length),
      up,
      down,
    ])
    assert.equal(sum(there), SUM)
    assert.equal(sum(here), SUM)
    client.fin()
    server.fin()
    const record = await stage.site.record(0)
    assert.equal(record.code, 'done')
    assert.equal(record.bytesIn, MEGABYTES_10.length + 1)
    assert.equal(record.bytesOut, MEGABYTES_10.length)
  })

  tlsTest(
    `${name}: more than the kernel takes to a reader that waits, each way`,
    prepare,
    async (stage) => {
      const { client, server } = await pair(stage)
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        to.pause()
        let sent = 0
        const sending = (async () => {
          for (; sent < KERNEL_TAKES; sent++) await from.send(MEGABYTES_10)
        })()
        await delay(100)
        // The proxy does not take it all in.
        assert.ok(sent < KERNEL_TAKES, `${sent} times 10 MB`)
        to.resume()
        for (let n = 0; n < KERNEL_TAKES; n++) {
          assert.equal(sum(await to.read(MEGABYTES_10.length)), SUM)
        }
        await sending
      }
    },
  )

  tlsTest(`${name}: one direction ends, the other goes on`, prepare, async (stage) => {
    const upload = Buffer.alloc(1_000_000, 'half-close ')
    const first = await pair(stage)
    first.client.fin()
    assert.equal(await first.server.ending(), 'fin')
    await first.server.send(upload)
    first.server.fin()
    assert.ok((await first.client.readToEnd()).equals(upload))
    assert.equal((await stage.end(0)).reason, 'client data done')
    const second = await pair(stage)
    second.server.fin()
    assert.equal(await second.client.ending(), 'fin')
    await second.client.send(upload)
    second.client.fin()
    assert.ok((await second.server.readToEnd()).equals(upload))
    assert.equal((await stage.end(1)).reason, 'server data done')
  })

  tlsTest(`${name}: many small messages, in turns`, prepare, async (stage) => {
    const { client, server } = await pair(stage)
    for (let i = 0; i < 200; i++) {
      const message = `${i} `.repeat((i % 7) + 1)
      await client.send(message)
      await server.expect(message)
      await server.send(message)
      await client.expect(message)
    }
  })

  tlsTest(`${name}: the last bytes come before the end`, prepare, async (stage) => {
    for (const size of [1, 16_383, 16_384, 16_385, 200_000]) {
      const bytes = randomBytes(size)
      const { client, server } = await pair(stage)
      client.socket.end(bytes)
      server.socket.end(bytes)
      const [there, here] = await Promise.all([server.readToEnd(), client.readToEnd()])
      assert.ok(there.equals(bytes), `${size} bytes up`)
      assert.ok(here.equals(bytes), `${size} bytes down`)
    }
  })

  tlsTest(`${name}: the proxy stops`, prepare, async (stage) => {
    const { client, server } = await pair(stage)
    stage.site.stopped = true
    const stopping = stage.site.proxy.stop({ deadline: '0s' })
    await Promise.all([client.ending(), server.ending()])
    assert.equal((await stopping).closed, 1)
    assert.equal((await stage.end(0)).reason, 'proxy data shutdown')
  })
}

for (const maxVersion of versions) {
  tlsTest(
    `close_notify counts as the end without a FIN behind it, ${maxVersion}`,
    terminating({ cert: front.pemFile }),
    async (stage) => {
      const relay = await stage.relay(stage.site.port, { keepOpen: true })
      const client = await stage.dial({ maxVersion }, relay.port)
      await client.send('>')
      const server = await stage.site.upstream.accept()
      await server.expect('>')
      client.fin()
      assert.equal(await server.ending(), 'fin')
      await server.send('answer')
      server.fin()
      await client.expect('answer')
      assert.equal(await client.ending(), 'fin')
    },
  )
}

tlsTest(
  'a client that wants to renegotiate is told that nobody does',
  terminating({ cert: front.pemFile, maxVersion: 'TLSv1.2' }),
  async (stage) => {
    const { client } = await stage.pair()
    const refused = once(client.socket, 'error')
    const { socket } = client
    assert.ok(socket instanceof TLSSocket)
    socket.renegotiate({}, () => {})
    const [error] = (await refused) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ERR_SSL_NO_RENEGOTIATION')
    // It takes the warning for a reason to end; Sluice would go on.
    assert.equal((await stage.end(0)).reason, 'client data tls-alert')
  },
)
