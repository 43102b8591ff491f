/**
 * Addresses as text. The connection table holds them as bytes in network order, read as
 * little-endian words.
 */

import type { ListenAddress } from './bind.js'
import { parseIpInto } from './parse.js'

const octets = Array.from({ length: 256 }, (_, i) => String(i))
/** With the dot behind them: each string that is put together on the way is memory. */
const dotted = octets.map((octet) => `${octet}.`)

/** `word` holds the four octets, first octet in the low byte. */
export function formatIpv4(word: number): string {
  const first = `${dotted[word & 255]}${dotted[(word >>> 8) & 255]}`
  return `${first}${dotted[(word >>> 16) & 255]}${octets[word >>> 24]}`
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

const words = new Int32Array(4)

/** One spelling for one address and scope, IPv4-mapped IPv6 as IPv4; undefined for what is none. */
export function normalIp(ip: string): string | undefined {
  const family = parseIpInto(ip, words, 0)
  if (family === 0) return undefined
  return (family === 4 ? formatIpv4(words[0] as number) : formatIpv6(words, 0)) + scopeOf(ip)
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

/** One line for messages and logs: '127.0.0.1:80', '[::1]:80', 'unix:/run/a.sock', 'fd@3'. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  if (address.kind === 'fd') return `fd@${address.fd}`
  return formatHostPort(address.host, address.port)
}

/** An address as the system tells it, with the scope that was asked for: not every system tells it. */
export function withScope(ip: string, asked: ListenAddress): string {
  return `${ip.replace(/%.*/, '')}${asked.kind === 'tcp' ? scopeOf(asked.host) : ''}`
}
