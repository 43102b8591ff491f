/** PROXY protocol codecs on the vectors that are shared with the Rust codecs. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseIp } from '#sluice/address/parse.js'
import { formatIpv4, formatIpv6 } from '#sluice/address/text.js'
import { buildProxyV1, buildProxyV2 } from '#sluice/codec/proxy/build.js'
import { type ProxyHeader, parseProxyHeader } from '#sluice/codec/proxy/parse.js'
import { Code, Family } from '#sluice/wire/wire.js'
import { fromHex, readVectors, toHex } from './vectors.js'

const codes: Record<string, number> = {
  signature: Code.PROXY_SIGNATURE,
  malformed: Code.PROXY_MALFORMED,
  'too-long': Code.PROXY_TOO_LONG,
  checksum: Code.PROXY_CHECKSUM,
}

/** What the vectors are for; the default of the configuration. */
const LIMIT = 16_384

describe('PROXY headers that are read', () => {
  for (const [name, hex, kind, ...rest] of readVectors('proxy.txt')) {
    test(name as string, () => {
      const bytes = fromHex(hex)
      const result = parseProxyHeader(bytes, LIMIT)
      if (kind === 'complete') {
        assert.equal(result.status, 'header')
        if (result.status !== 'header') return
        const { header } = result
        const [length, src, dst, tlvs] = rest
        assert.equal(header.length, Number(length))
        assert.equal(endpoint(header, 'src'), src)
        assert.equal(endpoint(header, 'dst'), dst)
        assert.equal(toHex(header.tlvs), tlvs)
        for (let cut = 0; cut < header.length; cut++) {
          assert.deepEqual(parseProxyHeader(bytes.subarray(0, cut), LIMIT), { status: 'partial' })
        }
        return
      }
      const error = { status: 'error', code: codes[rest[0] as string] }
      assert.deepEqual(result, kind === 'partial' ? { status: 'partial' } : error)
      for (let cut = 0; cut < bytes.length; cut++) {
        const early = parseProxyHeader(bytes.subarray(0, cut), LIMIT)
        if (early.status !== 'partial') assert.deepEqual(early, error)
      }
    })
  }
})

describe('PROXY headers that are built', () => {
  for (const [name, version, src, dst, tlvs, crc, hex] of readVectors('proxy-build.txt')) {
    test(name as string, () => {
      const from = parseEndpoint(src as string)
      const to = parseEndpoint(dst as string)
      const ends = { src: from.ip, srcPort: from.port, dst: to.ip, dstPort: to.port }
      const built =
        version === 'v1'
          ? buildProxyV1(ends)
          : buildProxyV2({ ...ends, tlvs: fromHex(tlvs), crc32c: crc === 'crc' })
      assert.equal(toHex(built), hex)
    })
  }

  test('a header that would exceed its length field is refused', () => {
    const ends = { src: Buffer.alloc(4), srcPort: 1, dst: Buffer.alloc(4), dstPort: 2 }
    const tlvs = Buffer.alloc(65535)
    tlvs.writeUInt16BE(65532, 1)
    assert.throws(() => buildProxyV2({ ...ends, tlvs }), RangeError)
  })
})

function endpoint(header: ProxyHeader, end: 'src' | 'dst'): string {
  if (header.family === Family.NONE) return '-'
  if (header.family === Family.UNIX) return 'unix'
  const bytes = Buffer.from(header[end])
  const port = end === 'src' ? header.srcPort : header.dstPort
  if (header.family === Family.INET) return `${formatIpv4(bytes.readInt32LE(0))}:${port}`
  const words = Int32Array.from({ length: 4 }, (_, i) => bytes.readInt32LE(4 * i))
  const text = formatIpv6(words, 0).replace(/^::ffff:([0-9a-f]+):([0-9a-f]+)$/, (_, high, low) => {
    const word = Buffer.alloc(4)
    word.writeUInt16BE(Number.parseInt(high, 16), 0)
    word.writeUInt16BE(Number.parseInt(low, 16), 2)
    return `::ffff:${word.join('.')}`
  })
  return `[${text}]:${port}`
}

function parseEndpoint(text: string): { ip: Uint8Array; port: number } {
  if (text === 'unix') return { ip: new Uint8Array(0), port: 0 }
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|(.*)):(\d+)$/.exec(text) as RegExpExecArray
  const ip = parseIp(bracketed ?? (plain as string)) as Uint8Array
  const mapped = bracketed !== undefined && ip.length === 4
  const bytes = mapped ? Buffer.concat([Buffer.from('00000000000000000000ffff', 'hex'), ip]) : ip
  return { ip: bytes, port: Number(port) }
}
