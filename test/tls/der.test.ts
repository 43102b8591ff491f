import assert from 'node:assert/strict'
import { test } from 'node:test'
import { derTime, derValues, Tag } from '#sluice/tls/der.js'
import { nextUpdateOf, plainHex, readOcsp } from '#sluice/tls/status.js'
import { makeAuthority } from '../support/certificates.js'

const time = (tag: number, text: string) =>
  derTime({ tag, bytes: Buffer.from(text) })?.toISOString()

test('values one after the other, with short and long lengths', () => {
  const long = Buffer.alloc(300, 1)
  const values = derValues(Buffer.from([0x02, 1, 7, 0x04, 0x82, 1, 44, ...long, 0x05, 0]))
  assert.deepEqual(
    values.map(({ tag, bytes }) => [tag, bytes.length]),
    [
      [Tag.INTEGER, 1],
      [Tag.OCTET_STRING, 300],
      [0x05, 0],
    ],
  )
})

test('what is cut short or has no length ends them', () => {
  const tags = (...bytes: number[]) => derValues(Buffer.from(bytes)).map(({ tag }) => tag)
  assert.deepEqual(tags(), [])
  assert.deepEqual(tags(0x02), [])
  assert.deepEqual(tags(0x02, 1), [])
  assert.deepEqual(tags(0x02, 1, 7, 0x02, 5, 0), [Tag.INTEGER])
  assert.deepEqual(tags(0x02, 0x80, 0, 0), [], 'indefinite')
  assert.deepEqual(tags(0x02, 0x85, 0, 0, 0, 0, 1, 0), [], 'five bytes of length')
  assert.deepEqual(tags(0x02, 0x84, 0xff, 0xff, 0xff, 0xff, 0), [])
})

test('times', () => {
  assert.equal(time(Tag.UTC_TIME, '490102030405Z'), '2049-01-02T03:04:05.000Z')
  assert.equal(time(Tag.UTC_TIME, '500102030405Z'), '1950-01-02T03:04:05.000Z')
  assert.equal(time(Tag.GENERALIZED_TIME, '20500102030405Z'), '2050-01-02T03:04:05.000Z')
  assert.equal(time(Tag.UTC_TIME, '491302030405Z'), undefined)
  assert.equal(time(Tag.UTC_TIME, '4901020304Z'), undefined)
  assert.equal(time(Tag.INTEGER, '490102030405Z'), undefined)
})

test('serial numbers of Node and of DER are alike', () => {
  assert.equal(plainHex('00AB'), 'ab')
  assert.equal(plainHex('AB'), 'ab')
  assert.equal(plainHex('00'), '0')
})

test('broken responses and lists are none, and never throw', () => {
  const ca = makeAuthority()
  const response = ca.ocsp(ca.issue({ names: ['a'] }))
  assert.equal(readOcsp(response)?.status, 0)
  for (let length = 0; length < response.length; length++) {
    const cut = readOcsp(response.subarray(0, length))
    assert.equal(cut, undefined, `${length} bytes`)
  }
  for (let i = 0; i < response.length; i++) {
    const changed = Buffer.from(response)
    changed[i] = (changed[i] as number) ^ 0xff
    readOcsp(changed)
  }
  assert.ok(nextUpdateOf(ca.crl()))
  assert.equal(nextUpdateOf('-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----'), undefined)
})
