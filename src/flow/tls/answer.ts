/** What a client is told whose TLS does not begin: in clear, since nothing is encrypted yet. */

import { packReason } from '../../wire/reason.js'
import { By, Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'

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
  RECORD_OVERFLOW: fatal(22),
  DECODE_ERROR: fatal(50),
  UNRECOGNIZED_NAME: fatal(112),
} as const

function fatal(description: number): Uint8Array {
  return Uint8Array.of(21, 3, 3, 0, 2, 2, description)
}

/** Ends a connection with an alert. `by`: whose fault it is. */
export function alert(
  conn: ClientConnection,
  code: number,
  bytes: Uint8Array,
  by: number = By.CLIENT,
): void {
  conn.reply(bytes, packReason(by, Phase.TLS, code))
}

/** To a backend as it is, ClientHello first. One that a rule chose goes before `backend`. */
export function sendThrough(conn: ClientConnection, backend: string | undefined): void {
  const { engine, targets } = conn.context
  if (backend !== undefined) conn.backend ??= targets.backends.get(backend)
  engine.proceed(conn.slot, conn.generation, Handshake.TLS, 0, 0)
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
