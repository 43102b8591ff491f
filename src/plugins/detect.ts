/**
 * Which protocol a client speaks, from its first bytes: SSH, TLS or HTTP.
 *
 * SSH begins with an identification line 'SSH-' (RFC 4253 section 4.2), TLS with
 * a handshake record of version 3.x (RFC 8446 section 5.1), HTTP with a method,
 * a space and a target (RFC 9112 section 3); HTTP/2 without TLS begins with
 * 'PRI * HTTP/2.0' (RFC 9113 section 3.4), which has the same form.
 */

export type Protocol = 'ssh' | 'tls' | 'http' | 'unknown'

const SSH = [0x53, 0x53, 0x48, 0x2d] // 'SSH-'
const TLS_HANDSHAKE = 22
const SPACE = 0x20
/** No registered method is longer (iana.org/assignments/http-methods). */
export const LONGEST_METHOD = 20

/** The protocol, or undefined while the bytes may still become more than one. */
export function detect(bytes: Uint8Array): Protocol | undefined {
  const [first] = bytes
  if (first === undefined) return undefined
  if (first === TLS_HANDSHAKE) {
    if (bytes.length < 2) return undefined
    return bytes[1] === 3 ? 'tls' : 'unknown'
  }
  // Also a prefix of 'SSH-' may be the start of a method: 'S' of 'SEARCH'.
  const length = Math.min(bytes.length, SSH.length)
  if (SSH.slice(0, length).every((byte, i) => bytes[i] === byte)) {
    return length === SSH.length ? 'ssh' : undefined
  }
  return detectHttp(bytes)
}

function detectHttp(bytes: Uint8Array): Protocol | undefined {
  const end = Math.min(bytes.length, LONGEST_METHOD + 1)
  for (let i = 0; i < end; i++) {
    const byte = bytes[i] as number
    if (byte === SPACE) return i > 0 ? 'http' : 'unknown'
    if (!isMethodByte(byte)) return 'unknown'
  }
  return bytes.length > LONGEST_METHOD ? 'unknown' : undefined
}

/** Methods are case-sensitive, and every registered one is upper case, some with a hyphen. */
function isMethodByte(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || byte === 0x2d
}
