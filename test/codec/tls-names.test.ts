import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { alertName, cipherName, opensslCipherName, versionName } from '#sluice/codec/tls/names.js'
import { needs } from '../interop/support/programs.js'

needs('openssl')

const SUITES = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9]

test('the names of cipher suites are those of the openssl command', () => {
  // '0xC0,0x2F - TLS_ECDHE_... - ECDHE-RSA-... TLSv1.2 Kx=...'
  const text = execFileSync('openssl', ['ciphers', '-V', '-stdname', 'ALL'], { encoding: 'utf8' })
  const names = new Map<number, string[]>()
  const line = /0x(\w\w),0x(\w\w)\s+-\s+(\S+)\s+-\s+(\S+)/g
  for (const [, high, low, iana = '', openssl = ''] of text.matchAll(line)) {
    names.set(Number(`0x${high}${low}`), [iana, openssl])
  }
  for (const suite of SUITES) {
    const name = cipherName(suite)
    assert.deepEqual([name, opensslCipherName(name)], names.get(suite))
  }
})

test('versions, alerts, and numbers without a name', () => {
  assert.equal(versionName(0x0304), 'TLSv1.3')
  assert.equal(versionName(0x0303), 'TLSv1.2')
  assert.equal(versionName(0x7f1c), '0x7f1c')
  assert.equal(alertName(40), 'handshake_failure')
  assert.equal(alertName(0), 'close_notify')
  assert.equal(alertName(199), 'alert_199')
  assert.equal(cipherName(0x0a), '0x000a')
  assert.equal(opensslCipherName('0x000a'), '0x000a')
})
