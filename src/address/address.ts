/**
 * IP addresses as the connection table holds them: bytes in network order,
 * read as little-endian words.
 */

import { parseAddress } from './parse.js'

const octets = Array.from({ length: 256 }, (_, i) => String(i))

/** `word` holds the four octets, first octet in the low byte. */
export function formatIpv4(word: number): string {
  return `${octets[word & 255]}.${octets[(word >>> 8) & 255]}.${octets[(word >>> 16) & 255]}.${octets[word >>> 24]}`
}

/** Formats 16 bytes at `words[at]` as RFC 5952 text. */
export function formatIpv6(words: Int32Array, at: number): string {
  const groups: number[] = []
  for (let i = 0; i < 4; i++) {
    const word = words[at + i] as number
    groups.push(((word & 0xff) << 8) | ((word >>> 8) & 0xff))
    groups.push((((word >>> 16) & 0xff) << 8) | (word >>> 24))
  }
  // The longest run of two or more zero groups becomes '::' (RFC 5952 section 4.2).
  let start = -1
  let length = 1
  for (let i = 0; i < 8; ) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > length) {
      start = i
      length = end - i
    }
    i = end + 1
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return start < 0 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`
}

const parsed = new Uint32Array(4)

/** Writes an IP address in text form into the table layout; returns 4, 6, or 0 where it is none. */
export function parseIpInto(text: string, words: Int32Array, at: number): 0 | 4 | 6 {
  const family = parseAddress(text, parsed)
  if (family === 0) return 0
  for (let i = 0; i < 4; i++) {
    words[at + i] = family === 4 && i > 0 ? 0 : swap(parsed[i] as number)
  }
  return family
}

/**
 * The 4 or 16 bytes of an address in text form, IPv4-mapped IPv6 as IPv4; undefined where it is
 * none. A scope ('%eth0') is ignored.
 */
export function parseIp(text: string): Uint8Array | undefined {
  const family = parseAddress(text, parsed)
  if (family === 0) return undefined
  const bytes = new Uint8Array(family === 4 ? 4 : 16)
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = (parsed[i >> 2] as number) >>> (24 - (i & 3) * 8)
  }
  return bytes
}

/** '127.0.0.1:80', '[::1]:80'. */
export function formatHostPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** The scope of an IPv6 address with its '%': '%eth0'; '' for none. */
export function scopeOf(ip: string): string {
  const at = ip.indexOf('%')
  return at < 0 ? '' : ip.slice(at)
}

/** The other order of a word's bytes. */
function swap(word: number): number {
  return (word << 24) | ((word << 8) & 0xff0000) | ((word >>> 8) & 0xff00) | (word >>> 24)
}
