/** PROXY headers that come in: every shared vector, garbage, truncated, oversized, slow, split. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { Handshake } from '#sluice/wire/wire.js'
import { fromHex, readVectors } from '../codec/vectors.js'
import { engineTest, type Harness } from '../support/engine-harness.js'
import type { PeerServer } from '../support/peer.js'

const handshakes = Handshake.ACCEPT_PROXY | Handshake.ACCEPT_SESSION
/** Most bytes of addresses and TLVs that the vectors are for. */
const VECTORS_LIMIT = 16_384
const vectors = readVectors('proxy.txt').map(([name, hex, kind, ...rest]) => ({
  name: name as string,
  bytes: fromHex(hex),
  kind: kind as string,
  rest,
}))
const v2 = '0d0a0d0a000d0a515549540a2111000cc0000201c63364029c4001bb'

async function front(h: Harness, proxyLimit = VECTORS_LIMIT): Promise<[number, PeerServer]> {
  const upstream = await h.server()
  const { port } = await h.listenPort({ handshakes, proxyLimit })
  h.route(upstream.port)
  return [port, upstream]
}

engineTest(
  'every header that is whole gives its addresses and TLVs, and the payload',
  async (h) => {
    const [port, upstream] = await front(h)
    for (const { name, bytes, rest } of vectors.filter(({ kind }) => kind === 'complete')) {
      const [length, src, dst, tlvs] = rest
      const client = await h.dial({ port })
      const payload = Buffer.from('payload')
      await client.send(Buffer.concat([bytes, payload]))
      const told = await h.next('handshake')
      assert.equal(told.bit, Handshake.ACCEPT_SESSION)
      const own = `127.0.0.1:${client.socket.localPort}`
      assert.equal(end(told.record, 'src'), src === '-' ? own : textOf(src as string), name)
      assert.equal(
        end(told.record, 'dst'),
        dst === '-' ? `127.0.0.1:${port}` : textOf(dst as string),
      )
      assert.equal(told.bytes?.toString('hex'), fromHex(tlvs).toString('hex'), name)
      const server = await upstream.accept()
      await server.expect(Buffer.concat([bytes.subarray(Number(length)), payload]))
      client.destroy()
      server.destroy()
    }
  },
)

engineTest('every header that is wrong ends the connection with its code', async (h) => {
  const [port, upstream] = await front(h)
  for (const { name, bytes, rest } of vectors.filter(({ kind }) => kind === 'error')) {
    const client = await h.dial({ port })
    await client.send(bytes)
    await client.ending()
    const closed = await h.next('closed')
    assert.equal(closed.reason, `client accept-proxy proxy-${longCode(rest[0])}`, name)
    client.destroy()
  }
  assert.equal(h.all('handshake').length, 0)
  assert.equal(upstream.all.length, 0)
})

engineTest('every header that is cut short by a FIN is aborted', async (h) => {
  const [port] = await front(h)
  for (const { name, bytes } of vectors.filter(({ kind }) => kind === 'partial')) {
    const client = await h.dial({ port })
    if (bytes.length > 0) await client.send(bytes)
    client.fin()
    await client.ending()
    assert.equal((await h.next('closed')).reason, 'client accept-proxy aborted', name)
  }
})

engineTest('a client that resets inside its header', async (h) => {
  const [port] = await front(h)
  const client = await h.dial({ port })
  await client.send('PROXY TCP4')
  await h.until(() => h.engine.stats().connections === 1, 'the connection is accepted')
  await delay(20)
  client.reset()
  assert.equal((await h.next('closed')).reason, 'client accept-proxy reset')
})

engineTest('a header that comes too slowly runs into the handshake deadline', async (h) => {
  const { port } = await h.listenPort({ handshakes, handshakeTimeout: 60 })
  const client = await h.dial({ port })
  const header = Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n')
  // Each byte is activity, and yet the deadline holds: it counts from the accept.
  for (let i = 0; client.ended === undefined && i < header.length - 1; i++) {
    client.socket.write(header.subarray(i, i + 1))
    await delay(10)
  }
  await client.ending()
  assert.equal((await h.next('closed')).reason, 'timeout accept-proxy handshake-timeout')
})

engineTest('a silent client runs into the handshake deadline', async (h) => {
  const { port } = await h.listenPort({ handshakes, handshakeTimeout: 30 })
  const client = await h.dial({ port })
  await client.ending()
  assert.equal((await h.next('closed')).reason, 'timeout accept-proxy handshake-timeout')
})

for (const [name, header] of [
  ['v1', Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 10 20\r\n')],
  ['v2', fromHex(v2)],
] as const) {
  engineTest(`a ${name} header and its payload split at every boundary`, async (h) => {
    const [port, upstream] = await front(h)
    const whole = Buffer.concat([header, Buffer.from('GET')])
    for (let cut = 0; cut < whole.length; cut++) {
      const client = await h.dial({ port })
      await client.sendSplit(whole, [cut])
      client.fin()
      const server = await upstream.accept()
      assert.equal((await server.readToEnd()).toString(), 'GET', `split at ${cut}`)
      client.destroy()
      server.destroy()
    }
    const sources = new Set(h.all('handshake').map(({ record }) => record.src))
    assert.deepEqual([...sources], [name === 'v1' ? '2001:db8::1' : '192.0.2.1'])
  })

  engineTest(`a ${name} header one byte at a time`, async (h) => {
    const [port, upstream] = await front(h)
    const client = await h.dial({ port })
    await client.sendByteByByte(Buffer.concat([header, Buffer.from('payload')]))
    await (await upstream.accept()).expect('payload')
  })
}

engineTest('the TLVs come with the first handshake behind the header', async (h) => {
  const upstream = await h.server()
  const ask = Handshake.TCP_RULES | Handshake.ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: handshakes | ask, ask })
  h.route(upstream.port)
  const client = await h.dial({ port })
  const header = '0d0a0d0a000d0a515549540a21110013c0000201c63364029c4001bb05000469642d31'
  await client.send(fromHex(header))
  await upstream.accept()
  const seen = h.all('handshake').map(({ bytes }) => bytes?.toString('hex'))
  assert.equal(seen.length, 2)
  assert.equal(seen[0], '05000469642d31')
})

function longCode(code: string | undefined): string {
  return code === 'checksum' || code === 'malformed' || code === 'signature' ? code : 'too-long'
}

function end(
  record: { src: string; dst: string; srcPort: number; dstPort: number },
  of: 'src' | 'dst',
) {
  return `${record[of]}:${of === 'src' ? record.srcPort : record.dstPort}`
}

/** The vector's notation as the table prints it. */
function textOf(endpoint: string): string {
  if (endpoint === 'unix') return ':0'
  const [, ip, port] = /^\[?(.*?)\]?:(\d+)$/.exec(endpoint) as RegExpExecArray
  const mapped = /^::ffff:(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(ip as string)
  if (!mapped) return `${ip}:${port}`
  const [a, b, c, d] = mapped.slice(1).map(Number) as [number, number, number, number]
  return `::ffff:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}:${port}`
}

/** A version 2 header of TCP over IPv4 with `size` bytes of addresses and TLVs; payload behind it. */
function headerOf(size: number): { bytes: Buffer; tlvs: Buffer } {
  const tlvs = Buffer.alloc(size - 12, 0xaa)
  tlvs[0] = 0xe0
  tlvs.writeUInt16BE(tlvs.length - 3, 1)
  const fixed = Buffer.from(v2, 'hex')
  fixed.writeUInt16BE(size, 14)
  return { bytes: Buffer.concat([fixed, tlvs, Buffer.from('payload')]), tlvs }
}

engineTest('a header may be as long as the limit says, up to all that fits', async (h) => {
  for (const limit of [216, 65_535, 65_536]) {
    const [port, upstream] = await front(h, limit)
    const size = Math.min(limit, 65_535)
    const { bytes, tlvs } = headerOf(size)
    const client = await h.dial({ port })
    await client.send(bytes)
    const told = await h.next('handshake')
    assert.equal(told.bit, Handshake.ACCEPT_SESSION)
    assert.ok(told.bytes?.equals(tlvs), `${size} bytes`)
    const server = await upstream.accept()
    await server.expect(Buffer.from('payload'))
    client.destroy()
    server.destroy()
    await h.next('closed')
    if (limit > 65_535) continue
    // One byte more is refused before it comes; where the length field ends, nothing is longer.
    const long = await h.dial({ port })
    if (limit === 65_535) {
      long.destroy()
      continue
    }
    await long.send(headerOf(limit + 1).bytes.subarray(0, 16))
    await long.ending()
    assert.equal((await h.next('closed')).reason, 'client accept-proxy proxy-too-long')
    long.destroy()
  }
})
