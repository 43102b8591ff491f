/** TLS contexts for tests that hand them to an engine: both versions, no limits, nothing optional. */

import type { DownstreamTlsSpec, TlsCertificate, UpstreamTlsSpec } from '#sluice/engine/engine.js'

const COMMON = {
  alpn: [],
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: [],
  groups: [],
  ca: '',
  crl: '',
} as const

/** Towards clients; any of them, with tickets and without a cache. */
export function downstreamSpec(
  certificates: readonly TlsCertificate[],
  more: Partial<DownstreamTlsSpec> = {},
): DownstreamTlsSpec {
  return {
    ...COMMON,
    certificates,
    clientCert: 'none',
    sessionGroup: 'web',
    tickets: true,
    ticketRotation: 3_600_000,
    sessionCache: 0,
    ...more,
  }
}

/** Towards servers, which are verified; without a cache. */
export function upstreamSpec(more: Partial<UpstreamTlsSpec> = {}): UpstreamTlsSpec {
  return { ...COMMON, verify: true, sessionCache: 0, ...more }
}
