/** TLS towards servers: verification, names, protocols, certificates, resumption. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import type { UpstreamTlsConfig } from '#sluice/config/types.js'
import type { Connection } from '#sluice/policy.js'
import { type Issued, makeAuthority, selfSigned } from '../support/certificates.js'
import type { Peer } from '../support/peer.js'
import type { TlsPeer, TlsServer } from '../support/tls-peer.js'
import { type SiteOptions, type Stage, tlsTest } from '../support/tls-site.js'

const root = makeAuthority()
const middle = root.intermediate()
const strangers = makeAuthority()
const good = middle.issue({ names: ['back.example', '*.back.example', '127.0.0.1'] })
const nameOnly = middle.issue({ names: ['back.example'] })
const ca = root.certFile
const versions = ['TLSv1.2', 'TLSv1.3'] as const

let server: TlsServer

interface Options {
  issued?: Issued
  version?: (typeof versions)[number]
  /** Of the server. */
  options?: Parameters<Stage['server']>[1]
}

/** A TLS server with `issued`, and the proxy's server line with `tls`. */
function towards(tls: boolean | UpstreamTlsConfig, given: Options = {}) {
  const { issued = good, version, options } = given
  return async (stage: Stage): Promise<SiteOptions> => {
    server = await stage.server(issued, { ...(version && { maxVersion: version }), ...options })
    const a = { address: `127.0.0.1:${server.port}`, tls }
    return { backend: { servers: { a } } }
  }
}

/** A client with its session's server, once bytes went both ways. */
async function pair(stage: Stage): Promise<{ client: Peer; peer: TlsPeer }> {
  const client = await stage.dialRaw()
  await client.send('question')
  const peer = await server.accept()
  await peer.expect('question')
  await peer.send('answer')
  await client.expect('answer')
  return { client, peer }
}

/** A client whose server is refused, and why. */
async function refused(stage: Stage, n: number): Promise<string> {
  const client = await stage.dialRaw()
  await client.ending()
  assert.equal(client.received, 0)
  return (await stage.end(n)).reason
}

for (const version of versions) {
  tlsTest(
    `verified by the authority and the fixed name, ${version}`,
    towards({ ca, serverName: 'back.example' }, { version }),
    async (stage) => {
      const { client, peer } = await pair(stage)
      assert.deepEqual(server.asked, ['back.example'])
      assert.equal(peer.tls.getProtocol(), version)
      client.fin()
      peer.fin()
      const { code, serverTls, tls } = await stage.site.record(0)
      assert.equal(code, 'done')
      assert.equal(serverTls?.version, version)
      assert.equal(serverTls?.resumed, false)
      assert.match(serverTls?.cipher ?? '', /^TLS_/)
      assert.equal(tls, undefined)
    },
  )

  tlsTest(
    `sessions towards the server are resumed, ${version}`,
    towards({ ca, serverName: 'back.example' }, { version }),
    async (stage) => {
      const reused: boolean[] = []
      for (let i = 0; i < 4; i++) {
        const { client, peer } = await pair(stage)
        reused.push(peer.tls.isSessionReused())
        client.fin()
        peer.fin()
        assert.equal((await stage.site.record(i)).serverTls?.resumed, reused[i])
      }
      // A ticket may be good for one connection only, and node:tls gives out two.
      assert.deepEqual(reused.slice(0, 2), [false, true])
    },
  )

  tlsTest(
    `resumption: false makes a full handshake every time, ${version}`,
    towards({ ca, serverName: 'back.example', resumption: false }, { version }),
    async (stage) => {
      for (let i = 0; i < 3; i++) {
        const { client, peer } = await pair(stage)
        assert.equal(peer.tls.isSessionReused(), false)
        client.fin()
        peer.fin()
        await stage.site.record(i)
      }
    },
  )

  const ada = root.issue({ names: [], commonName: 'Ada', client: true })
  const demand = { requestCert: true, rejectUnauthorized: true, ca: root.cert }

  tlsTest(
    `a certificate for a server that asks, ${version}`,
    towards(
      { ca, serverName: 'back.example', cert: ada.chainFile, key: ada.keyFile },
      { version, options: demand },
    ),
    async (stage) => {
      const { peer } = await pair(stage)
      assert.equal(peer.tls.authorized, true)
      assert.equal(peer.shown, 'Ada')
    },
  )

  tlsTest(
    `no certificate for a server that asks, ${version}`,
    towards({ ca, serverName: 'back.example' }, { version, options: demand }),
    async (stage) => {
      const client = await stage.dialRaw()
      await client.ending()
      const { by, phase, code, alert } = await stage.site.record(0)
      // In TLS 1.3 the handshake is complete for the proxy when the server's alert comes.
      const phases = version === 'TLSv1.2' ? /^tls-out$/ : /^(tls-out|data|close)$/
      assert.match(phase, phases)
      assert.deepEqual([by, code], ['server', 'tls-alert'])
      const expected = version === 'TLSv1.2' ? 'handshake_failure' : 'certificate_required'
      assert.equal(alert, expected)
    },
  )
}

tlsTest(
  'the address is what is verified, where no name is given',
  towards({ ca }, { issued: middle.issue({ names: ['localhost'] }) }),
  async (stage) => {
    // The address is 127.0.0.1, for which that certificate is not.
    assert.equal(await refused(stage, 0), 'server tls-out tls-cert-name')
  },
)

tlsTest(
  'a server by host name',
  async (stage) => {
    server = await stage.server(middle.issue({ names: ['localhost'] }))
    const a = { address: `localhost:${server.port}`, tls: { ca } }
    return { backend: { servers: { a } } }
  },
  async (stage) => {
    await pair(stage)
    assert.deepEqual(server.asked, ['localhost'])
  },
)

tlsTest('a server by IP address: no name is sent', towards({ ca }), async (stage) => {
  await pair(stage)
  assert.deepEqual(server.asked, [''])
})

tlsTest(
  'the name comes from policy for each connection',
  async (stage) => {
    const serverName = (conn: Connection) => conn.vars.name as string | undefined
    const options = await towards({ ca, serverName })(stage)
    const names = ['one.back.example', 'two.back.example', undefined, 'wrong.example']
    let n = 0
    const session = [() => ({ kind: 'setVar', name: 'name', value: names[n++] }) as const]
    return { ...options, frontend: { rules: { session } } }
  },
  async (stage) => {
    for (let i = 0; i < 3; i++) await pair(stage)
    // Without an answer it is the address.
    assert.deepEqual(server.asked, ['one.back.example', 'two.back.example', ''])
    assert.equal(await refused(stage, 0), 'server tls-out tls-cert-name')
  },
)

const front = makeAuthority().issue({ names: ['front.example'] })
tlsTest(
  'TLS on both sides: the name that the client asked for is asked of the server',
  async (stage) => {
    const serverName = (conn: Connection) => conn.tls?.serverName
    const options = await towards({ ca, serverName })(stage)
    const bind = { address: '127.0.0.1:0', tls: { cert: front.pemFile } }
    return { ...options, frontend: { bind } }
  },
  async (stage) => {
    for (const [n, servername] of ['x.back.example', 'y.back.example'].entries()) {
      const client = await stage.dial({ servername })
      await client.send('through')
      const peer = await server.accept()
      await peer.expect('through')
      assert.equal(server.asked[n], servername)
      client.fin()
      peer.fin()
      const { tls, serverTls, code } = await stage.site.record(n)
      assert.equal(code, 'done')
      assert.equal(tls?.serverName, servername)
      assert.equal(tls?.version, 'TLSv1.3')
      assert.equal(serverTls?.version, 'TLSv1.3')
    }
    const client = await stage.dial({ servername: 'stranger.example' })
    await client.ending()
    assert.equal((await stage.end(2)).reason, 'server tls-out tls-cert-name')
  },
)

for (const [expected, issued] of Object.entries({
  'tls-cert-expired': middle.issue({ names: ['back.example'], from: -9, days: -1 }),
  'tls-cert-name': middle.issue({ names: ['other.example'] }),
  'tls-cert-untrusted': strangers.issue({ names: ['back.example'] }),
  'tls-cert-invalid': middle.issue({ names: ['back.example'], client: true }),
})) {
  for (const version of versions) {
    tlsTest(
      `a server's certificate that is no good: ${expected}, ${version}`,
      towards({ ca, serverName: 'back.example' }, { issued, version }),
      async (stage) => {
        assert.equal(await refused(stage, 0), `server tls-out ${expected}`)
        // node:tls looks at the certificate when the handshake is over: too late for an alert.
        if (stage.kind === 'js') return
        await stage.site.until(() => server.errors.length > 0, 'the server gets an alert')
      },
    )
  }
}

tlsTest(
  'a self-signed certificate',
  towards({ ca, serverName: 'back.example' }, { issued: selfSigned({ names: ['back.example'] }) }),
  async (stage) => {
    assert.equal(await refused(stage, 0), 'server tls-out tls-cert-untrusted')
  },
)

tlsTest(
  'a chain without its intermediate authority',
  towards({ ca, serverName: 'back.example' }, { options: { cert: good.cert } }),
  async (stage) => {
    assert.equal(await refused(stage, 0), 'server tls-out tls-cert-untrusted')
  },
)

tlsTest(
  'a revoked certificate of a server, and one that is not',
  async (stage) => {
    const bad = root.issue({ names: ['back.example'], commonName: 'revoked' })
    root.revoke(bad)
    root.crl()
    const fine = root.issue({ names: ['back.example'], commonName: 'fine' })
    const first = await stage.server(bad)
    server = await stage.server(fine)
    const tls = { ca, crl: root.crlFile, serverName: 'back.example' }
    return {
      backend: {
        servers: {
          bad: { address: `127.0.0.1:${first.port}`, tls },
          fine: { address: `127.0.0.1:${server.port}`, tls },
        },
        retries: 0,
      },
    }
  },
  async (stage) => {
    assert.equal(await refused(stage, 0), 'server tls-out tls-cert-revoked')
    await pair(stage)
  },
)

tlsTest(
  'verify none takes any certificate, and says so',
  towards(
    { verify: 'none', serverName: 'back.example' },
    { issued: strangers.issue({ names: ['x.example'], from: -9, days: -1 }) },
  ),
  async (stage) => {
    await pair(stage)
    assert.deepEqual(server.asked, ['back.example'])
    const said = stage.site.lines.filter(({ level, msg }) => level >= 40 && /verif/i.test(msg))
    assert.ok(said.length > 0, 'nothing in the log says that servers are not verified')
  },
)

tlsTest(
  'ALPN towards the server',
  towards(
    { ca, serverName: 'back.example', alpn: ['h2', 'http/1.1'] },
    { options: { ALPNProtocols: ['http/1.1'] } },
  ),
  async (stage) => {
    const { peer } = await pair(stage)
    assert.equal(peer.tls.alpnProtocol, 'http/1.1')
  },
)

tlsTest(
  'ALPN that the server has nothing of',
  towards(
    { ca, serverName: 'back.example', alpn: ['h2'] },
    { options: { ALPNProtocols: ['http/1.1'] } },
  ),
  async (stage) => {
    assert.match(await refused(stage, 0), /^server tls-out tls-(alert|alpn)$/)
  },
)

tlsTest(
  'versions and ciphers towards the server',
  towards({
    ca,
    serverName: 'back.example',
    maxVersion: 'TLSv1.2',
    ciphers: ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'],
  }),
  async (stage) => {
    const { peer } = await pair(stage)
    assert.equal(peer.tls.getProtocol(), 'TLSv1.2')
    const { standardName } = peer.tls.getCipher()
    assert.equal(standardName, 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384')
  },
)

tlsTest(
  'a version that the server does not have',
  towards({ ca, serverName: 'back.example', minVersion: 'TLSv1.3' }, { version: 'TLSv1.2' }),
  async (stage) => {
    assert.match(await refused(stage, 0), /^server tls-out tls-(alert|version)$/)
  },
)

tlsTest(
  'a failed handshake takes the next server',
  async (stage) => {
    const wrong = await stage.server(strangers.issue({ names: ['back.example'] }))
    server = await stage.server(nameOnly)
    const tls = { ca, serverName: 'back.example' }
    return {
      backend: {
        servers: {
          wrong: { address: `127.0.0.1:${wrong.port}`, tls },
          right: { address: `127.0.0.1:${server.port}`, tls },
        },
        balance: 'first',
        retries: 1,
        retryDelay: '10ms',
      },
    }
  },
  async (stage) => {
    const { client, peer } = await pair(stage)
    client.fin()
    peer.fin()
    const record = await stage.site.record(0)
    assert.equal(record.server, 'right')
    assert.equal(record.retries, 1)
  },
)

tlsTest(
  'the server sees the certificate the configuration names, also without an authority',
  async (stage) => {
    const own = selfSigned({ names: ['proxy.example'], client: true })
    const options = { requestCert: true, rejectUnauthorized: false }
    const tls = { ca, serverName: 'back.example', cert: own.pemFile }
    return towards(tls, { options })(stage)
  },
  async (stage) => {
    const { peer } = await pair(stage)
    const raw = peer.tls.getPeerX509Certificate()?.raw
    assert.ok(raw && new X509Certificate(raw).subject === 'CN=proxy.example')
  },
)
