/**
 * Certificates by the thousand: X.509 v3 (RFC 5280) written and signed here,
 * with one P-256 key for all, since the openssl CLI would take minutes.
 */

import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { makeKey } from './certificates.js'

export interface Made {
  cert: string
  key: string
}

const DAY = 86_400_000
const SHA256_WITH_ECDSA = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'))

/** Makes self-signed certificates that all have the same key. */
export class Maker {
  readonly key = makeKey('ec')
  readonly #private: KeyObject = createPrivateKey(this.key)
  readonly #public = createPublicKey(this.#private).export({ type: 'spki', format: 'der' })
  #serial = 0x1000

  /** `name` is the common name and the alternative name. Every call has a new serial number. */
  make(name: string, days = 90, commonName = name): Made {
    const subject = distinguished(commonName)
    const now = Date.now()
    const altName = der(0x30, der(0x82, Buffer.from(name)))
    const altNames = der(0x30, Buffer.from('0603551d11', 'hex'), der(0x04, altName))
    const body = der(
      0x30,
      der(0xa0, Buffer.from('020102', 'hex')),
      der(0x02, serial(++this.#serial)),
      SHA256_WITH_ECDSA,
      subject,
      der(0x30, time(new Date(now - DAY)), time(new Date(now + days * DAY))),
      subject,
      this.#public,
      der(0xa3, der(0x30, altNames)),
    )
    const signature = sign('sha256', body, this.#private)
    const bits = der(0x03, Buffer.from([0]), signature)
    return { cert: pem(der(0x30, body, SHA256_WITH_ECDSA, bits)), key: this.key }
  }
}

/** A tag, the length of the contents, the contents. */
function der(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  // The shortest form is the only one: strict readers refuse others.
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), content])
  const header = Buffer.from([tag, 0x82, length >> 8, length & 0xff])
  return Buffer.concat([header, content])
}

function distinguished(commonName: string): Buffer {
  const value = der(0x0c, Buffer.from(commonName))
  return der(0x30, der(0x31, der(0x30, Buffer.from('0603550403', 'hex'), value)))
}

function serial(value: number): Buffer {
  return Buffer.from([1, value >> 16, value >> 8, value].map((byte) => byte & 0xff))
}

/** UTCTime. */
function time(date: Date): Buffer {
  const text = date.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)
  return der(0x17, Buffer.from(`${text}Z`))
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
