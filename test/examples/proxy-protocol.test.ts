import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ProxyHeader, parseProxyHeader } from '#sluice/codec/proxy/parse.js'
import { parseTlvs, TlvType } from '#sluice/codec/proxy/tlv.js'
import { engineKinds } from '../support/engines.js'
import { type Peer, PeerServer } from '../support/peer.js'
import { everyCut, type RunningExample, runExample } from './support.js'

const HEADER = Buffer.from('PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n')

/** Reads the header that the proxy sends to the server. */
async function headerFrom(server: Peer): Promise<ProxyHeader> {
  const fixed = await server.read(16)
  const rest = await server.read(fixed.readUInt16BE(14))
  const result = parseProxyHeader(Buffer.concat([fixed, rest]))
  assert.ok(result.status === 'header', result.status)
  return result.header
}

const endpoints = ({ src, srcPort, dst, dstPort }: ProxyHeader) =>
  `${src.join('.')}:${srcPort} > ${dst.join('.')}:${dstPort}`

for (const kind of engineKinds) {
  const start = async (t: Parameters<typeof runExample>[0]) => {
    const server = await PeerServer.listen()
    t.after(() => server.close())
    const servers = { 'app/a': server.port }
    return { server, running: await runExample(t, kind, 'proxy-protocol', { servers }) }
  }
  const finish = async (running: RunningExample, client: Peer, served: Peer, n: number) => {
    client.fin()
    await served.ending()
    served.fin()
    return running.record(n)
  }

  test(`${kind}: the client's address goes in by one header and out by another`, async (t) => {
    const { server, running } = await start(t)
    const request = Buffer.concat([HEADER, Buffer.from('hello')])
    for (const [n, cut] of everyCut(request).entries()) {
      const client = await running.connect('balanced')
      await client.sendSplit(request, [cut])
      const served = await server.accept()
      const header = await headerFrom(served)
      assert.equal(endpoints(header), '203.0.113.7:4711 > 198.51.100.1:443')
      await served.expect('hello')
      const record = await finish(running, client, served, n)
      assert.deepEqual([record.src, record.srcPort], ['203.0.113.7', 4711])
      const tlvs = parseTlvs(header.tlvs)
      assert.equal(Buffer.from(tlvs.get(TlvType.UNIQUE_ID) ?? []).toString(), record.id)
      // That it is right, the parser has checked.
      assert.equal(tlvs.get(TlvType.CRC32C)?.length, 4)
    }
  })

  test(`${kind}: who is not trusted is refused, and so is a bad header`, async (t) => {
    const { running } = await start(t)
    const stranger = await running.connect('balanced', { from: '127.0.0.3' })
    await stranger.ending()
    assert.equal((await running.record(0)).code, 'proxy-untrusted')
    const garbage = await running.connect('balanced')
    await garbage.send('GET / HTTP/1.1\r\n\r\n')
    await garbage.ending()
    assert.equal((await running.record(1)).code, 'proxy-signature')
  })

  test(`${kind}: a rule decides who sends a header`, async (t) => {
    const { server, running } = await start(t)
    const behind = await running.connect('mixed', { from: '127.0.0.2' })
    await behind.send(HEADER)
    const first = await server.accept()
    assert.match(endpoints(await headerFrom(first)), /^203\.0\.113\.7:4711 >/)
    await finish(running, behind, first, 0)
    const direct = await running.connect('mixed', { from: '127.0.0.4' })
    await direct.send(HEADER)
    const second = await server.accept()
    assert.match(endpoints(await headerFrom(second)), /^127\.0\.0\.4:/)
    // Not asked for: payload like any other.
    await second.expect(HEADER)
    await finish(running, direct, second, 1)
  })
}
