/** Outgoing handshakes that fail, and payload that comes right behind them. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseProxyHeader } from '#sluice/codec/proxy/parse.js'
import type { SocksSpec } from '#sluice/engine/engine.js'
import { BytesFlag } from '#sluice/wire/wire.js'
import { crowdedSocket } from '../support/crowded-socket.js'
import { engineTest, type Harness } from '../support/engine-harness.js'
import type { Peer } from '../support/peer.js'

const socks5: SocksSpec = { version: 5, host: 'server.example', port: 443 }

/** A client whose session goes through a SOCKS proxy that the test plays. */
async function throughSocks(h: Harness, socks: SocksSpec): Promise<{ client: Peer; proxy: Peer }> {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port, { socks })
  const client = await h.dial({ port })
  return { client, proxy: await upstream.accept() }
}

for (const [name, socks, replies, reason] of [
  ['answers nonsense', socks5, ['HTTP/1.1 400'], 'server socks socks-malformed'],
  ['accepts no method', socks5, ['\x05\xff'], 'server socks socks-no-method'],
  ['refuses the request', socks5, ['\x05\x00', '\x05\x05\x00\x01'], 'server socks socks-refused'],
  [
    'refuses the user',
    { ...socks5, user: 'ada', password: 'x' },
    ['\x05\x02', '\x01\x01'],
    'server socks socks-auth',
  ],
  ['refuses (SOCKS4a)', { ...socks5, version: 4 }, ['\x00\x5b'], 'server socks socks-refused'],
] as const) {
  engineTest(`a SOCKS proxy that ${name}`, async (h) => {
    const { client, proxy } = await throughSocks(h, socks)
    for (const reply of replies) {
      await proxy.until(() => proxy.received > 0)
      proxy.rest()
      proxy.received = 0
      await proxy.send(Buffer.from(reply, 'latin1'))
    }
    assert.equal((await h.next('connectFailed')).reason, reason)
    await proxy.ending()
    await client.ending()
    assert.equal((await h.next('closed')).reason, reason)
  })
}

engineTest('a unix server whose queue is full is waited for', async (h) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  const path = join(folder, 'server')
  const crowd = await crowdedSocket(path)
  try {
    const { port } = await h.listenPort()
    h.route(path)
    const clients = await Promise.all(Array.from({ length: 8 }, () => h.dial({ port })))
    for (const client of clients) await client.send('in the end')
    const both = 2 * clients.length
    await h.until(() => h.engine.stats().connections === both, 'everybody is connecting')
    // One of them gives up.
    clients.shift()?.reset()
    assert.equal((await h.next('closed')).reason, 'client connect reset')
    assert.equal(h.all('connected').length, 0)
    crowd.letGo()
    for (const client of clients) await client.expect('in the end')
    assert.equal(h.all('connectFailed').length, 0)
    for (const client of clients) client.destroy()
    await h.idle()
  } finally {
    await crowd.close()
    rmSync(folder, { recursive: true })
  }
})

engineTest('a unix server whose queue stays full is a connect time-out', async (h) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  const path = join(folder, 'server')
  const crowd = await crowdedSocket(path)
  try {
    const { port } = await h.listenPort()
    h.route(path, { connectTimeout: 100 })
    const client = await h.dial({ port })
    assert.equal((await h.next('connectFailed')).reason, 'timeout connect connect-timeout')
    await client.ending()
  } finally {
    await crowd.close()
    rmSync(folder, { recursive: true })
  }
})

engineTest('a SOCKS proxy that closes', async (h) => {
  const { proxy } = await throughSocks(h, socks5)
  await proxy.read(3)
  await proxy.send(Buffer.from([5]))
  proxy.fin()
  assert.equal((await h.next('connectFailed')).reason, 'server socks aborted')
})

engineTest('a SOCKS proxy that resets', async (h) => {
  const { proxy } = await throughSocks(h, socks5)
  await proxy.read(3)
  proxy.reset()
  assert.equal((await h.next('connectFailed')).reason, 'server socks reset')
})

engineTest('a SOCKS proxy that says nothing', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port, { socks: socks5, connectTimeout: 40 })
  await h.dial({ port })
  assert.equal((await h.next('connectFailed')).reason, 'timeout socks connect-timeout')
})

engineTest('the client resets during the SOCKS handshake', async (h) => {
  const { client, proxy } = await throughSocks(h, socks5)
  await proxy.read(3)
  client.reset()
  assert.equal((await h.next('closed')).reason, 'client socks reset')
  await proxy.ending()
})

engineTest('a client FIN during the SOCKS handshake is forwarded behind its bytes', async (h) => {
  const { client, proxy } = await throughSocks(h, socks5)
  await proxy.expect(Buffer.from([5, 1, 0]))
  await client.send('request')
  client.fin()
  await proxy.send(Buffer.from([5, 0]))
  await proxy.read(21)
  await proxy.send(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]))
  assert.equal((await proxy.readToEnd()).toString(), 'request')
  await proxy.send('answer')
  proxy.fin()
  assert.equal((await client.readToEnd()).toString(), 'answer')
  assert.equal((await h.next('closed')).reason, 'client data done')
})

engineTest('a SOCKS request that cannot be expressed', async (h) => {
  const { proxy } = await throughSocks(h, { ...socks5, host: 'x'.repeat(256) })
  const { reason } = await h.next('connectFailed')
  assert.match(reason as string, /^proxy (connect|socks) bad-address$/)
  await proxy.ending()
})

engineTest('payload right behind the SOCKS reply reaches the client', async (h) => {
  const { client, proxy } = await throughSocks(h, socks5)
  await proxy.read(3)
  await proxy.send(Buffer.from([5, 0]))
  await proxy.until(() => proxy.received > 3)
  const reply = Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0])
  await proxy.send(Buffer.concat([reply, Buffer.from('220 hello')]))
  await client.expect('220 hello')
})

engineTest('the header and bytes that came before leave together, in order', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  const route = h.route(upstream.port, { sendProxy: 2, proxyCrc: true })
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 1000, 0, 0)
  h.answers.bytes = ({ conn, generation, bytes, flags }) => {
    if (bytes.length >= 5 || flags & BytesFlag.EOF) h.engine.connect(conn, generation, route, 0, 0)
  }
  const client = await h.dial({ port })
  await client.send('early')
  client.fin()
  const server = await upstream.accept()
  const bytes = await server.readToEnd()
  const parsed = parseProxyHeader(bytes)
  assert.equal(parsed.status, 'header')
  if (parsed.status !== 'header') return
  assert.equal(parsed.header.srcPort, client.socket.localPort)
  assert.equal(parsed.header.dstPort, port)
  assert.equal(bytes.subarray(parsed.header.length).toString(), 'early')
})

engineTest('a header for a unix client names no addresses', async (h) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  try {
    const upstream = await h.server()
    const path = join(folder, 'front')
    await h.listen({ address: { kind: 'unix', path } })
    h.route(upstream.port, { sendProxy: 1 })
    await h.dial({ path })
    await (await upstream.accept()).expect('PROXY UNKNOWN\r\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
