/**
 * TLS in and out crossed with PROXY headers and SOCKS, in chained frontends, the
 * client's first bytes split at every boundary.
 *
 *   client ──(PROXY, TLS)── front ──(SOCKS, PROXY, TLS)── back ── server
 */

import assert from 'node:assert/strict'
import { buildProxyV1, buildProxyV2 } from '#sluice/codec/proxy/build.js'
import { encodeTlv, TlvType } from '#sluice/codec/proxy/tlv.js'
import type { BindConfig, ServerConfig } from '#sluice/config/types.js'
import type { Connection } from '#sluice/policy.js'
import { createProxy } from '#sluice/proxy/create.js'
import type { SluiceProxy } from '#sluice/proxy/proxy.js'
import { makeAuthority } from '../support/certificates.js'
import { memoryLogger } from '../support/harness.js'
import { SocksServer } from '../support/socks-server.js'
import { boundaries } from '../support/tls-relay.js'
import { type Stage, tlsTest } from '../support/tls-site.js'

const ca = makeAuthority()
const front = ca.issue({ names: ['front.example'] })
const back = ca.issue({ names: ['back.example'] })
const ada = ca.issue({ names: ['ada.example'], commonName: 'Ada', client: true })

const claimed = {
  src: Buffer.from([192, 0, 2, 1]),
  dst: Buffer.from([198, 51, 100, 2]),
  srcPort: 4000,
  dstPort: 443,
}

const incoming: Record<string, Uint8Array> = {
  'no header': new Uint8Array(0),
  'PROXY v1': buildProxyV1(claimed),
  'PROXY v2': buildProxyV2({ ...claimed, tlvs: encodeTlv(TlvType.UNIQUE_ID, Buffer.from('1')) }),
}

interface Outgoing {
  sendProxy?: 1 | 2
  socks?: 4 | 5
  tls: boolean
}

const outgoing: Record<string, Outgoing> = {
  TLS: { tls: true },
  'PROXY v1 and TLS': { sendProxy: 1, tls: true },
  'PROXY v2 and TLS': { sendProxy: 2, tls: true },
  'SOCKS5 and TLS': { socks: 5, tls: true },
  'SOCKS5, PROXY v2 and TLS': { socks: 5, sendProxy: 2, tls: true },
  'SOCKS4a, PROXY v1 and TLS': { socks: 4, sendProxy: 1, tls: true },
  'SOCKS5 and PROXY v2 in clear': { socks: 5, sendProxy: 2, tls: false },
}

/** The second proxy of the chain, with what its connection rule saw. */
interface Back {
  proxy: SluiceProxy
  port: number
  seen: { src: string; ssl: Uint8Array | undefined }[]
}

async function startBack(stage: Stage, bind: Partial<BindConfig>, server: number): Promise<Back> {
  const seen: Back['seen'] = []
  const look = (conn: Connection): void => {
    const ssl = conn.proxyTlvs.get(TlvType.SSL)
    seen.push({ src: conn.src, ssl: ssl && Uint8Array.from(ssl) })
  }
  const { logger } = memoryLogger()
  const frontend = { bind: { address: '127.0.0.1:0', ...bind }, backend: 'app' }
  const proxy = createProxy(
    {
      global: { maxconn: 200 },
      frontends: { back: { ...frontend, rules: { connection: [look] } } },
      backends: { app: { servers: { a: `127.0.0.1:${server}` } } },
    },
    { engine: stage.kind, logger },
  )
  await proxy.start()
  return { proxy, port: proxy.addresses.back?.[0]?.port as number, seen }
}

/** How the front reaches the back. */
function serverLine(out: Outgoing, port: number, socks: SocksServer | undefined): ServerConfig {
  return {
    address: `127.0.0.1:${port}`,
    ...(out.sendProxy && { sendProxy: out.sendProxy }),
    ...(out.tls && { tls: { ca: ca.certFile, serverName: 'back.example' } }),
    ...(socks &&
      out.socks && {
        socks: { address: `127.0.0.1:${socks.port}`, version: out.socks },
      }),
  }
}

for (const [inName, header] of Object.entries(incoming)) {
  for (const [outName, out] of Object.entries(outgoing)) {
    let end: Back
    let socks: SocksServer | undefined
    tlsTest(
      `in: ${inName} and TLS, out: ${outName}`,
      async (stage) => {
        const sink = await stage.plain()
        const tls = out.tls ? { tls: { cert: back.pemFile } } : {}
        const acceptProxy = out.sendProxy !== undefined
        end = await startBack(stage, { acceptProxy, ...tls }, sink.port)
        socks = out.socks && (await SocksServer.listen())
        const bind = {
          address: '127.0.0.1:0',
          acceptProxy: header.length > 0,
          tls: { cert: front.pemFile },
        }
        const a = serverLine(out, end.port, socks)
        return { frontend: { bind }, backend: { servers: { a } } }
      },
      async (stage) => {
        try {
          const probe = await cross(stage, header, 0)
          const first = header.length
          const cuts = boundaries(probe.subarray(first), probe.length - first).map((n) => n + first)
          for (let at = 1; at < first; at += 5) cuts.push(at)
          for (const cut of cuts) await cross(stage, header, cut)
          assert.equal(end.seen.length, cuts.length + 1)
          const src = out.sendProxy && first > 0 ? '192.0.2.1' : '127.0.0.1'
          assert.deepEqual(new Set(end.seen.map((seen) => seen.src)), new Set([src]))
        } finally {
          socks?.close()
          await end.proxy.stop({ deadline: '0s' })
        }
      },
    )
  }
}

/** One connection through the chain, its first bytes cut; returns what the client sent first. */
async function cross(stage: Stage, header: Uint8Array, splitUp: number): Promise<Buffer> {
  const relay = await stage.relay(stage.site.port, {
    firstUp: (hello) => Buffer.concat([header, hello]),
    splitUp,
  })
  const client = await stage.dial({ servername: 'front.example' }, relay.port)
  await client.send('payload')
  const server = await (await stage.plain()).accept()
  await server.expect('payload')
  await server.send('answer')
  await client.expect('answer')
  client.fin()
  assert.equal(await server.ending(), 'fin', `split at ${splitUp}`)
  server.fin()
  assert.equal(await client.ending(), 'fin', `split at ${splitUp}`)
  const sent = relay.bytes('up')
  relay.close()
  client.destroy()
  return sent.subarray(0, header.length + 5 + sent.readUInt16BE(header.length + 3))
}

interface Ssl {
  client: number
  verify: number
  parts: Map<number, string>
}

/** The SSL TLV (proxy-protocol.txt 2.2.6). */
function readSsl(bytes: Uint8Array): Ssl {
  const all = Buffer.from(bytes)
  const parts = new Map<number, string>()
  for (let at = 5; at + 3 <= all.length; ) {
    const length = all.readUInt16BE(at + 1)
    parts.set(all[at] as number, all.subarray(at + 3, at + 3 + length).toString())
    at += 3 + length
  }
  return { client: all[0] as number, verify: all.readUInt32BE(1), parts }
}

const VERSION = 0x21
const CN = 0x22
const CIPHER = 0x23

for (const outTls of [false, true]) {
  for (const ssl of [true, 'cn'] as const) {
    let end: Back
    tlsTest(
      `the SSL TLV goes out and comes in, ssl: ${ssl}, ${outTls ? 'TLS' : 'clear'} to the server`,
      async (stage) => {
        const sink = await stage.plain()
        const tls = outTls ? { tls: { cert: back.pemFile } } : {}
        end = await startBack(stage, { acceptProxy: true, ...tls }, sink.port)
        const demand = { ca: ca.certFile, clientCert: 'optional' as const }
        const bind = { address: '127.0.0.1:0', tls: { cert: front.pemFile, ...demand } }
        const a = {
          ...serverLine({ tls: outTls }, end.port, undefined),
          sendProxy: { version: 2 as const, crc32c: true, ssl },
        }
        return { frontend: { bind }, backend: { servers: { a } } }
      },
      async (stage) => {
        try {
          for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
            const server = await stage.plain()
            for (const shown of [{}, { cert: ada.chain, key: ada.key }]) {
              const client = await stage.dial({ maxVersion, ...shown })
              await client.send('payload')
              await (await server.accept()).expect('payload')
              const told = end.seen.at(-1)?.ssl
              assert.ok(told)
              const { client: flags, verify, parts } = readSsl(told)
              const certain = 'cert' in shown
              assert.equal(flags & 1, 1)
              assert.equal((flags & 2) !== 0, certain)
              assert.equal(verify === 0, certain)
              assert.equal(parts.get(VERSION), maxVersion)
              assert.match(parts.get(CIPHER) ?? '', /AES|CHACHA/)
              assert.equal(parts.get(CN), certain && ssl === 'cn' ? 'Ada' : undefined)
            }
          }
        } finally {
          await end.proxy.stop({ deadline: '0s' })
        }
      },
    )
  }
}

let clear: Back
tlsTest(
  'of a client without TLS the SSL TLV says so, or nothing',
  async (stage) => {
    const sink = await stage.plain()
    clear = await startBack(stage, { acceptProxy: true }, sink.port)
    const sendProxy = { version: 2 as const, ssl: true }
    return { backend: { servers: { a: { address: `127.0.0.1:${clear.port}`, sendProxy } } } }
  },
  async (stage) => {
    try {
      const client = await stage.dialRaw()
      await client.send('payload')
      await (await (await stage.plain()).accept()).expect('payload')
      const told = clear.seen[0]?.ssl
      if (told) assert.equal(readSsl(told).client & 1, 0)
    } finally {
      await clear.proxy.stop({ deadline: '0s' })
    }
  },
)
