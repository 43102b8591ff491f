import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseClientHello } from '#sluice/codec/tls/client-hello.js'
import { DerCertificate, SecuredInfo } from '#sluice/flow/tls/info.js'
import { TlsFlag } from '#sluice/wire/wire.js'
import { CHROME } from '../codec/hello-vectors.js'
import { certificateFolder, makeAuthority, makeKey, selfSigned } from '../support/certificates.js'

const NONE = new Uint8Array(0)
const derOf = (pem: string) => new X509Certificate(pem).raw

test('numbers become names, the rest is the ClientHello’s', () => {
  const hello = parseClientHello(CHROME.bytes.subarray(5))
  const flags = TlsFlag.RESUMED | TlsFlag.VERIFIED
  const info = new SecuredInfo(0x0303, 0xc02f, flags, 'h2', NONE, hello)
  assert.equal(info.version, 'TLSv1.2')
  assert.equal(info.cipher, 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256')
  assert.equal(info.alpn, 'h2')
  assert.equal(info.serverName, CHROME.serverName)
  assert.equal(info.ja4, CHROME.ja4)
  assert.deepEqual([info.resumed, info.verified], [true, true])
  assert.equal(info.peerCertificate, undefined)
})

test('the server’s side has no ClientHello', () => {
  const info = new SecuredInfo(0x0304, 0x1301, 0, '', NONE, undefined)
  assert.deepEqual([info.serverName, info.ja4, info.alpn], ['', '', ''])
  assert.deepEqual([info.resumed, info.verified], [false, false])
})

test('the fields of a certificate', () => {
  const ca = makeAuthority('Some Root')
  const issued = ca.issue({ names: ['a.example', '*.b.example', '10.0.0.1', '::1'] })
  const der = derOf(issued.cert)
  const info = new SecuredInfo(0x0304, 0x1301, 0, '', der, undefined)
  const certificate = info.peerCertificate
  assert.ok(certificate)
  assert.equal(certificate.raw, der)
  assert.equal(certificate.commonName, 'a.example')
  assert.match(certificate.subject, /^CN=a\.example/)
  assert.match(certificate.issuer, /^CN=Some Root/)
  assert.deepEqual(certificate.altNames, [
    'DNS:a.example',
    'DNS:*.b.example',
    'IP Address:10.0.0.1',
    'IP Address:0:0:0:0:0:0:0:1',
  ])
  assert.match(certificate.serialNumber, /^[0-9A-F]+$/)
  assert.equal(certificate.fingerprint, createHash('sha256').update(der).digest('hex'))
  const { validFrom, validTo } = new X509Certificate(der)
  assert.equal(certificate.notBefore.getTime(), Date.parse(validFrom))
  assert.equal(certificate.notAfter.getTime(), Date.parse(validTo))
})

/** A self-signed certificate with a subject that the other helpers do not make. `alt`: lines of a section. */
function odd(subject: string, ...alt: string[]): DerCertificate {
  const folder = certificateFolder()
  const file = (name: string) => join(folder, name)
  writeFileSync(file('key'), makeKey())
  const extension = alt.length > 0 ? ['subjectAltName = @alt'] : []
  const sections = ['[req]', 'distinguished_name = dn', '[dn]', '[extensions]', ...extension]
  const config = [...sections, '[alt]', ...alt]
  writeFileSync(file('config'), config.join('\n'))
  execFileSync('openssl', [
    ...['req', '-x509', '-new', '-config', file('config'), '-key', file('key'), '-utf8'],
    ...['-multivalue-rdn', '-subj', subject, '-outform', 'der', '-out', file('der')],
    ...['-extensions', 'extensions'],
  ])
  return new DerCertificate(readFileSync(file('der')))
}

test('distinguished names are those of openssl in RFC 2253 form', () => {
  const cases: Record<string, [subject: string, commonName: string]> = {
    '/C=DE/O=A, B\\/C/CN=Jürgen': ['CN=Jürgen,O=A\\, B/C,C=DE', 'Jürgen'],
    '/CN=first/CN=second': ['CN=second,CN=first', 'second'],
    '/O=No name': ['O=No name', ''],
    '/CN=a \\+ b "c"<d>;e': ['CN=a \\+ b \\"c\\"\\<d\\>\\;e', 'a + b "c"<d>;e'],
  }
  for (const [given, [subject, commonName]] of Object.entries(cases)) {
    const certificate = odd(given)
    assert.equal(certificate.commonName, commonName, given)
    assert.equal(certificate.subject, subject, given)
    assert.equal(certificate.issuer, subject)
  }
  const joined = odd('/O=org/OU=x+CN=y')
  assert.match(joined.subject, /^(OU=x\+CN=y|CN=y\+OU=x),O=org$/)
  assert.equal(joined.commonName, 'y')
})

test('alternative names are kept apart, whatever is in them', () => {
  const lines = ['DNS.1 = a.example', 'email.1 = me@a.example', 'URI.1 = https://a.example/b:c']
  const { altNames } = odd('/CN=a', ...lines, 'IP.1 = 10.0.0.1')
  const [dns, email, uri] = ['DNS:a.example', 'email:me@a.example', 'URI:https://a.example/b:c']
  assert.deepEqual(altNames, [dns, email, uri, 'IP Address:10.0.0.1'])
  // A name that looks like two (CVE-2021-44532).
  const sly = odd('/CN=a', 'DNS.1 = a.example, DNS:b.example', 'DNS.2 = "c\\"d"')
  assert.deepEqual(sly.altNames, ['DNS:a.example, DNS:b.example', 'DNS:c"d'])
  assert.deepEqual(odd('/CN=a').altNames, [])
})

test('bytes that are no certificate give empty fields, and never throw', () => {
  const whole = derOf(selfSigned({ names: ['a.example'] }).cert)
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 80 }),
    fc.nat(whole.length - 1).map((end) => whole.subarray(0, end)),
    fc.tuple(fc.nat(whole.length - 1), fc.nat(255)).map(([at, value]) => {
      const changed = Uint8Array.from(whole)
      changed[at] = value
      return changed
    }),
  )
  const property = fc.property(bytes, (der) => {
    const certificate = new DerCertificate(der)
    const { commonName, subject, issuer, serialNumber, fingerprint } = certificate
    for (const text of [commonName, subject, issuer, serialNumber, fingerprint]) {
      assert.equal(typeof text, 'string')
    }
    assert.ok(Array.isArray(certificate.altNames))
    assert.ok(certificate.notBefore instanceof Date && certificate.notAfter instanceof Date)
  })
  fc.assert(property, { numRuns: 500 })
  const broken = new DerCertificate(Uint8Array.of(1, 2, 3))
  assert.deepEqual([broken.commonName, broken.subject, broken.altNames], ['', '', []])
  assert.ok(Number.isNaN(broken.notAfter.getTime()))
})
