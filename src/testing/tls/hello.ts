/** ClientHellos for tests (RFC 8446 section 4.1.2): what a client would send, without its keys. */

import { SluiceError } from '../../base/errors.js'
import { CIPHER_SUITES, cipherNumber } from '../../codec/tls.js'
import type { TlsVersion } from '../../config/types.js'

export interface HelloOptions {
  /** Default: no name is asked for. */
  serverName?: string
  /** Default: no ALPN. */
  alpn?: readonly string[]
  /** Default: both. */
  versions?: readonly TlsVersion[]
  /** IANA names. Default: every one that Sluice knows. */
  ciphers?: readonly string[]
}

const VERSIONS: Readonly<Record<TlsVersion, number>> = { 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 }

const GROUPS = [0x001d, 0x0017, 0x0018]
const SIGNATURE_SCHEMES = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0807]
/** Payload of a record (RFC 8446 section 5.1). */
const MAX_FRAGMENT = 16_384

/**
 * A ClientHello handshake message.
 *
 * @throws SluiceError (ERR_SLUICE_ARGUMENT) for a cipher suite that is not known.
 */
export function buildClientHello(options: HelloOptions = {}): Buffer {
  const { serverName = '', alpn = [], versions = ['TLSv1.3', 'TLSv1.2'], ciphers } = options
  const offered = versions.map((version) => VERSIONS[version])
  const extensions = [
    ...(serverName === ''
      ? []
      : [extension(0, vector(2, Buffer.from([0]), vector(2, Buffer.from(serverName))))]),
    extension(10, vector(2, ...GROUPS.map(uint16))),
    extension(11, Buffer.from([1, 0])),
    extension(13, vector(2, ...SIGNATURE_SCHEMES.map(uint16))),
    ...(alpn.length === 0
      ? []
      : [extension(16, vector(2, ...alpn.map((name) => vector(1, Buffer.from(name)))))]),
    extension(23, Buffer.alloc(0)),
    ...(offered.includes(0x0304)
      ? [
          extension(43, vector(1, ...offered.map(uint16))),
          extension(45, Buffer.from([1, 1])),
          extension(51, vector(2, uint16(0x001d), vector(2, Buffer.alloc(32, 9)))),
        ]
      : []),
  ]
  const body = Buffer.concat([
    uint16(0x0303),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32, 8)),
    vector(
      2,
      ...(ciphers?.map(knownCipher) ?? CIPHER_SUITES.map(({ number }) => number)).map(uint16),
    ),
    Buffer.from([1, 0]),
    vector(2, ...extensions),
  ])
  const length = Buffer.alloc(3)
  length.writeUIntBE(body.length, 0, 3)
  return Buffer.concat([Buffer.from([1]), length, body])
}

/** A handshake message in its records, as it is sent. */
export function recordsOf(message: Uint8Array): Buffer {
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += MAX_FRAGMENT) {
    const fragment = message.subarray(at, at + MAX_FRAGMENT)
    records.push(Buffer.from([0x16, 3, 1]), uint16(fragment.length), Buffer.from(fragment))
  }
  return Buffer.concat(records)
}

function knownCipher(name: string): number {
  const number = cipherNumber(name)
  if (number !== undefined) return number
  throw new SluiceError('ERR_SLUICE_ARGUMENT', `tls.ciphers: '${name}' is not known.`)
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

/** `parts` behind their length, which has `size` bytes. */
function vector(size: 1 | 2, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const length = size === 1 ? Buffer.from([content.length]) : uint16(content.length)
  return Buffer.concat([length, content])
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([uint16(type), vector(2, content)])
}
