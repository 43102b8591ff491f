/** What a client is told whose TLS does not begin: in clear, since nothing is encrypted yet. */

const TEXT = 'This port speaks TLS. Use https:// instead of http://.\n'

/** A complete response of HTTP/1.1. */
export const PLAIN_HTTP_REPLY: Uint8Array = new TextEncoder().encode(
  [
    'HTTP/1.1 400 Bad Request',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${TEXT.length}`,
    'Connection: close',
    '',
    TEXT,
  ].join('\r\n'),
)

/** A fatal alert in a record of its own, before any encryption (RFC 8446 sections 5.1 and 6). */
export const Alert = {
  RECORD_OVERFLOW: alert(22),
  DECODE_ERROR: alert(50),
  UNRECOGNIZED_NAME: alert(112),
} as const

function alert(description: number): Uint8Array {
  return Uint8Array.of(21, 3, 3, 0, 2, 2, description)
}

/** Methods of RFC 9110 and RFC 5789, and the preface of HTTP/2 (RFC 9113 section 3.4). */
const METHODS = [
  'GET ',
  'HEAD ',
  'POST ',
  'PUT ',
  'DELETE ',
  'CONNECT ',
  'OPTIONS ',
  'TRACE ',
  'PATCH ',
  'PRI ',
]

/** Whether the first bytes of a client are a request of HTTP, or the beginning of one. */
export function looksLikeHttp(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return false
  const start = String.fromCharCode(...bytes.subarray(0, 8))
  return METHODS.some((method) => start.startsWith(method) || method.startsWith(start))
}
