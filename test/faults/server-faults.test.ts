/** Refusal, RST, FIN and silence of the server at every phase. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Peer } from '../support/peer.js'
import { blackholeTest, faultTest, type SiteOptions } from './support.js'

const settleIn = () => delay(30)

faultTest('server faults: it refuses', {}, async (site) => {
  site.upstream.close()
  const client = await site.dial()
  await client.ending()
  const { by, phase, code, errno, timers } = await site.record(0)
  assert.deepEqual([by, phase, code], ['server', 'connect', 'refused'])
  assert.equal(errno, 111)
  assert.equal(timers.connect, -1)
})

blackholeTest(
  'server faults: it does not answer the connect',
  { config: { timeouts: { connect: '200ms' } }, backend: { retries: 1, retryDelay: '10ms' } },
  async (site) => {
    const client = await site.dial()
    await client.ending()
    const record = await site.record(0)
    assert.equal(`${record.by} ${record.phase} ${record.code}`, 'timeout connect connect-timeout')
    assert.equal(record.retries, 1)
  },
)

faultTest('server faults: it closes at once', {}, async (site) => {
  const client = await site.dial()
  const server = await site.upstream.accept()
  server.destroy()
  await client.ending()
  client.fin()
  assert.equal(await site.ending(0), 'server data done')
})

faultTest('server faults: it resets at once', {}, async (site) => {
  const client = await site.dial()
  const server = await site.upstream.accept()
  server.reset()
  await client.ending()
  // It may come before the proxy has heard that it was connected.
  assert.match(await site.ending(0), /^server (connect|data) reset$/)
})

faultTest('server faults: it resets in the middle of an answer', {}, async (site) => {
  const { client, server } = await site.pair()
  await server.send(Buffer.alloc(100_000))
  await client.read(100_000)
  server.reset()
  // What it sent before arrives, and then the client is told that this is all.
  await client.ending()
  const record = await site.record(0)
  assert.equal(`${record.by} ${record.phase} ${record.code}`, 'server data reset')
  assert.equal(record.bytesOut, 100_000)
})

faultTest('server faults: it resets in the middle of an upload', {}, async (site) => {
  const { client, server } = await site.pair()
  server.pause()
  client.socket.write(Buffer.alloc(20_000_000))
  await site.until(() => site.proxy.stats().engine?.connections === 2, 'the upload runs')
  await settleIn()
  server.reset()
  await client.ending()
  assert.equal(await site.ending(0), 'server data reset')
})

faultTest('server faults: it closes in the middle of an upload', {}, async (site) => {
  const { client, server } = await site.pair()
  server.pause()
  client.socket.write(Buffer.alloc(20_000_000))
  await settleIn()
  // Closing over unread bytes is a reset for its peer.
  server.destroy()
  await client.ending()
  assert.match(await site.ending(0), /^server (data|close) reset$/)
})

faultTest('server faults: half-close, then the whole upload', {}, async (site) => {
  const { client, server } = await site.pair()
  server.fin()
  assert.equal(await client.ending(), 'fin')
  const upload = Buffer.alloc(3_000_000, 'upload ')
  await Promise.all([client.send(upload).then(() => client.fin()), server.read(upload.length)])
  assert.equal(await site.ending(0), 'server data done')
  assert.equal(site.records[0]?.bytesIn, upload.length + 1)
})

faultTest(
  'server faults: silence while payload flows',
  { config: { timeouts: { client: '30s', server: '200ms' } } },
  async (site) => {
    const { client } = await site.pair()
    await client.ending()
    assert.equal(await site.ending(0), 'timeout data server-timeout')
  },
)

faultTest(
  'server faults: silence after the client has sent its FIN',
  { config: { timeouts: { client: '30s', clientFin: '30s', server: '30s', serverFin: '200ms' } } },
  async (site) => {
    const { client, server } = await site.pair()
    client.fin()
    assert.equal(await server.ending(), 'fin')
    assert.equal(await site.ending(0), 'timeout close server-fin-timeout')
  },
)

faultTest('server faults: a reset after the client has sent its FIN', {}, async (site) => {
  const { client, server } = await site.pair()
  client.fin()
  assert.equal(await server.ending(), 'fin')
  await settleIn()
  server.reset()
  assert.equal(await site.ending(0), 'server close reset')
})

faultTest(
  'server faults: a unix socket that is not there',
  { backend: { servers: { a: 'unix:/nowhere/at/all.sock' } } },
  async (site) => {
    const client = await site.dial()
    await client.ending()
    const record = await site.record(0)
    assert.equal(record.phase, 'connect')
    assert.match(record.code, /^(refused|bad-address)$/)
  },
)

/** The upstream is a SOCKS5 proxy, whose every byte the test decides. */
function socksTest(
  name: string,
  act: (proxy: Peer) => void,
  expected: string,
  connect: `${number}${'s' | 'ms'}` = '30s',
): void {
  const options = (upstream: number): SiteOptions => ({
    config: { timeouts: { connect } },
    backend: {
      servers: { a: { address: '192.0.2.1:80', socks: { address: `127.0.0.1:${upstream}` } } },
    },
  })
  faultTest(`server faults: the SOCKS proxy ${name}`, options, async (site) => {
    const client = await site.dial()
    const proxy = await site.upstream.accept()
    await proxy.expect(Buffer.from('050100', 'hex'))
    act(proxy)
    await client.ending()
    assert.equal(await site.ending(0), expected)
  })
}

socksTest('resets', (proxy) => proxy.reset(), 'server socks reset')
socksTest('closes', (proxy) => proxy.fin(), 'server socks aborted')
socksTest('is silent', () => {}, 'timeout socks connect-timeout', '300ms')
socksTest(
  'answers nonsense',
  (proxy) => void proxy.send('HTTP/1.1 400 Bad Request\r\n\r\n'),
  'server socks socks-malformed',
)
socksTest(
  'accepts no method',
  (proxy) => void proxy.send(Buffer.from('05ff', 'hex')),
  'server socks socks-no-method',
)
socksTest(
  'refuses, after half of its answer',
  (proxy) => {
    void proxy.send(Buffer.from('0500', 'hex'))
    setTimeout(() => void proxy.send(Buffer.from('05', 'hex')), 20)
    setTimeout(() => void proxy.send(Buffer.from('050001000000000000', 'hex')), 40)
  },
  'server socks socks-refused',
)
