/** What a client sends, as the pieces in which it arrives. */

import { parseIp } from '../address/parse.js'
import { SluiceError } from '../base/errors.js'
import { buildProxyV1, buildProxyV2, encodeTlv } from '../codec/proxy.js'

/** A PROXY header that the client sends before everything else. */
export interface ProxyHeaderOptions {
  /** Default 2. */
  version?: 1 | 2
  /** Default PROXY. LOCAL (version 2) carries no addresses: the socket's own are kept. */
  command?: 'LOCAL' | 'PROXY'
  /** The client that the header names; '' where it names none. */
  src: string
  /** Default 40000. */
  srcPort?: number
  /** Default 203.0.113.1 or 2001:db8::1. */
  dst?: string
  /** Default 443. */
  dstPort?: number
  /** Values by type (version 2). */
  tlvs?: Record<number, Uint8Array | string>
  /** Append the checksum (version 2). */
  crc32c?: boolean
}

/** Positions at which a stream is cut; 'every': one byte at a time. */
export type Split = number | readonly number[] | 'every'

const NONE = new Uint8Array(0)

/** `content` behind its PROXY header, cut into pieces. Empty pieces are left out. */
export function arrivalsOf(
  content: string | Uint8Array,
  header: ProxyHeaderOptions | undefined,
  split: Split | undefined,
): Buffer[] {
  const whole = Buffer.concat([header ? encodeHeader(header) : NONE, bytesOf(content)])
  const cuts = cutsOf(split, whole.length)
  return [...cuts, whole.length]
    .map((end, i) => whole.subarray(cuts[i - 1] ?? 0, end))
    .filter(({ length }) => length > 0)
}

function cutsOf(split: Split | undefined, length: number): readonly number[] {
  if (split === undefined) return []
  if (split === 'every') return Array.from({ length: Math.max(length - 1, 0) }, (_, i) => i + 1)
  const cuts = typeof split === 'number' ? [split] : [...split].sort((a, b) => a - b)
  for (const cut of cuts) {
    if (Number.isInteger(cut) && cut >= 0 && cut <= length) continue
    const message = `split: expected positions from 0 to ${length}, got ${cut}.`
    throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
  }
  return cuts
}

function encodeHeader(header: ProxyHeaderOptions): Buffer {
  const { version = 2, command, src, srcPort = 40_000, dstPort = 443, tlvs = {} } = header
  const dst = header.dst ?? (src.includes(':') ? '2001:db8::1' : '203.0.113.1')
  const endpoints = {
    src: addressOf('proxy.src', src),
    srcPort,
    dst: addressOf('proxy.dst', dst),
    dstPort,
  }
  if (version === 1) return buildProxyV1(endpoints)
  const encoded = Object.entries(tlvs).map(([type, value]) =>
    encodeTlv(Number(type), bytesOf(value)),
  )
  return buildProxyV2({
    ...endpoints,
    command,
    tlvs: Buffer.concat(encoded),
    crc32c: header.crc32c,
  })
}

/** The bytes of an address; none for ''. @throws SluiceError (ERR_SLUICE_ARGUMENT) */
export function addressOf(name: string, text: string): Uint8Array {
  const bytes = text === '' ? NONE : parseIp(text)
  if (bytes !== undefined) return bytes
  throw new SluiceError('ERR_SLUICE_ARGUMENT', `${name}: '${text}' is no IP address.`)
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content) : content
}
