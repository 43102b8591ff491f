import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseTlvs } from '#sluice/codec/proxy/tlv.js'
import type { EngineKind } from '#sluice/engine/engine.js'
import { readProxySsl } from '#sluice/policy.js'
import { certificateFolder } from '../support/certificates.js'
import { engineKinds } from '../support/engines.js'
import { type DialOptions, TlsPeer } from '../support/tls-peer.js'
import { serveNamed } from './servers.js'
import { root, runExample } from './support.js'

/** Made as the example says. */
const folder = certificateFolder()
execFileSync('sh', [join(root, 'examples/tls-policy/certificates.sh'), folder], { stdio: 'pipe' })

const read = (name: string) => readFileSync(join(folder, name))
const ca = read('ca.pem')
const identity = (name: string) => ({ cert: read(`${name}.pem`), key: read(`${name}.pem`) })
const denied = join(folder, 'denied.txt')

/** The example, and a way to be its client: what the server said, and the record of the session. */
async function start(t: TestContext, kind: EngineKind, fingerprints: readonly string[] = []) {
  writeFileSync(denied, ['# denied', ...fingerprints.map((ja4) => `${ja4} # a client`)].join('\n'))
  process.env.CERTIFICATES = folder
  process.env.DENIED = denied
  t.after(() => {
    delete process.env.CERTIFICATES
    delete process.env.DENIED
  })
  const servers = {
    'http1/a': await serveNamed(t, 'http1'),
    'http2/a': await serveNamed(t, 'http2'),
    'admin/a': await serveNamed(t, 'admin'),
  }
  const { proxy, record } = await runExample(t, kind, 'tls-policy', { servers })
  const port = proxy.addresses.https?.[0]?.port as number
  let n = 0
  return async (servername: string, options: DialOptions = {}) => {
    const verified = { rejectUnauthorized: true, ca, ...options }
    const { peer, error } = await TlsPeer.attempt(port, { servername, ...verified })
    let text = ''
    if (peer !== undefined) {
      t.after(() => peer.destroy())
      await peer.send('hello').catch(() => {})
      peer.fin()
      // One character a byte, which the server has written as UTF-8.
      if ((await peer.ending()) === 'fin') text = peer.rest().toString()
    }
    const { by, phase, code, rule, tls, backend } = await record(n++)
    return { text, error, reason: `${by}/${phase}/${code}`, rule, tls, backend }
  }
}

for (const kind of engineKinds) {
  test(`${kind}: names have their certificates, protocols their servers`, async (t) => {
    const ask = await start(t, kind)
    const plain = await ask('www.example.com')
    assert.match(plain.reason, /done$/)
    assert.equal(plain.text, 'http1:hello')
    const one = await ask('example.com', { ALPNProtocols: ['http/1.1'] })
    assert.deepEqual([one.text, one.tls?.alpn], ['http1:hello', 'http/1.1'])
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = {
        ALPNProtocols: ['h2', 'http/1.1'],
        minVersion: version,
        maxVersion: version,
      }
      const two = await ask('www.example.com', options)
      assert.deepEqual([two.text, two.rule], ['http2:hello', 'byProtocol'])
      assert.equal(two.tls?.version, version)
    }
  })

  test(`${kind}: a fingerprint on the list is turned away before the handshake`, async (t) => {
    const first = await start(t, kind)
    const ja4 = (await first('www.example.com')).tls?.ja4
    assert.match(String(ja4), /^t13d\d{4}00_[0-9a-f]{12}_[0-9a-f]{12}$/)
    const ask = await start(t, kind, ['t13d000000_000000000000_000000000000', String(ja4)])
    const turnedAway = await ask('www.example.com')
    assert.ok(turnedAway.error)
    assert.deepEqual(
      [turnedAway.reason, turnedAway.rule, turnedAway.tls?.version],
      ['policy/tls/rejected', 'deniedFingerprint', undefined],
    )
    // Another client: it offers a protocol.
    const other = await ask('www.example.com', { ALPNProtocols: ['http/1.1'] })
    assert.equal(other.text, 'http1:hello')
  })

  test(`${kind}: one name demands a certificate, and the server hears whose it was`, async (t) => {
    const ask = await start(t, kind)
    const alice = await ask('admin.example.com', { ...identity('alice'), ALPNProtocols: ['h2'] })
    assert.deepEqual([alice.backend, alice.tls?.clientCert], ['admin', 'alice'])
    // 'admin:', then the PROXY header: 16 bytes, 12 of addresses, TLVs.
    const got = Buffer.from(alice.text.slice('admin:'.length), 'latin1')
    const end = 16 + got.readUInt16BE(14)
    assert.equal(got.subarray(end).toString(), 'hello')
    const ssl = readProxySsl(parseTlvs(got.subarray(28, end)))
    const { commonName, version, ssl: secure, clientCert, verified } = ssl ?? {}
    assert.deepEqual([commonName, version], ['alice', 'TLSv1.3'])
    assert.deepEqual([secure, clientCert, verified], [true, true, true])
    assert.match(String(ssl?.cipher), /^TLS_/)
  })

  test(`${kind}: without a certificate, and with one that is not on the list`, async (t) => {
    const ask = await start(t, kind)
    const nobody = await ask('admin.example.com')
    assert.deepEqual([nobody.text, nobody.reason], ['', 'client/tls/tls-cert-missing'])
    const mallory = await ask('admin.example.com', identity('mallory'))
    assert.deepEqual([mallory.text, mallory.rule], ['', 'notOnTheList'])
    assert.equal(mallory.reason, 'policy/tls/rejected')
    // For other names nobody is asked for one.
    const free = await ask('www.example.com', identity('mallory'))
    assert.deepEqual([free.text, free.tls?.clientCert], ['http1:hello', undefined])
  })
}
