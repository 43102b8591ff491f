/** TLS towards clients: which certificate, version, cipher and protocol a client gets. */

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectionOptions, connect } from 'node:tls'
import type { DownstreamTlsConfig } from '#sluice/config/types.js'
import type { TlsInfo } from '#sluice/policy/types.js'
import { certificateFolder, makeAuthority } from '../support/certificates.js'
import type { DialOptions } from '../support/tls-peer.js'
import { type Stage, terminating, tlsTest } from '../support/tls-site.js'

const root = makeAuthority()
const ca = root.intermediate()
const a = ca.issue({ names: ['a.example'] })
const wild = ca.issue({ names: ['*.wild.example'] })
const exact = ca.issue({ names: ['exact.wild.example'] })
const other = ca.issue({ names: ['other.example', 'third.example'] })
const rsa = ca.issue({ names: ['a.example'], commonName: 'a.example RSA', key: 'rsa' })
const ec384 = ca.issue({ names: ['p384.example'], key: 'ec384' })
const byAddress = ca.issue({ names: ['127.0.0.1'] })

const pems = (...issued: { pemFile: string }[]) => issued.map(({ pemFile }) => pemFile)

/** Common name of the certificate that a client gets; '' where it is refused. */
async function shown(stage: Stage, options: DialOptions): Promise<string> {
  const { peer } = await stage.attempt(options)
  return peer?.shown ?? ''
}

tlsTest(
  'the certificate follows the server name',
  terminating({ cert: pems(a, wild, exact, other, ec384, byAddress) }),
  async (stage) => {
    const wanted: [name: string | undefined, commonName: string][] = [
      ['a.example', 'a.example'],
      ['A.Example', 'a.example'],
      ['x.wild.example', '*.wild.example'],
      ['exact.wild.example', 'exact.wild.example'],
      // A star stands for one label.
      ['x.y.wild.example', 'a.example'],
      ['wild.example', 'a.example'],
      ['other.example', 'other.example'],
      ['third.example', 'other.example'],
      ['p384.example', 'p384.example'],
      ['nobody.example', 'a.example'],
      [undefined, 'a.example'],
    ]
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      for (const [servername, commonName] of wanted) {
        const options = { ...(servername && { servername }), maxVersion: version }
        assert.equal(await shown(stage, options), commonName, `${servername} in ${version}`)
      }
    }
  },
)

tlsTest(
  'the chain that is sent leads to the root',
  terminating({ cert: pems(a) }),
  async (stage) => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const verify = { ca: root.cert, rejectUnauthorized: true, servername: 'a.example' }
      const peer = await stage.dial({ ...verify, maxVersion })
      assert.equal(peer.tls.authorized, true)
    }
  },
)

tlsTest(
  'strictSni refuses names without a certificate',
  terminating({ cert: pems(a, wild), strictSni: true }),
  async (stage) => {
    const refused = [{ servername: 'nobody.example' }, {}]
    for (const [n, options] of refused.entries()) {
      assert.equal(await shown(stage, options), '')
      assert.equal((await stage.end(n)).reason, 'client tls tls-no-certificate')
    }
    assert.equal(await shown(stage, { servername: 'a.example' }), 'a.example')
    assert.equal(await shown(stage, { servername: 'b.wild.example' }), '*.wild.example')
  },
)

tlsTest(
  'chain and key in one file, in two, and in a directory with OCSP responses',
  () => {
    const folder = certificateFolder()
    mkdirSync(join(folder, 'certs'))
    const put = (name: string, content: string | Buffer) => {
      writeFileSync(join(folder, 'certs', name), content)
    }
    put('one.pem', wild.chain + wild.key)
    put('two.crt', other.chain)
    put('two.key', other.key)
    put('two.ocsp', ca.ocsp(other))
    put('README', 'no certificate')
    return terminating({
      cert: join(folder, 'certs'),
      certificates: [{ cert: exact.chainFile, key: exact.keyFile }, { cert: a.pemFile }],
    })
  },
  async (stage) => {
    const names = ['a.example', 'exact.wild.example', 'x.wild.example', 'third.example']
    const got = await Promise.all(names.map((servername) => shown(stage, { servername })))
    assert.deepEqual(got, ['a.example', 'exact.wild.example', '*.wild.example', 'other.example'])
    assert.ok(await staple(stage, 'other.example'))
    assert.equal(await staple(stage, 'a.example'), undefined)
  },
)

/** The OCSP response that comes with the certificate. */
function staple(stage: Stage, servername: string): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const { port } = stage.site
    const options = { port, host: '127.0.0.1', servername, rejectUnauthorized: false }
    const tls = connect({ ...options, requestOCSP: true } as ConnectionOptions)
    tls.on('error', reject)
    // Without a staple it comes with null.
    tls.on('OCSPResponse', (response: Buffer | null) => {
      resolve(response && response.length > 0 ? response : undefined)
      tls.destroy()
    })
    tls.on('secureConnect', () => setImmediate(() => resolve(undefined)))
  })
}

tlsTest(
  'an OCSP response is stapled as it is in its file',
  () => {
    writeFileSync(join(a.folder, 'staple.ocsp'), ca.ocsp(a))
    return terminating({ cert: a.pemFile, ocsp: join(a.folder, 'staple.ocsp') })
  },
  async (stage) => {
    const response = await staple(stage, 'a.example')
    assert.ok(response?.equals(readFileSync(join(a.folder, 'staple.ocsp'))))
  },
)

for (const [first, second] of [
  [a, rsa],
  [rsa, a],
] as const) {
  const order = first === a ? 'ECDSA, RSA' : 'RSA, ECDSA'
  tlsTest(
    `RSA and ECDSA side by side, written as ${order}`,
    terminating({ cert: pems(first, second) }),
    async (stage) => {
      const ecdsa = 'ecdsa_secp256r1_sha256'
      const pss = 'rsa_pss_rsae_sha256'
      const cases: [options: DialOptions, type: string][] = [
        [{ sigalgs: ecdsa }, 'ec'],
        [{ sigalgs: pss }, 'rsa'],
        [{ sigalgs: ecdsa, maxVersion: 'TLSv1.2' }, 'ec'],
        [{ sigalgs: pss, maxVersion: 'TLSv1.2' }, 'rsa'],
        [{ ciphers: 'ECDHE-RSA-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' }, 'rsa'],
        [{ ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' }, 'ec'],
      ]
      for (const [options, type] of cases) {
        const peer = await stage.dial({ servername: 'a.example', ...options })
        const key = peer.tls.getPeerX509Certificate()?.publicKey
        assert.equal(key?.asymmetricKeyType, type, JSON.stringify(options))
      }
    },
  )
}

/** A test with an established rule that keeps what it saw. */
function infoTest(
  name: string,
  tls: DownstreamTlsConfig,
  run: (stage: Stage, seen: TlsInfo[]) => Promise<void>,
): void {
  const seen: TlsInfo[] = []
  tlsTest(
    name,
    () => {
      seen.length = 0
      const secured = [(conn: { tls: TlsInfo }) => void seen.push({ ...copy(conn.tls) })]
      return terminating(tls, { frontend: { rules: { secured } } })
    },
    (stage) => run(stage, seen),
  )
}

/** Read while the rule runs. */
function copy(tls: TlsInfo): TlsInfo {
  const { version, cipher, serverName, alpn, resumed, verified, peerCertificate, ja4 } = tls
  return { version, cipher, serverName, alpn, resumed, verified, peerCertificate, ja4 }
}

infoTest(
  'ALPN takes what the proxy prefers',
  { cert: a.pemFile, alpn: ['h2', 'http/1.1'] },
  async (stage, seen) => {
    const offers: [offered: string[] | undefined, chosen: string][] = [
      [['http/1.1', 'h2'], 'h2'],
      [['http/1.1'], 'http/1.1'],
      [['spdy/3', 'http/1.1'], 'http/1.1'],
      [undefined, ''],
    ]
    for (const [ALPNProtocols, chosen] of offers) {
      const { client } = await stage.pair(ALPNProtocols ? { ALPNProtocols } : {})
      assert.equal(client.tls.alpnProtocol || '', chosen)
    }
    assert.deepEqual(
      seen.map(({ alpn }) => alpn),
      offers.map(([, chosen]) => chosen),
    )
    const { peer } = await stage.attempt({ ALPNProtocols: ['spdy/3'] })
    assert.equal(peer, undefined)
    assert.equal((await stage.end(0)).reason, 'client tls tls-alpn')
  },
)

infoTest(
  'without ALPN in the configuration an offer is passed over',
  { cert: a.pemFile },
  async (stage, seen) => {
    const { client } = await stage.pair({ ALPNProtocols: ['h2'] })
    assert.ok(!client.tls.alpnProtocol)
    assert.equal(seen[0]?.alpn, '')
  },
)

const allVersions = ['TLSv1.2', 'TLSv1.3'] as const
for (const minVersion of allVersions) {
  for (const maxVersion of allVersions) {
    if (minVersion > maxVersion) continue
    infoTest(
      `versions from ${minVersion} to ${maxVersion}`,
      { cert: a.pemFile, minVersion, maxVersion },
      async (stage, seen) => {
        const highest = await stage.pair()
        assert.equal(highest.client.tls.getProtocol(), maxVersion)
        assert.equal(seen.at(-1)?.version, maxVersion)
        let n = 0
        for (const version of allVersions) {
          const only = { minVersion: version, maxVersion: version }
          const { peer } = await stage.attempt(only)
          if (version >= minVersion && version <= maxVersion) {
            assert.equal(peer?.tls.getProtocol(), version)
          } else {
            assert.equal(peer, undefined)
            assert.equal((await stage.end(n++)).reason, 'client tls tls-version')
          }
        }
        const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' } as const
        const { peer } = await stage.attempt({ ...old, ciphers: 'DEFAULT@SECLEVEL=0' })
        assert.equal(peer, undefined)
        assert.equal((await stage.end(n)).reason, 'client tls tls-version')
      },
    )
  }
}

const suites: [iana: string, openssl: string, version: 'TLSv1.2' | 'TLSv1.3'][] = [
  ['TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256', 'TLSv1.3'],
  ['TLS_AES_256_GCM_SHA384', 'TLS_AES_256_GCM_SHA384', 'TLSv1.3'],
  ['TLS_CHACHA20_POLY1305_SHA256', 'TLS_CHACHA20_POLY1305_SHA256', 'TLSv1.3'],
  ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256', 'TLSv1.2'],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'TLSv1.2'],
  ['TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'TLSv1.2'],
  ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'TLSv1.2'],
  ['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384', 'TLSv1.2'],
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305', 'TLSv1.2'],
]

infoTest('every cipher suite', { cert: pems(a, rsa) }, async (stage, seen) => {
  for (const [iana, ciphers, version] of suites) {
    const { client } = await stage.pair({ ciphers, maxVersion: version, minVersion: version })
    assert.equal(client.tls.getCipher().standardName, iana)
    assert.equal(seen.at(-1)?.cipher, iana)
    assert.equal(seen.at(-1)?.version, version)
  }
})

for (const [iana, , version] of suites) {
  if (iana.includes('_RSA_')) continue
  infoTest(
    `the cipher suite ${iana} alone`,
    { cert: a.pemFile, ciphers: [iana], minVersion: version, maxVersion: version },
    async (stage, seen) => {
      await stage.pair()
      assert.equal(seen[0]?.cipher, iana)
      const lacking = suites.filter((suite) => suite[2] === version && suite[0] !== iana)
      const ciphers = lacking.map(([, name]) => name).join(':')
      const { peer } = await stage.attempt({ ciphers })
      assert.equal(peer, undefined)
      assert.equal((await stage.end(0)).reason, 'client tls tls-cipher')
    },
  )
}

infoTest(
  'key exchange groups: those that are configured, and no others',
  // An ECDSA certificate would want its own curve among the client's groups in TLS 1.2.
  { cert: rsa.pemFile, groups: ['secp384r1'] },
  async (stage) => {
    const { client } = await stage.pair({ ecdhCurve: 'X25519:P-384', maxVersion: 'TLSv1.2' })
    assert.deepEqual(client.tls.getEphemeralKeyInfo(), {
      type: 'ECDH',
      name: 'secp384r1',
      size: 384,
    })
    // In TLS 1.3 the client is asked to try again with the other group.
    await stage.pair({ ecdhCurve: 'X25519:P-384' })
    for (const [n, maxVersion] of (['TLSv1.2', 'TLSv1.3'] as const).entries()) {
      const { peer } = await stage.attempt({ ecdhCurve: 'X25519', maxVersion })
      assert.equal(peer, undefined)
      assert.equal((await stage.end(n)).reason, 'client tls tls-cipher')
    }
  },
)

tlsTest('no signature scheme in common', terminating({ cert: a.pemFile }), async (stage) => {
  for (const [n, maxVersion] of (['TLSv1.2', 'TLSv1.3'] as const).entries()) {
    const { peer } = await stage.attempt({ sigalgs: 'rsa_pss_rsae_sha256', maxVersion })
    assert.equal(peer, undefined)
    assert.equal((await stage.end(n)).reason, 'client tls tls-cipher')
  }
})

infoTest('the fields of a connection', { cert: pems(a) }, async (stage, seen) => {
  await stage.pair({ servername: 'A.example' })
  await stage.pair()
  const [named, nameless] = seen
  assert.equal(named?.serverName, 'a.example')
  assert.equal(nameless?.serverName, '')
  assert.equal(named?.version, 'TLSv1.3')
  assert.equal(named?.resumed, false)
  assert.equal(named?.verified, false)
  assert.equal(named?.peerCertificate, undefined)
  assert.match(named?.ja4 ?? '', /^t13d\d{4}00_[0-9a-f]{12}_[0-9a-f]{12}$/)
  assert.match(nameless?.ja4 ?? '', /^t13i\d{4}00_[0-9a-f]{12}_[0-9a-f]{12}$/)
})
