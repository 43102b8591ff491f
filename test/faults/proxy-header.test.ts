/** PROXY headers that are garbage, truncated, oversized, slow, mis-signed or from the wrong source. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { buildProxyV2 } from '#sluice/codec/proxy/build.js'
import type { BindConfig } from '#sluice/config/types.js'
import { faultTest, type Site } from './support.js'

const bind: BindConfig = { address: '127.0.0.1:0', acceptProxy: { limit: '4kB' } }
const header = Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n')
const addresses = {
  src: Uint8Array.of(192, 0, 2, 1),
  srcPort: 40000,
  dst: Uint8Array.of(198, 51, 100, 2),
  dstPort: 443,
}

/** Version 2 with a checksum of which one bit is wrong. */
function misSigned(): Buffer {
  const bytes = Buffer.from(buildProxyV2({ ...addresses, crc32c: true }))
  const last = bytes.length - 1
  bytes.writeUInt8(bytes.readUInt8(last) ^ 1, last)
  return bytes
}

/** Version 2 whose length says more than the bind takes. */
function oversized(): Buffer {
  const bytes = Buffer.alloc(16 + 5000)
  Buffer.from('0d0a0d0a000d0a515549540a2111', 'hex').copy(bytes)
  bytes.writeUInt16BE(5000, 14)
  return bytes
}

const wrong: [string, Buffer, string][] = [
  ['a request instead of a header', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'proxy-signature'],
  ['zeroes', Buffer.alloc(100), 'proxy-signature'],
  ['a TLS hello', Buffer.from('16030100c8010000c403', 'hex'), 'proxy-signature'],
  ['version 1 of garbage', Buffer.from('PROXY TCP4 what ever 1 2\r\n'), 'proxy-malformed'],
  ['version 1 without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`), 'proxy-too-long'],
  [
    'version 2 of a wrong version',
    Buffer.from('0d0a0d0a000d0a515549540a31110000', 'hex'),
    'proxy-malformed',
  ],
  ['version 2 that is too long', oversized(), 'proxy-too-long'],
  ['version 2 with a wrong checksum', misSigned(), 'proxy-checksum'],
]

faultTest(
  'a header that is wrong, whole or one byte at a time',
  { frontend: { bind } },
  async (site) => {
    for (const [name, bytes, code] of wrong) {
      for (const slowly of [false, true]) {
        const n = site.records.length
        const client = await site.dial()
        // The proxy may end it before the last byte is on its way.
        if (slowly) await client.sendByteByByte(bytes.subarray(0, 120)).catch(() => {})
        else await client.send(bytes).catch(() => {})
        if (slowly) await client.send(bytes.subarray(120)).catch(() => {})
        await client.ending()
        assert.equal(await site.ending(n), `client accept-proxy ${code}`, name)
      }
    }
    assert.equal(site.upstream.all.length, 0, 'no server heard of any of them')
    await servesWithHeader(site)
  },
)

faultTest(
  'a header that is cut off: by FIN, by RST, at every place',
  { frontend: { bind } },
  async (site) => {
    const v2 = Buffer.from(buildProxyV2({ ...addresses, crc32c: true }))
    for (const whole of [header, v2]) {
      for (const cut of [1, 5, 12, 16, whole.length - 1]) {
        for (const reset of [false, true]) {
          const n = site.records.length
          const client = await site.dial()
          await client.send(whole.subarray(0, cut))
          await delay(5)
          if (reset) client.reset()
          else client.fin()
          const code = reset ? 'reset' : 'aborted'
          assert.equal(await site.ending(n), `client accept-proxy ${code}`, `cut at ${cut}`)
        }
      }
    }
    assert.equal(site.upstream.all.length, 0)
  },
)

faultTest(
  'a header that comes too slowly is cut at the deadline, silence as well',
  { frontend: { bind, timeouts: { handshake: '150ms' } } },
  async (site) => {
    const slow = await site.dial()
    for (const byte of header.subarray(0, 20)) {
      await slow.send(Buffer.of(byte)).catch(() => {})
      await delay(20)
    }
    assert.equal(await site.ending(0), 'timeout accept-proxy handshake-timeout')
    await site.dial()
    assert.equal(await site.ending(1), 'timeout accept-proxy handshake-timeout')
    assert.equal(site.upstream.all.length, 0)
  },
)

faultTest(
  'a header from a source that is not trusted',
  { frontend: { bind: { ...bind, acceptProxy: { from: ['10.0.0.0/8'] } } } },
  async (site) => {
    const client = await site.dial()
    await client.send(header).catch(() => {})
    await client.ending()
    assert.equal(await site.ending(0), 'proxy accept-proxy proxy-untrusted')
    assert.equal(site.upstream.all.length, 0)
  },
)

faultTest(
  'a header one byte at a time, with its payload behind it',
  { frontend: { bind } },
  async (site) => {
    const client = await site.dial()
    await client.sendByteByByte(Buffer.concat([header, Buffer.from('payload')]))
    const server = await site.upstream.accept()
    await server.expect('payload')
    client.fin()
    server.fin()
    const record = await site.record(0)
    assert.equal(record.src, '192.0.2.1')
    assert.equal(record.srcPort, 40000)
  },
)

async function servesWithHeader(site: Site): Promise<void> {
  const client = await site.dial()
  await client.send(header)
  await client.send('served')
  const server = await site.upstream.accept()
  await server.expect('served')
}
