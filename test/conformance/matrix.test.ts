/**
 * The handshake matrix: chained listeners, so that every incoming handshake is
 * crossed with every outgoing one, the bytes split at every boundary.
 *
 *   client ──(incoming)── front ──(outgoing)── [SOCKS proxy] ── back ── server
 */

import assert from 'node:assert/strict'
import { buildProxyV1, buildProxyV2 } from '#sluice/codec/proxy/build.js'
import { encodeTlv, TlvType } from '#sluice/codec/proxy/tlv.js'
import type { RouteSpec, SocksSpec } from '#sluice/engine/engine.js'
import { ConnectFlag, Handshake } from '#sluice/wire/wire.js'
import { engineTest, type Harness } from '../support/engine-harness.js'
import type { PeerServer } from '../support/peer.js'
import { SocksServer } from '../support/socks-server.js'

const { ACCEPT_PROXY, ACCEPT_SESSION } = Handshake
const PAYLOAD = Buffer.from('payload')
/** Connections of one combination at once. */
const AT_ONCE = 16
/** At least as many as the longest reply of a SOCKS proxy has bytes, all of which are split. */
const LEAST = 12
const UNIQUE_ID = encodeTlv(TlvType.UNIQUE_ID, Buffer.from('id-1'))

/** Addresses that the incoming header number `i` carries. */
function claimed(i: number) {
  const src = Buffer.from([192, 0, 2, 1])
  return { src, dst: Buffer.from([198, 51, 100, 2]), srcPort: 1000 + i, dstPort: 443 }
}

const incoming: Record<string, ((i: number) => Buffer) | undefined> = {
  none: undefined,
  'PROXY v1': (i) => buildProxyV1(claimed(i)),
  'PROXY v2': (i) => buildProxyV2({ ...claimed(i), tlvs: UNIQUE_ID }),
  'PROXY v2 with CRC32C': (i) => buildProxyV2({ ...claimed(i), crc32c: true }),
}

interface Outgoing {
  sendProxy: 0 | 1 | 2
  crc?: boolean
  socks?: Pick<SocksSpec, 'version' | 'user' | 'password'>
}

const auth = { user: 'ada', password: 'lovelace' }
const outgoing: Record<string, Outgoing> = {
  none: { sendProxy: 0 },
  'PROXY v1': { sendProxy: 1 },
  'PROXY v2': { sendProxy: 2 },
  'PROXY v2 with CRC32C': { sendProxy: 2, crc: true },
  SOCKS5: { sendProxy: 0, socks: { version: 5 } },
  'SOCKS5 with authentication': { sendProxy: 0, socks: { version: 5, ...auth } },
  SOCKS4a: { sendProxy: 0, socks: { version: 4, user: 'ada' } },
  'SOCKS5 and PROXY v1': { sendProxy: 1, socks: { version: 5 } },
  'SOCKS4a and PROXY v2': { sendProxy: 2, crc: true, socks: { version: 4 } },
}

for (const [inName, header] of Object.entries(incoming)) {
  for (const [outName, out] of Object.entries(outgoing)) {
    engineTest(`in: ${inName}, out: ${outName}`, async (h) => {
      const socks = out.socks && (await SocksServer.listen(out.socks.password ? auth : undefined))
      try {
        await cross(h, header, out, socks)
      } finally {
        socks?.close()
      }
    })
  }
}

async function cross(
  h: Harness,
  header: ((i: number) => Buffer) | undefined,
  out: Outgoing,
  socks: SocksServer | undefined,
): Promise<void> {
  const upstream = await h.server()
  const front = await h.listenPort({ handshakes: header ? ACCEPT_PROXY | ACCEPT_SESSION : 0 })
  const back = await h.listenPort({ handshakes: out.sendProxy ? ACCEPT_PROXY | ACCEPT_SESSION : 0 })
  const toServer = h.route(upstream.port)
  const route: Partial<RouteSpec> = { sendProxy: out.sendProxy, proxyCrc: out.crc ?? false }
  if (out.socks) route.socks = { ...out.socks, host: 'back.example', port: back.port }
  const toBack = h.route(socks ? socks.port : back.port, route)
  h.answers.handshake = ({ conn, generation, listener }) => {
    if (listener === back.listener) h.engine.connect(conn, generation, toServer, 0, 0)
    else h.engine.connect(conn, generation, toBack, ConnectFlag.WANT_CONNECTED, 0, UNIQUE_ID)
  }
  const serving = echo(upstream)
  const length = (header?.(0).length ?? 0) + PAYLOAD.length
  const cuts = Array.from({ length: Math.max(length, LEAST) }, (_, cut) => cut)
  const sources: string[] = []
  for (let from = 0; from < cuts.length; from += AT_ONCE) {
    const batch = cuts.slice(from, from + AT_ONCE).map(async (cut) => {
      const client = await h.dial({ port: front.port })
      const own = `127.0.0.1:${client.socket.localPort}`
      sources.push(header ? `192.0.2.1:${1000 + cut}` : own)
      const bytes = Buffer.concat([header?.(cut) ?? Buffer.alloc(0), PAYLOAD])
      await client.sendSplit(bytes, [Math.min(cut, bytes.length)])
      client.fin()
      assert.equal((await client.readToEnd()).toString(), 'payload', `split at ${cut}`)
    })
    await Promise.all(batch)
  }
  await h.idle()
  upstream.close()
  void serving

  const seen = h.all('handshake').filter(({ listener }) => listener === back.listener)
  assert.equal(seen.length, cuts.length)
  for (const { reason } of h.all('closed')) assert.equal(reason, 'client data done')
  if (out.sendProxy) {
    const told = seen.map(({ record }) => `${record.src}:${record.srcPort}`)
    assert.deepEqual(told.sort(), sources.sort())
    const dst = header ? '198.51.100.2:443' : `127.0.0.1:${front.port}`
    for (const { record } of seen) assert.equal(`${record.dst}:${record.dstPort}`, dst)
  }
  if (out.sendProxy === 2) {
    for (const { bytes } of seen) {
      assert.ok(bytes?.subarray(0, UNIQUE_ID.length).equals(UNIQUE_ID))
      assert.equal(bytes?.length, UNIQUE_ID.length + (out.crc ? 7 : 0))
    }
  }
  for (const asked of socks?.asked ?? []) {
    assert.equal(asked.host, 'back.example')
    assert.equal(asked.version, out.socks?.version)
    assert.equal(asked.user, out.socks?.user ?? '')
  }
}

/** Sends back to each connection what it sent, once it is complete. */
async function echo(upstream: PeerServer): Promise<void> {
  for (;;) {
    const server = await upstream.accept().catch(() => undefined)
    if (!server) return
    void server.readToEnd().then((bytes) => {
      server.socket.end(bytes)
    })
  }
}
