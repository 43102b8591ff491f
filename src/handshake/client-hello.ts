/**
 * The TLS ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2), as
 * clients send it in clear: read without terminating TLS.
 */

import { HelloStatus } from '../engine/wire.js'

/** What a client offers. Fields are decoded on first use. */
export interface ClientHello {
  /** The name asked for (SNI, RFC 6066) in lower case without a final dot; '' for none. */
  readonly serverName: string
  /** Protocols offered (ALPN, RFC 7301), in the client's order. */
  readonly alpn: readonly string[]
  /** Versions offered, without GREASE, as on the wire: 0x0304 is TLS 1.3. */
  readonly versions: readonly number[]
  /** Cipher suites offered, without GREASE, as on the wire. */
  readonly ciphers: readonly number[]
  /** Extension types, without GREASE, in the client's order. */
  readonly extensions: readonly number[]
  /** Signature schemes, in the client's order. */
  readonly signatureSchemes: readonly number[]
  /** Key exchange groups, without GREASE, in the client's order. */
  readonly groups: readonly number[]
  /** JA4 fingerprint, such as 't13d1516h2_8daaf6152771_e5627efa2ab1'. */
  readonly ja4: string
}

/** The first flight of a client, taken out of its records. */
export interface Framed {
  /** HelloStatus, or undefined while more bytes are needed. */
  readonly status: number | undefined
  /** For COMPLETE the handshake message, with its four bytes of type and length. */
  readonly message: Uint8Array
}

/**
 * Finds the ClientHello message in the first bytes of a connection. Sans-I/O;
 * "more bytes are needed" is no error.
 */
export function frameClientHello(_bytes: Uint8Array): Framed {
  return { status: HelloStatus.NOT_TLS, message: new Uint8Array(0) }
}

/** Reads a ClientHello message; undefined where it is malformed. Never throws. */
export function parseClientHello(_message: Uint8Array): ClientHello | undefined {
  return undefined
}
