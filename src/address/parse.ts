/**
 * IP addresses from text, the one parser of them: without allocating, as stick
 * tables, lists of CIDRs and the js engine use it once for every connection. Same
 * language as `net.isIP`.
 */

const COLON = 58
const DOT = 46

const groups = new Uint16Array(8)
const dotted = new Uint32Array(1)

/**
 * Writes the address as numbers, most significant word first: one word for IPv4
 * and for IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2), four for IPv6. A zone
 * ('%eth0') is ignored. Precondition: `out` has room for four words.
 * @returns 4, 6, or 0 where `text` is no address.
 */
export function parseAddress(text: string, out: Uint32Array): 0 | 4 | 6 {
  // An IPv6 address has its first colon within five characters.
  const head = Math.min(text.length, 5)
  for (let i = 0; i < head; i++) {
    if (text.charCodeAt(i) === COLON) return parseIpv6(text, out)
  }
  return parseIpv4(text, 0, text.length, out) ? 4 : 0
}

const parsed = new Uint32Array(4)

/** Writes an IP address in text form into the table layout; returns 4, 6, or 0 where it is none. */
export function parseIpInto(text: string, words: Int32Array, at: number): 0 | 4 | 6 {
  const family = parseAddress(text, parsed)
  if (family === 0) return 0
  words[at] = swap(parsed[0] as number)
  for (let i = 1; i < 4; i++) words[at + i] = family === 4 ? 0 : swap(parsed[i] as number)
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

/** The other order of a word's bytes. */
function swap(word: number): number {
  return (word << 24) | ((word << 8) & 0xff0000) | ((word >>> 8) & 0xff00) | (word >>> 24)
}

/** Dotted quad in `text[from, to)`; a leading zero is refused, as it is octal to some and decimal to others. */
function parseIpv4(text: string, from: number, to: number, out: Uint32Array): boolean {
  let word = 0
  let octet = 0
  let digits = 0
  let dots = 0
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i)
    if (code === DOT) {
      if (digits === 0 || dots === 3) return false
      word = (word << 8) | octet
      octet = 0
      digits = 0
      dots++
    } else {
      const digit = code - 48
      if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return false
      octet = octet * 10 + digit
      if (octet > 255) return false
      digits++
    }
  }
  if (dots !== 3 || digits === 0) return false
  out[0] = (word << 8) | octet
  return true
}

function parseIpv6(text: string, out: Uint32Array): 0 | 4 | 6 {
  const zone = text.indexOf('%')
  if (zone === text.length - 1) return 0
  const end = zone < 0 ? text.length : zone
  let count = 0
  let gap = -1
  let i = 0
  if (text.charCodeAt(0) === COLON) {
    if (end < 2 || text.charCodeAt(1) !== COLON) return 0
    gap = 0
    i = 2
  }
  while (i < end) {
    if (count === 8) return 0
    const start = i
    let value = 0
    for (; i < end; i++) {
      const digit = hexDigit(text.charCodeAt(i))
      if (digit < 0) break
      value = (value << 4) | digit
    }
    if (i < end && text.charCodeAt(i) === DOT) {
      if (count > 6 || !parseIpv4(text, start, end, dotted)) return 0
      const word = dotted[0] as number
      groups[count++] = word >>> 16
      groups[count++] = word & 0xffff
      break
    }
    if (i === start || i - start > 4) return 0
    groups[count++] = value
    if (i === end) break
    if (text.charCodeAt(i) !== COLON) return 0
    i++
    if (i === end) return 0
    if (text.charCodeAt(i) === COLON) {
      if (gap >= 0) return 0
      gap = count
      i++
    }
  }
  if (gap < 0 ? count !== 8 : count > 7) return 0
  if (gap >= 0) {
    for (let to = 7, from = count - 1; from >= gap; to--, from--)
      groups[to] = groups[from] as number
    groups.fill(0, gap, gap + 8 - count)
  }
  return store(out)
}

function store(out: Uint32Array): 4 | 6 {
  for (let i = 0; i < 4; i++) {
    out[i] = ((groups[i * 2] as number) << 16) | (groups[i * 2 + 1] as number)
  }
  if (out[0] !== 0 || out[1] !== 0 || out[2] !== 0xffff) return 6
  out[0] = out[3] as number
  return 4
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
