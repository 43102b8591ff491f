/** What comes before, in and behind a TLS handshake: each in its place, split anywhere. */

import assert from 'node:assert/strict'
import { buildProxyV1, buildProxyV2 } from '#sluice/codec/proxy/build.js'
import { encodeTlv, TlvType } from '#sluice/codec/proxy/tlv.js'
import type { FrontendConfig } from '#sluice/config/types.js'
import {
  type Connection,
  consume,
  defineApplet,
  echo,
  more,
  reject,
  reply,
  send,
  staticReply,
} from '#sluice/policy.js'
import { makeAuthority } from '../support/certificates.js'
import { fragment } from '../support/tls-relay.js'
import { type SiteOptions, terminating, tlsTest } from '../support/tls-site.js'

const ca = makeAuthority()
const issued = ca.issue({ names: ['a.example', 'b.example'] })
const tls = { cert: issued.pemFile }

const address = {
  src: Buffer.from([192, 0, 2, 1]),
  dst: Buffer.from([198, 51, 100, 2]),
  srcPort: 4000,
  dstPort: 443,
}
const headers: Record<string, Uint8Array> = {
  'PROXY v1': buildProxyV1(address),
  'PROXY v2': buildProxyV2({ ...address, tlvs: encodeTlv(TlvType.UNIQUE_ID, Buffer.from('x')) }),
  'PROXY v2 with CRC32C': buildProxyV2({ ...address, crc32c: true }),
}

/** Behind TLS and behind a PROXY header. */
function proxied(more: Partial<FrontendConfig> = {}): SiteOptions {
  const bind = { address: '127.0.0.1:0', acceptProxy: true, tls }
  return { frontend: { bind, ...more } }
}

for (const [name, header] of Object.entries(headers)) {
  const sources: string[] = []
  tlsTest(
    `${name} before TLS, split at every boundary`,
    () => {
      sources.length = 0
      const look = (conn: Connection) => void sources.push(`${conn.src}:${conn.srcPort}`)
      return proxied({ rules: { connection: [look] } })
    },
    async (stage) => {
      const one = async (cut: number) => {
        const raw = await stage.dialRaw()
        await raw.sendSplit(header.subarray(0, cut), [])
        await new Promise((resolve) => setTimeout(resolve, 2))
        if (cut < header.length) await raw.send(header.subarray(cut))
        // The ClientHello follows in a segment of its own, or in that of the header's end.
        const { peer, error } = await stage.over(raw, { servername: 'a.example' })
        assert.ok(peer, `split at ${cut}: ${error}`)
        await peer.send('payload')
        const server = await stage.site.upstream.accept()
        await server.expect('payload')
        peer.destroy()
        server.destroy()
      }
      for (let cut = 1; cut <= header.length; cut++) await one(cut)
      assert.deepEqual(new Set(sources), new Set(['192.0.2.1:4000']))
      assert.equal(sources.length, header.length)
    },
  )

  tlsTest(`${name} and the ClientHello in one segment`, proxied(), async (stage) => {
    const relay = await stage.relay(stage.site.port, {
      firstUp: (hello) => Buffer.concat([header, hello]),
    })
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const peer = await stage.dial({ maxVersion }, relay.port)
      await peer.send('payload')
      await (await stage.site.upstream.accept()).expect('payload')
    }
  })

  tlsTest(`${name} and the handshake byte by byte`, proxied(), async (stage) => {
    const relay = await stage.relay(stage.site.port, {
      byteByByte: true,
      firstUp: (hello) => Buffer.concat([header, hello]),
    })
    const peer = await stage.dial({}, relay.port)
    await peer.send('payload')
    const server = await stage.site.upstream.accept()
    await server.expect('payload')
    await server.send('answer')
    await peer.expect('answer')
  })
}

tlsTest('both directions byte by byte', terminating(tls), async (stage) => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const relay = await stage.relay(stage.site.port, { byteByByte: true })
    const peer = await stage.dial({ maxVersion }, relay.port)
    await peer.send('payload')
    const server = await stage.site.upstream.accept()
    await server.expect('payload')
    await server.send('answer')
    await peer.expect('answer')
    peer.fin()
    assert.equal(await server.ending(), 'fin')
  }
})

for (const size of [1, 2, 5, 100]) {
  tlsTest(`a ClientHello in records of ${size} bytes`, terminating(tls), async (stage) => {
    const firstUp = (hello: Buffer) => fragment(hello, size)
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const relay = await stage.relay(stage.site.port, { firstUp })
      const peer = await stage.dial({ maxVersion, servername: 'a.example' }, relay.port)
      await peer.send('payload')
      await (await stage.site.upstream.accept()).expect('payload')
    }
  })
}

const order: string[] = []
tlsTest(
  'the order: PROXY, connection rules, ClientHello, secured, handshake, session',
  () => {
    order.length = 0
    const note = (name: string) => (conn: Connection) => {
      const secured = conn.tls ? 'tls' : 'clear'
      order.push(`${name} ${conn.src} ${conn.hello?.serverName ?? '-'} ${secured}`)
      return undefined
    }
    return proxied({
      rules: {
        connection: [note('connection')],
        session: [note('session')],
        clientHello: [note('hello')],
        secured: [note('established')],
        handshake: [
          (conn) =>
            conn.bytes.length < 7 ? more() : note(`handshake ${Buffer.from(conn.bytes)}`)(conn),
        ],
      },
    })
  },
  async (stage) => {
    const options = { before: headers['PROXY v1'] as Uint8Array, servername: 'a.example' }
    const client = await stage.dial(options)
    await client.send('payload')
    const server = await stage.site.upstream.accept()
    await server.expect('payload')
    assert.deepEqual(order, [
      'connection 192.0.2.1 - clear',
      'hello 192.0.2.1 a.example clear',
      'established 192.0.2.1 a.example tls',
      'handshake payload 192.0.2.1 a.example tls',
      'session 192.0.2.1 a.example tls',
    ])
  },
)

tlsTest(
  'a connection rule rejects before TLS',
  terminating(tls, {
    frontend: { rules: { connection: [reject()] } },
  }),
  async (stage) => {
    const { peer } = await stage.attempt()
    assert.equal(peer, undefined)
    assert.equal((await stage.end(0)).reason, 'policy tcp-rules rejected')
  },
)

tlsTest(
  'session rules reject and reply behind TLS',
  terminating(tls, {
    frontend: {
      rules: {
        session: [
          (conn) => (conn.hello?.serverName === 'a.example' ? reply('go away') : undefined),
          reject(),
        ],
      },
    },
  }),
  async (stage) => {
    for (const [n, maxVersion] of (['TLSv1.2', 'TLSv1.3'] as const).entries()) {
      const client = await stage.dial({ maxVersion, servername: 'a.example' })
      assert.equal((await client.readToEnd()).toString(), 'go away')
      client.fin()
      assert.match((await stage.end(2 * n)).reason, /^policy .* replied$/)
      const other = await stage.dial({ maxVersion, servername: 'b.example' })
      await other.ending()
      assert.equal(other.received, 0)
      other.fin()
      assert.match((await stage.end(2 * n + 1)).reason, /^policy .* rejected$/)
    }
  },
)

tlsTest(
  'handshake rules see the decrypted payload and decide by it',
  terminating(tls, {
    frontend: {
      rules: {
        handshake: [
          function byFirstLine({ bytes }) {
            const text = Buffer.from(bytes).toString()
            if (!text.includes('\n')) return more()
            return text.startsWith('bye') ? reply('see you\n') : undefined
          },
        ],
      },
    },
  }),
  async (stage) => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const leaving = await stage.dial({ maxVersion })
      await leaving.send('by')
      await leaving.send('e\n')
      assert.equal((await leaving.readToEnd()).toString(), 'see you\n')
      const staying = await stage.dial({ maxVersion })
      await staying.send('stay')
      await staying.send('ing\nmore')
      const server = await stage.site.upstream.accept()
      await server.expect('staying\nmore')
    }
  },
)

tlsTest(
  'a handshake rule talks through TLS: sends, consumes, and leaves the rest',
  terminating(tls, {
    frontend: {
      rules: {
        handshake: [
          function banner({ bytes, vars }) {
            const text = Buffer.from(bytes).toString()
            if (!text.includes('\n')) return more()
            if (vars.asked) return consume(text.indexOf('\n') + 1)
            vars.asked = true
            return [send(`hello ${text}`, { consume: text.indexOf('\n') + 1 }), more()]
          },
        ],
      },
    },
  }),
  async (stage) => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = await stage.dial({ maxVersion })
      await client.send('na')
      await client.send('me\n')
      await client.expect('hello name\n')
      await client.send('second\nrest')
      const server = await stage.site.upstream.accept()
      await server.expect('rest')
      await server.send('answer')
      await client.expect('answer')
    }
  },
)

tlsTest(
  'an applet behind TLS',
  terminating(tls, { backend: { servers: { a: echo() } } }),
  async (stage) => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = await stage.dial({ maxVersion })
      const bytes = Buffer.alloc(300_000, 'through the applet and back ')
      const sent = client.send(bytes)
      assert.ok((await client.read(bytes.length)).equals(bytes))
      await sent
      client.fin()
      assert.equal((await client.readToEnd()).length, 0)
    }
    assert.equal((await stage.end(0)).reason, 'client data done')
  },
)

tlsTest(
  'a static reply behind TLS',
  terminating(tls, { backend: { servers: { a: staticReply('hello\n') } } }),
  async (stage) => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = await stage.dial({ maxVersion })
      assert.equal((await client.readToEnd()).toString(), 'hello\n')
    }
  },
)

tlsTest(
  'an applet that writes much to a client that reads late',
  terminating(tls, {
    backend: {
      servers: {
        a: defineApplet('much', async (stream) => {
          for (let i = 0; i < 40; i++) await stream.write(Buffer.alloc(100_000, i))
        }),
      },
    },
  }),
  async (stage) => {
    const client = await stage.dial()
    client.pause()
    await new Promise((resolve) => setTimeout(resolve, 100))
    client.resume()
    const all = await client.readToEnd()
    assert.equal(all.length, 4_000_000)
    for (let i = 0; i < 40; i++) assert.equal(all[i * 100_000 + 99_999], i)
  },
)
