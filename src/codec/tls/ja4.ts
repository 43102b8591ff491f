/**
 * JA4, the fingerprint of TLS clients by FoxIO:
 * https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md
 */

import { createHash } from 'node:crypto'

/** What a fingerprint is made from, without GREASE, in the client's order. */
export interface Ja4Input {
  readonly versions: readonly number[]
  readonly ciphers: readonly number[]
  readonly extensions: readonly number[]
  readonly signatureSchemes: readonly number[]
  /** One character a byte. */
  readonly alpn: readonly string[]
}

const SERVER_NAME = 0x0000
const ALPN = 0x0010
const VERSIONS: ReadonlyMap<number, string> = new Map([
  [0x0304, '13'],
  [0x0303, '12'],
  [0x0302, '11'],
  [0x0301, '10'],
  [0x0300, 's3'],
  [0x0002, 's2'],
  [0xfeff, 'd1'],
  [0xfefd, 'd2'],
  [0xfefc, 'd3'],
])

/** Fingerprint of a ClientHello over TCP ('t', the default), QUIC ('q') or in DTLS ('d'). */
export function ja4(hello: Ja4Input, transport: 't' | 'q' | 'd' = 't'): string {
  const { ciphers, extensions } = hello
  const version = VERSIONS.get(Math.max(0, ...hello.versions)) ?? '00'
  const name = extensions.includes(SERVER_NAME) ? 'd' : 'i'
  const ciphersPart = hash(hexList(sorted(ciphers)))
  const types = sorted(extensions.filter((type) => type !== SERVER_NAME && type !== ALPN))
  let extensionsPart = hexList(types)
  if (hello.signatureSchemes.length > 0) extensionsPart += `_${hexList(hello.signatureSchemes)}`
  const start = `${transport}${version}${name}${count(ciphers)}${count(extensions)}`
  return `${start}${protocol(hello.alpn[0])}_${ciphersPart}_${hash(extensionsPart)}`
}

function count(list: readonly number[]): string {
  return String(Math.min(list.length, 99)).padStart(2, '0')
}

/** First and last character of the first protocol, or of its bytes in hexadecimal. */
function protocol(first: string | undefined): string {
  if (first === undefined || first === '') return '00'
  const ends = first.charAt(0) + first.charAt(first.length - 1)
  if (/^[0-9A-Za-z]{2}$/.test(ends)) return ends
  const hex = Buffer.from(first, 'latin1').toString('hex')
  return hex.charAt(0) + hex.charAt(hex.length - 1)
}

function sorted(list: readonly number[]): number[] {
  return list.toSorted((a, b) => a - b)
}

function hexList(list: readonly number[]): string {
  return list.map((value) => value.toString(16).padStart(4, '0')).join(',')
}

const MAX_HASHES = 1024
/** Characters; a browser's lists have about 100. */
const MAX_KEPT = 512
/** Most clients are alike, and a look-up costs a tenth of a hash. Emptied when it is full. */
const hashes = new Map<string, string>()

function hash(text: string): string {
  if (text === '') return '000000000000'
  let found = hashes.get(text)
  if (found === undefined) {
    found = createHash('sha256').update(text).digest('hex').slice(0, 12)
    if (text.length <= MAX_KEPT) {
      if (hashes.size >= MAX_HASHES) hashes.clear()
      hashes.set(text, found)
    }
  }
  return found
}
