/** Policy on TLS: what rules on the ClientHello and on the finished handshake may do. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClientHello } from '#sluice/codec/tls/client-hello.js'
import {
  accept,
  type Connection,
  echo,
  type Rule,
  type RuleAnswer,
  reject,
  setVar,
  staticReply,
  useBackend,
} from '#sluice/policy.js'
import { makeAuthority } from '../support/certificates.js'
import { type SiteOptions, type Stage, terminating, tlsTest } from '../support/tls-site.js'

type HelloConnection = Connection & { readonly hello: ClientHello }
type HelloRule = Rule<HelloConnection>

const ca = makeAuthority()
const a = ca.issue({ names: ['a.example'] })
const b = ca.issue({ names: ['b.example'] })
const ada = ca.issue({ names: ['ada.example'], commonName: 'Ada', client: true })
const bob = ca.issue({ names: ['bob.example'], commonName: 'Bob', client: true })
const tls = { cert: [a.pemFile, b.pemFile], ca: ca.certFile }
const adas = { cert: ada.chain, key: ada.key }
const bobs = { cert: bob.chain, key: bob.key }

function deciding(rules: HelloRule[], more: SiteOptions = {}): SiteOptions {
  return terminating(tls, {
    ...more,
    frontend: { rules: { clientHello: rules }, ...more.frontend },
  })
}

/** The rule as it is, and the same as promises that take a while. */
function modes(rule: (conn: HelloConnection) => RuleAnswer): [name: string, rule: HelloRule][] {
  return [
    ['at once', rule],
    ['by promise', async (conn) => rule(conn)],
    [
      'after a while',
      async (conn) => {
        await delay(20)
        return rule(conn)
      },
    ],
  ]
}

for (const [how, rule] of modes(({ hello }) =>
  hello.serverName === 'c.example' ? { kind: 'useCertificate', name: 'b.example' } : undefined,
)) {
  tlsTest(`a rule chooses the certificate, ${how}`, deciding([rule]), async (stage) => {
    assert.equal((await stage.dial({ servername: 'a.example' })).shown, 'a.example')
    assert.equal((await stage.dial({ servername: 'c.example' })).shown, 'b.example')
  })
}

const backends = {
  app: { servers: { a: staticReply('app') } },
  other: { servers: { a: staticReply('other') } },
  third: { servers: { a: staticReply('third') } },
}

for (const [how, rule] of modes(({ hello }) =>
  hello.alpn.includes('other') ? useBackend('other') : undefined,
)) {
  tlsTest(
    `a rule chooses the backend by ALPN, ${how}`,
    deciding([rule], { config: { backends } }),
    async (stage) => {
      assert.equal((await (await stage.dial()).readToEnd()).toString(), 'app')
      const client = await stage.dial({ ALPNProtocols: ['other'] })
      assert.equal((await client.readToEnd()).toString(), 'other')
    },
  )
}

for (const [how, rule] of modes(({ hello }) => {
  const demand = hello.serverName === 'b.example' ? 'required' : 'none'
  return { kind: 'clientCert', demand }
})) {
  tlsTest(`a rule demands a client certificate, ${how}`, deciding([rule]), async (stage) => {
    for (const [n, maxVersion] of (['TLSv1.2', 'TLSv1.3'] as const).entries()) {
      await stage.pair({ servername: 'a.example', maxVersion })
      await stage.pair({ servername: 'b.example', maxVersion, ...adas })
      const { peer } = await stage.attempt({ servername: 'b.example', maxVersion })
      await peer?.ending()
      peer?.destroy()
      assert.equal((await stage.end(n)).reason, 'client tls tls-cert-missing')
    }
  })
}

tlsTest(
  'a rule takes the demand back',
  terminating(
    { ...tls, clientCert: 'required' },
    {
      frontend: {
        rules: {
          clientHello: [
            ({ hello }) =>
              hello.serverName === 'b.example' ? { kind: 'clientCert', demand: 'none' } : undefined,
          ],
        },
      },
    },
  ),
  async (stage) => {
    const open = await stage.pair({ servername: 'b.example' })
    const session = await open.client.session()
    // The open session opens nothing where a certificate is demanded.
    const { peer } = await stage.attempt({ servername: 'a.example', session })
    await peer?.ending()
    peer?.destroy()
    assert.equal((await stage.end(0)).reason, 'client tls tls-cert-missing')
    await stage.pair({ servername: 'a.example', ...adas })
  },
)

for (const [how, rule] of modes(({ hello }) =>
  hello.ja4.startsWith('t12') ? reject() : reject({ reset: true }),
)) {
  tlsTest(`a rule rejects by the fingerprint, ${how}`, deciding([rule]), async (stage) => {
    for (const [n, maxVersion] of (['TLSv1.2', 'TLSv1.3'] as const).entries()) {
      const { peer, error } = await stage.attempt({ maxVersion })
      assert.equal(peer, undefined)
      if (maxVersion === 'TLSv1.3') assert.equal(error, 'ECONNRESET')
      const record = await stage.site.record(n)
      assert.deepEqual([record.by, record.phase, record.code], ['policy', 'tls', 'rejected'])
      assert.match(record.tls?.ja4 ?? '', /^t1[23]i/)
    }
  })
}

tlsTest(
  'what a client offers',
  () => {
    const look: HelloRule = ({ hello }) => {
      const { serverName, alpn, versions, ciphers, groups, signatureSchemes, extensions } = hello
      assert.equal(serverName, 'a.example')
      assert.deepEqual(alpn, ['h2', 'x'])
      assert.ok(versions.includes(0x0304) && versions.includes(0x0303))
      assert.ok(ciphers.includes(0x1301))
      assert.ok(groups.includes(0x001d))
      assert.ok(signatureSchemes.includes(0x0403))
      assert.ok(extensions.includes(0))
      assert.match(hello.ja4, /^t13d\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}$/)
      return accept()
    }
    return deciding([look, reject()])
  },
  async (stage) => {
    await stage.dial({ servername: 'a.example', ALPNProtocols: ['h2', 'x'] })
  },
)

const never: HelloRule = () => new Promise(() => {})

for (const [name, rules, config] of [
  ['of the configuration', [never], { global: { verdictTimeout: '200ms' } }],
  ['of the rule', [{ name: 'slow', run: () => new Promise(() => {}), deadline: '100ms' }], {}],
] as [string, HelloRule[], SiteOptions['config']][]) {
  tlsTest(
    `a rule that answers after the deadline ${name}`,
    deciding(rules, config ? { config } : {}),
    async (stage) => {
      const { peer } = await stage.attempt()
      assert.equal(peer, undefined)
      assert.equal((await stage.end(0)).reason, 'timeout tls verdict-timeout')
    },
    { failing: true },
  )
}

const defect = () => {
  throw new Error('a defect of the rule')
}

for (const [how, run] of [
  ['throws', defect],
  ['rejects', async () => defect()],
  ['answers nonsense', () => ({ kind: 'nonsense' }) as never],
] as const) {
  tlsTest(
    `a rule that ${how} closes its connection alone`,
    deciding([(conn) => (conn.hello.serverName === 'b.example' ? run() : undefined)]),
    async (stage) => {
      const { peer } = await stage.attempt({ servername: 'b.example' })
      assert.equal(peer, undefined)
      assert.equal((await stage.end(0)).reason, 'policy tls policy-error')
      await stage.pair({ servername: 'a.example' })
    },
    { failing: true },
  )
}

for (const [how, run] of [
  ['throws', defect],
  ['is late', () => new Promise<undefined>(() => {})],
] as const) {
  tlsTest(
    `a rule that ${how} and may: the client is served all the same`,
    deciding([{ name: 'weak', run, deadline: '100ms', onError: 'open' }]),
    async (stage) => {
      const { client } = await stage.pair({ servername: 'b.example' })
      assert.equal(client.shown, 'b.example')
    },
    { failing: true },
  )
}

tlsTest(
  'a client that leaves while a rule thinks',
  deciding([
    async () => {
      await delay(50)
      return undefined
    },
  ]),
  async (stage) => {
    for (let n = 0; n < 3; n++) {
      const client = await stage.dialRaw()
      await client.send(await stage.hello())
      await delay(20)
      client.reset()
      assert.equal((await stage.end(n)).reason, 'client tls reset')
    }
    await stage.pair()
  },
)

for (const [how, rule] of [
  ['at once', (name: string) => (name === 'Ada' ? undefined : reject())],
  [
    'after a while',
    (name: string) => delay(20).then(() => (name === 'Ada' ? undefined : reject())),
  ],
] as const) {
  tlsTest(
    `a rule on the finished handshake rejects by the certificate, ${how}`,
    terminating(
      { ...tls, clientCert: 'required' },
      {
        frontend: {
          rules: {
            secured: [(conn) => rule(conn.tls.peerCertificate?.commonName ?? '')],
          },
        },
      },
    ),
    async (stage) => {
      for (const [n, maxVersion] of (['TLSv1.2', 'TLSv1.3'] as const).entries()) {
        const client = await stage.dial({ ...bobs, maxVersion })
        await client.ending()
        client.destroy()
        const record = await stage.site.record(n)
        assert.deepEqual([record.by, record.code], ['policy', 'rejected'])
        assert.equal(record.tls?.clientCert, 'Bob')
        await stage.pair({ ...adas, maxVersion })
      }
      assert.equal(stage.site.upstream.all.length, 2)
    },
  )
}

tlsTest(
  'a rule on the finished handshake throws',
  terminating(tls, { frontend: { rules: { secured: [defect] } } }),
  async (stage) => {
    const client = await stage.dial()
    await client.ending()
    const { by, code } = await stage.site.record(0)
    assert.deepEqual([by, code], ['policy', 'policy-error'])
  },
  { failing: true },
)

tlsTest(
  'fields and variables of TLS reach later rules, the choice of a server and the log',
  terminating(
    { ...tls, alpn: ['x'], clientCert: 'optional' },
    {
      frontend: {
        rules: {
          clientHello: [
            ({ hello }) => setVar('asked', hello.serverName),
            ({ hello }) => {
              assert.ok(hello.ja4)
            },
          ],
          secured: [(conn) => setVar('who', conn.tls.peerCertificate?.commonName)],
          session: [
            (conn) => {
              assert.equal(conn.vars.asked, 'a.example')
              assert.equal(conn.vars.who, 'Ada')
              assert.equal(conn.tls?.alpn, 'x')
              return useBackend(conn.tls?.verified ? 'known' : 'app')
            },
          ],
        },
      },
      config: {
        backends: {
          app: { servers: { a: '127.0.0.1:1' } },
          known: {
            balance: { algorithm: 'hash', key: (conn) => conn.tls?.serverName ?? '' },
            servers: { one: echo(), two: echo() },
          },
        },
      },
    },
  ),
  async (stage) => {
    const options = { servername: 'a.example', ALPNProtocols: ['x'], ...adas }
    const client = await stage.dial(options)
    await client.send('hello')
    await client.expect('hello')
    const cipher = client.tls.getCipher().standardName
    client.fin()
    await client.ending()
    const record = await stage.site.record(0)
    const { ja4, ...rest } = record.tls ?? { serverName: '' }
    assert.deepEqual(rest, {
      version: 'TLSv1.3',
      cipher,
      serverName: 'a.example',
      alpn: 'x',
      resumed: false,
      clientCert: 'Ada',
    })
    assert.match(ja4 ?? '', /^t13d/)
    const line = stage.site.lines.find(({ event }) => event === 'session')
    assert.deepEqual(line?.tls, record.tls)
  },
)

tlsTest('of a handshake that fails the name is told', deciding([]), async (stage) => {
  const old = { servername: 'a.example', sigalgs: 'rsa_pss_rsae_sha256' }
  const { peer } = await stage.attempt(old)
  assert.equal(peer, undefined)
  const { tls: told } = await stage.site.record(0)
  assert.equal(told?.serverName, 'a.example')
  assert.equal(told?.version, undefined)
})

/** A client that has sent its ClientHello, has its answer and stays silent. */
async function stalling(stage: Stage): Promise<{ destroy(): void }> {
  const client = await stage.dialRaw()
  await client.send(await stage.hello())
  await client.until(() => client.received > 0)
  return client
}

for (const bound of [
  { concurrent: 1 },
  { total: 1 },
  { concurrent: 8 },
  { concurrent: 9, total: 5 },
]) {
  const name = JSON.stringify(bound)
  const limited = () =>
    terminating(tls, {
      config: { global: { maxconn: 500, tlsHandshakes: { ...bound, queue: 64 } } },
    })

  tlsTest(
    `clients that stall in their handshake hold nobody up, ${name}`,
    limited(),
    async (stage) => {
      const stalled: { destroy(): void }[] = []
      for (let i = 0; i < 300; i++) stalled.push(await stalling(stage))
      for (let i = 0; i < 20; i++) {
        const { client, server } = await stage.pair()
        client.destroy()
        server.destroy()
      }
      for (const one of stalled) one.destroy()
    },
  )

  tlsTest(`many come at once, ${name}`, limited(), async (stage) => {
    const peers = await Promise.all(Array.from({ length: 60 }, () => stage.dial()))
    for (const [n, peer] of peers.entries()) await peer.send(`${n}`)
    await stage.site.until(() => stage.site.upstream.all.length === 60, 'all are served')
  })
}

for (const servername of ['a.example:443', '*.a.example', 'a..example', '-x-.w.example', '::1']) {
  tlsTest(`a name that is no host name: ${servername}`, terminating(tls), async (stage) => {
    const { peer } = await stage.attempt({ servername })
    if (stage.kind === 'native' && servername !== '::1') {
      // rustls does not serve it.
      assert.equal(peer, undefined)
      assert.equal((await stage.end(0)).reason, 'client tls tls-no-certificate')
    } else {
      assert.ok(peer)
      peer.destroy()
    }
    assert.equal((await stage.site.record(0)).tls?.serverName, servername)
  })
}
