/** Contexts of the engine towards servers. */

import type { ResolvedUpstreamTls } from '../config/resolved.js'
import type { UpstreamTlsSpec } from '../engine/engine.js'
import { systemAuthorities } from './authorities.js'
import { sourceOf } from './certificates.js'
import { engineCertificate } from './downstream.js'
import { type Snapshot, trustOf } from './library.js'

/** Names of a server whose sessions are kept. */
const SESSIONS_PER_SERVER = 256

/** The context for a server. */
export interface UpstreamSlot {
  readonly context: number
  /** Of `upstreamKey`. */
  readonly key: string
}

/** Equal keys: an equal context. */
export function upstreamKey(tls: ResolvedUpstreamTls, snapshot: Snapshot): string {
  const { ca, crl } = tls
  const trust = [trustOf(snapshot, 'ca', ca).hash, trustOf(snapshot, 'crl', crl).hash]
  return [...trust, certificateOf(tls, snapshot)?.hash].join('/')
}

export function upstreamSpec(tls: ResolvedUpstreamTls, snapshot: Snapshot): UpstreamTlsSpec {
  const certificate = certificateOf(tls, snapshot)
  return {
    verify: tls.verify,
    ...(certificate && { certificate: engineCertificate(certificate) }),
    sessionCache: tls.resumption ? SESSIONS_PER_SERVER : 0,
    alpn: tls.alpn,
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ciphers: tls.ciphers,
    groups: tls.groups,
    ca: tls.systemCa ? systemAuthorities() : trustOf(snapshot, 'ca', tls.ca).pem,
    crl: trustOf(snapshot, 'crl', tls.crl).pem,
  }
}

function certificateOf({ certificate }: ResolvedUpstreamTls, snapshot: Snapshot) {
  return certificate && snapshot.certificates.get(sourceOf(certificate).id)
}
