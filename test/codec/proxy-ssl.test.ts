import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeProxySsl } from '#sluice/codec/proxy/ssl.js'
import { encodeTlv, parseTlvs, TlvType } from '#sluice/codec/proxy/tlv.js'
import type { PeerCertificate, TlsInfo } from '#sluice/policy/types.js'
import { type ProxySsl, readProxySsl } from '#sluice/policy.js'

const certificate = (commonName: string): PeerCertificate => ({
  raw: Uint8Array.of(1),
  commonName,
  subject: '',
  issuer: '',
  altNames: [],
  serialNumber: '',
  fingerprint: '',
  notBefore: new Date(0),
  notAfter: new Date(0),
})

const info = (changes: Partial<TlsInfo> = {}): TlsInfo => ({
  version: 'TLSv1.2',
  cipher: 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  serverName: '',
  alpn: '',
  resumed: false,
  verified: false,
  peerCertificate: undefined,
  ja4: '',
  ...changes,
})

const NOTHING: ProxySsl = {
  ssl: false,
  clientCert: false,
  verified: false,
  version: '',
  commonName: '',
  cipher: '',
  sigAlg: '',
  keyAlg: '',
}
const SECURE: ProxySsl = {
  ...NOTHING,
  ssl: true,
  version: 'TLSv1.2',
  cipher: 'ECDHE-RSA-AES128-GCM-SHA256',
}

/** What a receiver reads of what is sent. */
const through = (tls: TlsInfo | undefined, commonName = false) =>
  readProxySsl(parseTlvs(encodeProxySsl(tls, commonName)))
/** The first byte and the verify result. */
const header = (tls: TlsInfo | undefined) => encodeProxySsl(tls, true).subarray(3, 8)
const read = (value: Uint8Array) => readProxySsl(new Map([[TlvType.SSL, value]]))

test('the bytes of proxy-protocol.txt 2.2.6', () => {
  const tls = info({ version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' })
  const expected = Buffer.concat([
    Buffer.from('20', 'hex'),
    Buffer.from([0, 5 + 3 + 7 + 3 + 22, 0x01, 0, 0, 0, 1]),
    Buffer.from([0x21, 0, 7]),
    Buffer.from('TLSv1.3'),
    Buffer.from([0x23, 0, 22]),
    Buffer.from('TLS_AES_128_GCM_SHA256'),
  ])
  assert.deepEqual(Buffer.from(encodeProxySsl(tls, true)), expected)
})

test('no TLS, TLS without a certificate, with one, and with one that is verified', () => {
  const peerCertificate = certificate('client.example')
  assert.deepEqual(through(undefined, true), NOTHING)
  assert.deepEqual(through(info(), true), SECURE)
  assert.deepEqual(through(info({ peerCertificate })), { ...SECURE, clientCert: true })
  const verified = { ...SECURE, clientCert: true, verified: true }
  assert.deepEqual(through(info({ peerCertificate, verified: true })), verified)
  const commonName = 'client.example'
  assert.deepEqual(through(info({ peerCertificate, verified: true }), true), {
    ...verified,
    commonName,
  })
})

test('the certificate was given in this connection, or in the session that it resumes', () => {
  const peerCertificate = certificate('a')
  assert.deepEqual([...header(undefined)], [0, 0, 0, 0, 1])
  assert.deepEqual([...header(info())], [1, 0, 0, 0, 1])
  assert.deepEqual([...header(info({ peerCertificate }))], [7, 0, 0, 0, 1])
  assert.deepEqual([...header(info({ peerCertificate, verified: true }))], [7, 0, 0, 0, 0])
  const resumed = { peerCertificate, verified: true, resumed: true }
  assert.deepEqual([...header(info(resumed))], [5, 0, 0, 0, 0])
})

test('a common name that a receiver might misread is not sent', () => {
  for (const name of ['', 'a\0.evil', 'x'.repeat(257), 'ü'.repeat(129)]) {
    const tls = info({ peerCertificate: certificate(name) })
    assert.equal(through(tls, true)?.commonName, '', JSON.stringify(name))
  }
  const tls = info({ peerCertificate: certificate('Jürgen, 東京') })
  assert.equal(through(tls, true)?.commonName, 'Jürgen, 東京')
})

test('every sub-TLV is read, in any order, unknown ones are skipped', () => {
  const text = (type: number, value: string) => encodeTlv(type, Buffer.from(value))
  const value = Buffer.concat([
    Buffer.from([0x03, 0, 0, 0, 0]),
    text(0x25, 'RSA2048'),
    text(0x7f, 'unknown'),
    text(0x24, 'RSA-SHA256'),
    text(0x22, 'cn'),
    text(0x21, 'TLSv1.3'),
    text(0x23, 'TLS_AES_256_GCM_SHA384'),
  ])
  assert.deepEqual(read(value), {
    ssl: true,
    clientCert: true,
    verified: true,
    version: 'TLSv1.3',
    commonName: 'cn',
    cipher: 'TLS_AES_256_GCM_SHA384',
    sigAlg: 'RSA-SHA256',
    keyAlg: 'RSA2048',
  })
})

test('a verify result of zero counts for a certificate only, and every byte of it counts', () => {
  assert.equal(read(Buffer.from([0x01, 0, 0, 0, 0]))?.verified, false)
  assert.equal(read(Buffer.from([0x06, 0, 0, 0, 0]))?.verified, false)
  assert.equal(read(Buffer.from([0x05, 0, 0, 0, 0]))?.verified, true)
  for (let at = 1; at <= 4; at++) {
    const value = Buffer.from([0x05, 0, 0, 0, 0])
    value[at] = 1
    assert.equal(read(value)?.verified, false)
  }
})

test('no TLV, one that is too short, one that is cut anywhere', () => {
  assert.equal(readProxySsl(new Map()), undefined)
  const whole = encodeProxySsl(info({ peerCertificate: certificate('a.example') }), true)
  const value = whole.subarray(3)
  for (let end = 0; end < 5; end++) assert.equal(read(value.subarray(0, end)), undefined)
  for (let end = 5; end < value.length; end++) {
    const ssl = read(value.subarray(0, end))
    assert.ok(ssl?.ssl)
    // Whole or not at all.
    assert.ok(['', 'a.example'].includes(ssl.commonName))
    assert.equal(ssl.cipher, '')
  }
})

test('no bytes make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (value) => {
      assert.equal(read(value) === undefined, value.length < 5)
    }),
  )
})
