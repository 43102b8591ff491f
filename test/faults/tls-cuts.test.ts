/** RST, FIN, silence, alerts and garbage at every point of a TLS handshake, on both sides. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { echo, more } from '#sluice/policy.js'
import { makeAuthority } from '../support/certificates.js'
import type { TlsServer } from '../support/tls-peer.js'
import { boundaries, type Cut, type Relay, recordEnds } from '../support/tls-relay.js'
import {
  reasonOf,
  type SiteOptions,
  type Stage,
  terminating,
  tlsTest,
} from '../support/tls-site.js'

const ca = makeAuthority()
const front = ca.issue({ names: ['front.example'] })
// The signatures of RSA are always as long: what is cut in one handshake is cut in all.
const back = ca.issue({ names: ['back.example'], key: 'rsa' })
const versions = ['TLSv1.2', 'TLSv1.3'] as const
type Version = (typeof versions)[number]
const cuts: Cut[] = ['rst', 'fin', 'silence']

/** A fatal alert in clear. */
const alert = (number: number) => Buffer.from([21, 3, 3, 0, 2, 2, number])
const BAD_CERTIFICATE = 42
const HANDSHAKE_FAILURE = 40
/** A record of application data that does not decrypt. */
const garbage = Buffer.concat([Buffer.from([23, 3, 3, 0, 64]), Buffer.alloc(64, 0xa5)])

/** Records of the client until its Finished: ClientHello, (ClientKeyExchange,) ChangeCipherSpec. */
const CLIENT_RECORDS: Record<Version, number> = { 'TLSv1.2': 4, 'TLSv1.3': 3 }
/** Records of node:tls as server until its Finished. */
const SERVER_RECORDS: Record<Version, number> = { 'TLSv1.2': 7, 'TLSv1.3': 6 }
const expectedOfClient: Record<Cut, string> = {
  rst: 'client tls reset',
  fin: 'client tls aborted',
  silence: 'timeout tls handshake-timeout',
}
const expectedOfServer: Record<Cut, string> = {
  rst: 'server tls-out reset',
  fin: 'server tls-out aborted',
  silence: 'timeout tls-out connect-timeout',
}

function clientSide(cut: Cut): SiteOptions {
  const handshake = cut === 'silence' ? '300ms' : '20s'
  return terminating({ cert: front.pemFile }, { config: { timeouts: { handshake } } })
}

/** Where a client's handshake may be cut: probed with one that is not. */
async function clientCuts(stage: Stage, maxVersion: Version): Promise<number[]> {
  const relay = await stage.relay(stage.site.port)
  const client = await stage.dial({ maxVersion }, relay.port)
  await client.send('x')
  const server = await stage.site.upstream.accept()
  await server.expect('x')
  client.destroy()
  server.destroy()
  await stage.site.record(0)
  const up = relay.bytes('up')
  const end = recordEnds(up)[CLIENT_RECORDS[maxVersion] - 1] as number
  return boundaries(up.subarray(0, end), end)
}

for (const maxVersion of versions) {
  for (const cut of cuts) {
    tlsTest(
      `a client ends its handshake by ${cut}, ${maxVersion}`,
      clientSide(cut),
      async (stage) => {
        const points = await clientCuts(stage, maxVersion)
        assert.ok(points.length > 10)
        const attempts = points.map(async (after) => {
          const plan = { direction: 'up', after, cut } as const
          const relay = await stage.relay(stage.site.port, { plan })
          const { peer } = await stage.attempt({ maxVersion }, relay.port)
          // In TLS 1.3 the handshake is complete for a client that has sent its Finished.
          await peer?.ending()
          peer?.destroy()
        })
        await Promise.all(attempts)
        const { records } = stage.site
        await stage.site.until(() => records.length === points.length + 1, 'every session ends')
        const reasons = new Set(records.slice(1).map(reasonOf))
        // One that resets before the js engine has accepted it has no address any more.
        if (stage.kind === 'js' && cut === 'rst') reasons.delete('client accept reset')
        assert.deepEqual(reasons, new Set([expectedOfClient[cut]]))
        await stage.pair({ maxVersion })
      },
    )
  }

  tlsTest(
    `a client sends an alert within its handshake, ${maxVersion}`,
    clientSide('fin'),
    async (stage) => {
      const points = await clientCuts(stage, maxVersion)
      const relay = await stage.relay(stage.site.port)
      await (await stage.dial({ maxVersion }, relay.port)).send('x')
      const ends = recordEnds(relay.bytes('up'))
      // Behind its ClientHello, and in TLS 1.2 behind its key too: all of that is in clear.
      const places = maxVersion === 'TLSv1.2' ? ends.slice(0, 2) : ends.slice(0, 1)
      assert.ok(points.length > 0)
      for (const [n, after] of places.entries()) {
        const plan = {
          direction: 'up',
          after,
          cut: 'silence',
          inject: alert(BAD_CERTIFICATE),
        } as const
        const cutting = await stage.relay(stage.site.port, { plan })
        const { peer } = await stage.attempt({ maxVersion }, cutting.port)
        await peer?.ending()
        peer?.destroy()
        const record = await stage.site.record(n + 1)
        assert.equal(reasonOf(record), 'client tls tls-alert')
        assert.equal(record.alert, 'bad_certificate')
      }
    },
  )

  tlsTest(
    `a client sends garbage within its handshake, ${maxVersion}`,
    clientSide('fin'),
    async (stage) => {
      const points = await clientCuts(stage, maxVersion)
      const ends = new Set<number>()
      const relay = await stage.relay(stage.site.port)
      await (await stage.dial({ maxVersion }, relay.port)).send('x')
      for (const end of recordEnds(relay.bytes('up'))) if (points.includes(end)) ends.add(end)
      let n = 1
      for (const after of ends) {
        const plan = { direction: 'up', after, cut: 'silence', inject: garbage } as const
        const cutting = await stage.relay(stage.site.port, { plan })
        const { peer } = await stage.attempt({ maxVersion }, cutting.port)
        await peer?.ending()
        peer?.destroy()
        assert.equal(reasonOf(await stage.site.record(n++)), 'client tls tls-malformed', `${after}`)
      }
    },
  )

  tlsTest(
    `a client sends garbage behind its handshake, ${maxVersion}`,
    clientSide('fin'),
    async (stage) => {
      const relay = await stage.relay(stage.site.port)
      const client = await stage.dial({ maxVersion }, relay.port)
      await client.send('before')
      const server = await stage.site.upstream.accept()
      await server.expect('before')
      relay.inject('up', garbage)
      await server.ending()
      assert.equal((await stage.end(0)).reason, 'client data tls-malformed')
      // What came before arrived; nothing that did not decrypt did.
      assert.equal(server.received, 'before'.length)
    },
  )
}

let server: TlsServer
let relay: Relay

function serverSide(version: Version, timeout: '300ms' | '20s', inTls = false) {
  return async (stage: Stage): Promise<SiteOptions> => {
    server = await stage.server(back, { maxVersion: version })
    relay = await stage.relay(server.port)
    const tls = { ca: ca.certFile, serverName: 'back.example', resumption: false }
    const a = { address: `127.0.0.1:${relay.port}`, tls }
    const bind = { address: '127.0.0.1:0', ...(inTls && { tls: { cert: front.pemFile } }) }
    return {
      frontend: { bind },
      backend: { servers: { a }, timeouts: { connect: timeout } },
    }
  }
}

/** Where a server's handshake may be cut, and where its records end. */
async function serverCuts(stage: Stage, version: Version) {
  const client = await stage.dialRaw()
  await client.send('x')
  const peer = await server.accept()
  await peer.expect('x')
  client.destroy()
  peer.destroy()
  await stage.site.record(0)
  const down = relay.bytes('down')
  const ends = recordEnds(down).slice(0, SERVER_RECORDS[version])
  const end = ends.at(-1) as number
  return { points: boundaries(down.subarray(0, end), end), ends }
}

for (const version of versions) {
  for (const cut of cuts) {
    const timeout = cut === 'silence' ? '300ms' : '20s'
    tlsTest(
      `a server ends its handshake by ${cut}, ${version}`,
      serverSide(version, timeout),
      async (stage) => {
        const { points } = await serverCuts(stage, version)
        assert.ok(points.length > 15)
        // Each takes the plan that stands when the proxy connects.
        for (const [n, after] of points.entries()) {
          relay.options = { plan: { direction: 'down', after, cut } }
          const before = relay.carried.length
          const client = await stage.dialRaw()
          await stage.site.until(() => relay.carried.length > before, 'the proxy connects')
          if (cut === 'silence') continue
          await client.ending()
          assert.equal((await stage.end(n + 1)).reason, expectedOfServer[cut], `after ${after}`)
        }
        const { records } = stage.site
        await stage.site.until(() => records.length === points.length + 1, 'every session ends')
        const reasons = new Set(records.slice(1).map(reasonOf))
        assert.deepEqual(reasons, new Set([expectedOfServer[cut]]))
        relay.options = {}
        // Some handshakes were complete for the server, which nobody has spoken to.
        const client = await stage.dialRaw()
        await client.send('x')
        const spoken = () => server.all.some((peer) => peer.received === 1)
        await stage.site.until(spoken, 'the server is spoken to')
      },
    )
  }

  tlsTest(
    `a server answers the ClientHello with an alert, ${version}`,
    serverSide(version, '20s'),
    async (stage) => {
      const inject = alert(HANDSHAKE_FAILURE)
      relay.options = { plan: { direction: 'down', after: 0, cut: 'silence', inject } }
      const client = await stage.dialRaw()
      await client.ending()
      const record = await stage.site.record(0)
      assert.equal(reasonOf(record), 'server tls-out tls-alert')
      assert.equal(record.alert, 'handshake_failure')
    },
  )

  tlsTest(
    `a server sends garbage within its handshake, ${version}`,
    serverSide(version, '20s'),
    async (stage) => {
      const { ends, points } = await serverCuts(stage, version)
      const places = [0, ...ends].filter((end) => points.includes(end))
      for (const [n, after] of places.entries()) {
        relay.options = { plan: { direction: 'down', after, cut: 'silence', inject: garbage } }
        const client = await stage.dialRaw()
        await client.ending()
        assert.equal((await stage.end(n + 1)).reason, 'server tls-out tls-malformed', `${after}`)
      }
    },
  )

  tlsTest(
    `a server sends garbage behind its handshake, ${version}`,
    serverSide(version, '20s', true),
    async (stage) => {
      const client = await stage.dial()
      await client.send('x')
      const peer = await server.accept()
      await peer.expect('x')
      await peer.send('before')
      await client.expect('before')
      relay.inject('down', garbage)
      await client.ending()
      assert.equal((await stage.end(0)).reason, 'server data tls-malformed')
      assert.equal(client.received, 'before'.length)
    },
  )
}

for (const [name, answer] of [
  ['HTTP', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'],
  ['a banner', '220 smtp.example ESMTP\r\n'],
] as const) {
  tlsTest(
    `a server that speaks ${name} instead of TLS`,
    async (stage) => {
      const plain = await stage.plain()
      const tls = { ca: ca.certFile, serverName: 'back.example' }
      return { backend: { servers: { a: { address: `127.0.0.1:${plain.port}`, tls } } } }
    },
    async (stage) => {
      const client = await stage.dialRaw()
      const peer = await (await stage.plain()).accept()
      await peer.send(answer)
      await client.ending()
      assert.equal((await stage.end(0)).reason, 'server tls-out tls-malformed')
    },
  )
}

tlsTest(
  'the client leaves while the server shakes hands',
  serverSide('TLSv1.3', '20s'),
  async (stage) => {
    relay.options = { plan: { direction: 'down', after: 100, cut: 'silence' } }
    for (const n of [0, 1, 2]) {
      const client = await stage.dialRaw()
      await stage.site.until(() => relay.cuts === n + 1, 'the handshake is on its way')
      await delay(20)
      client.reset()
      assert.equal((await stage.end(n)).reason, 'client tls-out reset')
    }
  },
)

/** A handshake record with the beginning of a message that is `length` bytes long. */
function begun(type: number, length: number): Buffer {
  const message = Buffer.from([type, 0, length >> 8, length & 255, 3, 3, 0, 0, 0])
  return Buffer.concat([Buffer.from([22, 3, 3, 0, message.length]), message])
}

for (const [name, bytes] of Object.entries({
  garbage,
  'an alert': alert(BAD_CERTIFICATE),
  'a record that is too long': Buffer.from('170303ffff00', 'hex'),
})) {
  for (const maxVersion of versions) {
    tlsTest(
      `a client begins a message, then sends ${name}, ${maxVersion}`,
      clientSide('fin'),
      async (stage) => {
        const client = await stage.dialRaw()
        await client.send(await stage.hello({ maxVersion }))
        await client.until(() => client.received > 0)
        // A ClientKeyExchange, where it is one.
        await client.send(Buffer.concat([begun(16, 37), bytes]))
        await client.ending()
        client.destroy()
        assert.match((await stage.end(0)).reason, /^client tls tls-(malformed|alert)$/)
        await stage.pair({ maxVersion })
      },
    )
  }

  tlsTest(
    `a server begins its ServerHello, then sends ${name}`,
    async (stage) => {
      const plain = await stage.plain()
      const tls = { ca: ca.certFile, serverName: 'back.example' }
      return { backend: { servers: { a: { address: `127.0.0.1:${plain.port}`, tls } } } }
    },
    async (stage) => {
      const plain = await stage.plain()
      for (let n = 0; n < 3; n++) {
        const client = await stage.dialRaw()
        const peer = await plain.accept()
        await peer.until(() => peer.received > 0)
        await peer.send(Buffer.concat([begun(2, 70), bytes]))
        await client.ending()
        assert.match((await stage.end(n)).reason, /^server tls-out tls-(malformed|alert)$/)
      }
    },
  )
}

const waiting: Record<string, [options: SiteOptions, expected: RegExp]> = {
  'an applet': [{ backend: { servers: { a: echo() } } }, /^client data tls-malformed$/],
  'a handshake rule that waits': [
    {
      frontend: {
        rules: { handshake: [{ name: 'patient', deadline: '60s', run: () => more() }] },
      },
    },
    /^client handshake tls-malformed$/,
  ],
}

for (const [name, [options, expected]] of Object.entries(waiting)) {
  tlsTest(
    `a client sends garbage behind its handshake to ${name}`,
    terminating({ cert: front.pemFile }, options),
    async (stage) => {
      for (const [n, maxVersion] of versions.entries()) {
        const relay = await stage.relay(stage.site.port)
        const client = await stage.dial({ maxVersion }, relay.port)
        await client.send('before')
        await stage.site.until(() => relay.bytes('up').length > 0, 'it is on its way')
        await delay(30)
        relay.inject('up', garbage)
        await client.ending()
        client.destroy()
        assert.match((await stage.end(n)).reason, expected)
      }
    },
  )

  tlsTest(
    `a client resets before ${name}`,
    terminating({ cert: front.pemFile }, options),
    async (stage) => {
      for (const [n, maxVersion] of versions.entries()) {
        const client = await stage.dial({ maxVersion })
        await client.send('before')
        await delay(30)
        client.reset()
        assert.match((await stage.end(n)).reason, /^client (data|handshake) reset$/)
      }
    },
  )
}
