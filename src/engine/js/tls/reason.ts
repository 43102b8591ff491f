/** What errors of node:tls and OpenSSL mean, in the words of close reasons. */

import { Code } from '../../../wire/wire.js'

/** Why TLS failed. */
export interface TlsFailure {
  code: number
  /** Number of the alert that the peer sent, for TLS_ALERT; else 0. */
  alert: number
  /** The peer's bytes or certificate are at fault; else Sluice or this machine is. */
  byPeer: boolean
}

/** Results of the verification of a certificate: X509_V_ERR_* without the prefix, as Node has them. */
export const certificateCodes: Readonly<Record<string, number>> = {
  CERT_HAS_EXPIRED: Code.TLS_CERT_EXPIRED,
  CERT_NOT_YET_VALID: Code.TLS_CERT_EXPIRED,
  ERR_TLS_CERT_ALTNAME_INVALID: Code.TLS_CERT_NAME,
  ERR_TLS_CERT_ALTNAME_FORMAT: Code.TLS_CERT_NAME,
  HOSTNAME_MISMATCH: Code.TLS_CERT_NAME,
  DEPTH_ZERO_SELF_SIGNED_CERT: Code.TLS_CERT_UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: Code.TLS_CERT_UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: Code.TLS_CERT_UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: Code.TLS_CERT_UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: Code.TLS_CERT_UNTRUSTED,
  CERT_UNTRUSTED: Code.TLS_CERT_UNTRUSTED,
  CERT_REVOKED: Code.TLS_CERT_REVOKED,
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: Code.TLS_CERT_MISSING,
  ERR_SSL_NO_CERTIFICATE_RETURNED: Code.TLS_CERT_MISSING,
  ERR_SSL_CERTIFICATE_VERIFY_FAILED: Code.TLS_CERT_INVALID,
  UNABLE_TO_GET_CRL: Code.TLS_CERT_INVALID,
  UNABLE_TO_DECRYPT_CERT_SIGNATURE: Code.TLS_CERT_INVALID,
  UNABLE_TO_DECRYPT_CRL_SIGNATURE: Code.TLS_CERT_INVALID,
  UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: Code.TLS_CERT_INVALID,
  // An issuer of the right name with another key is another issuer.
  CERT_SIGNATURE_FAILURE: Code.TLS_CERT_UNTRUSTED,
  CRL_SIGNATURE_FAILURE: Code.TLS_CERT_INVALID,
  CRL_NOT_YET_VALID: Code.TLS_CERT_INVALID,
  CRL_HAS_EXPIRED: Code.TLS_CERT_INVALID,
  CERT_CHAIN_TOO_LONG: Code.TLS_CERT_INVALID,
  INVALID_CA: Code.TLS_CERT_INVALID,
  PATH_LENGTH_EXCEEDED: Code.TLS_CERT_INVALID,
  INVALID_PURPOSE: Code.TLS_CERT_INVALID,
  CERT_REJECTED: Code.TLS_CERT_INVALID,
  UNSPECIFIED: Code.TLS_CERT_INVALID,
}

/** Reasons of OpenSSL's SSL library (SSL_R_*), as Node puts them behind ERR_SSL_. */
const reasons: Readonly<Record<string, number>> = {
  UNSUPPORTED_PROTOCOL: Code.TLS_VERSION,
  UNSUPPORTED_SSL_VERSION: Code.TLS_VERSION,
  VERSION_TOO_LOW: Code.TLS_VERSION,
  VERSION_TOO_HIGH: Code.TLS_VERSION,
  WRONG_SSL_VERSION: Code.TLS_VERSION,
  NO_PROTOCOLS_AVAILABLE: Code.TLS_VERSION,
  NO_SHARED_CIPHER: Code.TLS_CIPHER,
  NO_CIPHERS_AVAILABLE: Code.TLS_CIPHER,
  NO_CIPHER_MATCH: Code.TLS_CIPHER,
  UNKNOWN_CIPHER_RETURNED: Code.TLS_CIPHER,
  WRONG_CIPHER_RETURNED: Code.TLS_CIPHER,
  NO_SHARED_GROUPS: Code.TLS_CIPHER,
  NO_SUITABLE_GROUPS: Code.TLS_CIPHER,
  NO_SUITABLE_KEY_SHARE: Code.TLS_CIPHER,
  NO_SUITABLE_SIGNATURE_ALGORITHM: Code.TLS_CIPHER,
  NO_SHARED_SIGNATURE_ALGORITHMS: Code.TLS_CIPHER,
  NO_SIGALGS_EXTENSION: Code.TLS_CIPHER,
  MISSING_SIGALGS_EXTENSION: Code.TLS_CIPHER,
  MISSING_SUPPORTED_GROUPS_EXTENSION: Code.TLS_CIPHER,
  WRONG_CURVE: Code.TLS_CIPHER,
  WRONG_SIGNATURE_TYPE: Code.TLS_CIPHER,
  EE_KEY_TOO_SMALL: Code.TLS_CERT_INVALID,
  CA_KEY_TOO_SMALL: Code.TLS_CERT_INVALID,
  CA_MD_TOO_WEAK: Code.TLS_CERT_INVALID,
  NO_APPLICATION_PROTOCOL: Code.TLS_ALPN,
  INVALID_ALPN: Code.TLS_ALPN,
  NO_RENEGOTIATION: Code.TLS_RENEGOTIATION,
  MALLOC_FAILURE: Code.TLS_ERROR,
  INTERNAL_ERROR: Code.TLS_ERROR,
  LIBRARY_BUG: Code.TLS_ERROR,
  // The memory behind a socket never ends for OpenSSL; it says so of a close without close_notify.
  UNEXPECTED_EOF_WHILE_READING: Code.TLS_TRUNCATED,
}

/**
 * Names a failure of TLS; undefined for an error that is not TLS's (a reset and the
 * like). What OpenSSL says of a peer's bytes and is not in a list is a malformed message.
 */
export function tlsFailure(error: NodeJS.ErrnoException): TlsFailure | undefined {
  const code = error.code ?? ''
  const certificate = certificateCodes[code]
  if (certificate !== undefined) return peer(certificate)
  if (code === 'ERR_TLS_RENEGOTIATION_DISABLED' || code === 'ERR_TLS_SESSION_ATTACK') {
    return peer(Code.TLS_RENEGOTIATION)
  }
  const alert = alertOf(error.message)
  if (alert !== undefined) return { ...peer(Code.TLS_ALERT), alert }
  if (code.startsWith('ERR_SSL_')) {
    const known = reasons[code.slice('ERR_SSL_'.length)] ?? Code.TLS_MALFORMED
    return { ...peer(known), byPeer: known !== Code.TLS_ERROR }
  }
  // What another library of OpenSSL says, such as of a key share that is no point of its curve.
  if (code === 'EPROTO' || code.startsWith('ERR_OSSL_')) return peer(Code.TLS_MALFORMED)
  if (code.startsWith('ERR_TLS_') || code === 'ERR_SLUICE_TLS') {
    return { ...peer(Code.TLS_ERROR), byPeer: false }
  }
  return undefined
}

/** OpenSSL ends the text of a received alert so, whatever version and alert it is. */
function alertOf(message: string): number | undefined {
  const found = /SSL alert number (\d+)/.exec(message)
  return found ? Number(found[1]) : undefined
}

function peer(code: number): TlsFailure {
  return { code, alert: 0, byPeer: true }
}
