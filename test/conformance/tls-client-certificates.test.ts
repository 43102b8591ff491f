/** Client certificates: none, optional, required, by authority, by revocation list. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import type { DownstreamTlsConfig } from '#sluice/config/types.js'
import type { TlsInfo } from '#sluice/policy/types.js'
import { type Issued, makeAuthority, selfSigned } from '../support/certificates.js'
import type { DialOptions } from '../support/tls-peer.js'
import { type Stage, terminating, tlsTest } from '../support/tls-site.js'

const servers = makeAuthority('Servers')
const site = servers.issue({ names: ['a.example'] })
const second = servers.issue({ names: ['b.example'] })

const clients = makeAuthority('Clients')
const teams = clients.intermediate('Teams')
const ada = clients.issue({ names: ['ada.example', '10.0.0.1'], commonName: 'Ada', client: true })
const team = teams.issue({ names: ['team.example'], commonName: 'Team', client: true })
const revoked = clients.issue({ names: [], commonName: 'Revoked', client: true })
const expired = clients.issue({ names: [], commonName: 'Old', client: true, from: -9, days: -1 })
const early = clients.issue({ names: [], commonName: 'Early', client: true, from: 5 })
const wrongUse = clients.issue({ names: ['srv.example'], commonName: 'Server' })
const strangers = makeAuthority('Clients')
const stranger = strangers.issue({ names: [], commonName: 'Stranger', client: true })
const alone = selfSigned({ names: ['alone.example'], commonName: 'Alone', client: true })
clients.revoke(revoked)
clients.crl()

const versions = ['TLSv1.2', 'TLSv1.3'] as const
const showing = ({ chain, key }: Issued): DialOptions => ({ cert: chain, key })
const base: DownstreamTlsConfig = { cert: site.pemFile, ca: clients.certFile }

/**
 * The proxy refuses a client. In TLS 1.3 the client has seen the handshake complete by
 * then and is told behind it. Record `n` says why.
 */
async function refused(
  stage: Stage,
  options: DialOptions,
  n: number,
  expected: string,
): Promise<void> {
  const { peer } = await stage.attempt(options)
  if (peer) {
    await peer.ending()
    assert.equal(peer.received, 0)
    peer.destroy()
  }
  assert.equal((await stage.end(n)).reason, expected, options.maxVersion)
}

interface Seen {
  verified: boolean
  subject: string | undefined
}

function watching(tls: DownstreamTlsConfig | DownstreamTlsConfig[], seen: Seen[]) {
  const look = (conn: { tls: TlsInfo }): void => {
    const { verified, peerCertificate } = conn.tls
    seen.push({ verified, subject: peerCertificate?.subject })
  }
  return terminating(tls, { frontend: { rules: { secured: [look] } } })
}

for (const maxVersion of versions) {
  const seen: Seen[] = []
  const fresh = (tls: DownstreamTlsConfig | DownstreamTlsConfig[]) => () => {
    seen.length = 0
    return watching(tls, seen)
  }

  tlsTest(
    `client certificates required, ${maxVersion}`,
    fresh({ ...base, clientCert: 'required' }),
    async (stage) => {
      await stage.pair({ ...showing(ada), maxVersion })
      await stage.pair({ ...showing(team), maxVersion })
      assert.deepEqual(seen, [
        { verified: true, subject: 'CN=Ada' },
        { verified: true, subject: 'CN=Team' },
      ])
      const bad: [options: DialOptions, code: string][] = [
        [{}, 'tls-cert-missing'],
        [showing(expired), 'tls-cert-expired'],
        [showing(early), 'tls-cert-expired'],
        [showing(stranger), 'tls-cert-untrusted'],
        [showing(alone), 'tls-cert-untrusted'],
        [showing(wrongUse), 'tls-cert-invalid'],
        // The intermediate authority is missing.
        [{ cert: team.cert, key: team.key }, 'tls-cert-untrusted'],
      ]
      for (const [n, [options, code]] of bad.entries()) {
        await refused(stage, { ...options, maxVersion }, n, `client tls ${code}`)
      }
      assert.equal(seen.length, 2)
      assert.equal(stage.site.upstream.all.length, 2)
    },
  )

  tlsTest(
    `client certificates optional, ${maxVersion}`,
    fresh({ ...base, clientCert: 'optional' }),
    async (stage) => {
      await stage.pair({ maxVersion })
      await stage.pair({ ...showing(ada), maxVersion })
      assert.deepEqual(seen, [
        { verified: false, subject: undefined },
        { verified: true, subject: 'CN=Ada' },
      ])
      await refused(stage, { ...showing(alone), maxVersion }, 0, 'client tls tls-cert-untrusted')
      await refused(stage, { ...showing(expired), maxVersion }, 1, 'client tls tls-cert-expired')
    },
  )

  tlsTest(
    `no client certificate is asked for, ${maxVersion}`,
    fresh({ cert: site.pemFile }),
    async (stage) => {
      await stage.pair({ ...showing(alone), maxVersion })
      assert.deepEqual(seen, [{ verified: false, subject: undefined }])
    },
  )

  tlsTest(
    `revocation lists, ${maxVersion}`,
    fresh({ ...base, clientCert: 'required', crl: clients.crlFile }),
    async (stage) => {
      await refused(stage, { ...showing(revoked), maxVersion }, 0, 'client tls tls-cert-revoked')
      await stage.pair({ ...showing(ada), maxVersion })
      assert.deepEqual(seen, [{ verified: true, subject: 'CN=Ada' }])
    },
  )

  tlsTest(
    `each set of certificates has a demand of its own, ${maxVersion}`,
    fresh([
      { cert: site.pemFile },
      { cert: second.pemFile, ca: clients.certFile, clientCert: 'required' },
    ]),
    async (stage) => {
      const first = await stage.pair({ servername: 'a.example', maxVersion })
      // A session of the open name does not open the guarded one.
      const session = await first.client.session()
      const guarded = { servername: 'b.example', maxVersion }
      await refused(stage, { ...guarded, session }, 0, 'client tls tls-cert-missing')
      await stage.pair({ ...guarded, ...showing(ada), session })
      assert.deepEqual(
        seen.map(({ verified }) => verified),
        [false, true],
      )
    },
  )
}

tlsTest(
  'the fields of a client certificate',
  () => {
    const look = (conn: { tls: TlsInfo }) => {
      const certificate = conn.tls.peerCertificate
      const x509 = new X509Certificate(ada.cert)
      assert.ok(certificate)
      assert.ok(x509.raw.equals(certificate.raw))
      assert.equal(certificate.commonName, 'Ada')
      assert.equal(certificate.subject, 'CN=Ada')
      assert.equal(certificate.issuer, 'CN=Clients')
      assert.deepEqual(certificate.altNames, ['DNS:ada.example', 'IP Address:10.0.0.1'])
      assert.equal(certificate.serialNumber.toLowerCase(), x509.serialNumber.toLowerCase())
      assert.equal(certificate.fingerprint, x509.fingerprint256.replaceAll(':', '').toLowerCase())
      assert.equal(certificate.notBefore.getTime(), Date.parse(x509.validFrom))
      assert.equal(certificate.notAfter.getTime(), Date.parse(x509.validTo))
    }
    // A rule that throws closes the connection: the pair below would not come about.
    const tls = { ...base, clientCert: 'required' as const }
    return terminating(tls, { frontend: { rules: { secured: [look] } } })
  },
  async (stage) => {
    const { client, server } = await stage.pair(showing(ada))
    await server.send('welcome')
    await client.expect('welcome')
  },
)
