/**
 * IP addresses as the connection table holds them: bytes in network order,
 * read as little-endian words.
 */

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

/** Writes an IP address in text form into the table layout; returns 4, 6, or 0 where it is none. */
export function parseIpInto(text: string, words: Int32Array, at: number): 0 | 4 | 6 {
  const bytes = parseIp(text)
  if (!bytes) return 0
  for (let i = 0; i < 4; i++) {
    const b = i * 4
    words[at + i] =
      (bytes[b] ?? 0) |
      ((bytes[b + 1] ?? 0) << 8) |
      ((bytes[b + 2] ?? 0) << 16) |
      ((bytes[b + 3] ?? 0) << 24)
  }
  return bytes.length === 4 ? 4 : 6
}

/** The 4 or 16 bytes of an address in text form, IPv4-mapped IPv6 as IPv4; undefined where it is none. */
export function parseIp(text: string): Uint8Array | undefined {
  if (!text.includes(':')) return parseIpv4(text)
  const zone = text.indexOf('%')
  const [head, tail, extra] = (zone < 0 ? text : text.slice(0, zone)).split('::')
  if (head === undefined || extra !== undefined) return undefined
  const left = parseGroups(head)
  const right = tail === undefined ? [] : parseGroups(tail)
  if (!left || !right) return undefined
  const missing = 16 - left.length - right.length
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined
  const bytes = Uint8Array.from([...left, ...new Array<number>(missing).fill(0), ...right])
  const mapped =
    bytes.subarray(0, 10).every((b) => b === 0) && bytes[10] === 255 && bytes[11] === 255
  return mapped ? bytes.slice(12) : bytes
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (let i = 0; i < 4; i++) {
    const part = parts[i] as string
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    bytes[i] = Number(part)
  }
  return bytes
}

function parseGroups(text: string): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [i, group] of groups.entries()) {
    if (group.includes('.')) {
      const ipv4 = i === groups.length - 1 ? parseIpv4(group) : undefined
      if (!ipv4) return undefined
      bytes.push(...ipv4)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 255)
    }
  }
  return bytes.length > 16 ? undefined : bytes
}
