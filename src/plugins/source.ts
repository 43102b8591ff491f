import { parseIp } from '../address/parse.js'

/**
 * Whose connection it is, as a key of an 'ipv6' table: the IPv4 address, or the first 64 bits of
 * an IPv6 address, as a client may take any of those below. Undefined for a unix socket.
 */
export function sourceOf(src: string): string | Uint8Array | undefined {
  if (!src.includes(':')) return src === '' ? undefined : src
  const bytes = parseIp(src)
  return bytes?.length === 16 ? bytes.fill(0, 8) : bytes
}
