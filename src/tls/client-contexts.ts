/** Contexts of the engine towards servers. */

import type { ResolvedClientTls } from '../config/resolved.js'
import type { TlsClientSpec } from '../engine/engine.js'
import { systemAuthorities } from './authorities.js'
import { sourceOf } from './certificates.js'
import { type Snapshot, trustOf } from './library.js'
import { engineCertificate } from './server-contexts.js'

/** Names of a server whose sessions are kept. */
const CLIENT_SESSIONS = 256

/** The context for a server. */
export interface ClientSlot {
  readonly context: number
  /** Of `clientKey`. */
  readonly key: string
}

/** Equal keys: an equal context. */
export function clientKey(tls: ResolvedClientTls, snapshot: Snapshot): string {
  const { ca, crl } = tls
  const trust = [trustOf(snapshot, 'ca', ca).hash, trustOf(snapshot, 'crl', crl).hash]
  return [...trust, certificateOf(tls, snapshot)?.hash].join('/')
}

export function clientSpec(tls: ResolvedClientTls, snapshot: Snapshot): TlsClientSpec {
  const certificate = certificateOf(tls, snapshot)
  return {
    verify: tls.verify,
    ...(certificate && { certificate: engineCertificate(certificate) }),
    sessionCache: tls.resumption ? CLIENT_SESSIONS : 0,
    alpn: tls.alpn,
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ciphers: tls.ciphers,
    groups: tls.groups,
    ca: tls.systemCa ? systemAuthorities() : trustOf(snapshot, 'ca', tls.ca).pem,
    crl: trustOf(snapshot, 'crl', tls.crl).pem,
  }
}

function certificateOf({ certificate }: ResolvedClientTls, snapshot: Snapshot) {
  return certificate && snapshot.certificates.get(sourceOf(certificate).id)
}
