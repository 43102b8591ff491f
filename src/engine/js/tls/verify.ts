/** What OpenSSL says of a peer's certificate, made exact. */

import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { Code } from '../../../wire/wire.js'
import { tlsError } from './names.js'
import { certificates } from './pem.js'
import { certificateCodes } from './reason.js'

/** Whom a context trusts. */
export interface Authorities {
  readonly pem: string[]
  /** SHA-256 of their certificates, as Node writes it. */
  readonly fingerprints: ReadonlySet<string>
}

export const NOBODY: Authorities = { pem: [], fingerprints: new Set() }

/** Chains of peers are not longer for OpenSSL either. */
const LONGEST_CHAIN = 100

/** @throws SluiceError (ERR_SLUICE_TLS) where `pem` holds none, or one that cannot be read. */
export function authorities(pem: string, whom: string): Authorities {
  if (pem.trim() === '') throw tlsError(`There is no authority to verify ${whom} against.`)
  const all = certificates(pem, 'the authorities')
  return { pem: [pem], fingerprints: new Set(all.map(({ fingerprint256 }) => fingerprint256)) }
}

/**
 * Code of a verification that failed, by Node's name for it. Node goes on behind an
 * error and keeps the last: with revocation lists, that of a stranger is that there is
 * no list of its authority.
 */
export function certificateCode(name: string, tls: TLSSocket, trusted: Authorities): number {
  if (name === 'UNABLE_TO_GET_CRL' && !isTrusted(tls, trusted)) return Code.TLS_CERT_UNTRUSTED
  return certificateCodes[name] ?? Code.TLS_CERT_INVALID
}

function isTrusted(tls: TLSSocket, { fingerprints }: Authorities): boolean {
  let certificate: DetailedPeerCertificate | undefined = tls.getPeerCertificate(true)
  for (let i = 0; certificate?.fingerprint256 && i < LONGEST_CHAIN; i++) {
    if (fingerprints.has(certificate.fingerprint256)) return true
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate
    // A self-signed certificate is its own issuer.
    if (issuer === certificate) return false
    certificate = issuer
  }
  return false
}
