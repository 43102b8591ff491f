/** Where sessions go past policy. */

import type { Backend } from '../backend/backend.js'
import type { ResolvedServer, ResolvedUpstreamTls } from '../config/resolved.js'

/**
 * Way out of a frontend whose policy is late: the first server of the default
 * backend that is ready and has a fixed route. The route of a host name changes
 * with the name, and that of TLS with its files, and the engine cannot ask while
 * policy is late.
 */
export function fallbackRoute(backend: Backend | undefined): number {
  const ready = backend?.servers.find(
    ({ config }) =>
      config.state === 'ready' &&
      !config.backup &&
      isFixed(config.address) &&
      !mayChange(config.tls),
  )
  return ready?.route() ?? -1
}

function isFixed(address: ResolvedServer['address']): boolean {
  return address.kind === 'unix' || (address.kind === 'ip' && address.offset === undefined)
}

/** The route depends on files, or on the connection. */
function mayChange(tls: ResolvedUpstreamTls | undefined): boolean {
  if (!tls) return false
  const { ca, crl, certificate, chooseServerName } = tls
  return ca.length + crl.length > 0 || certificate !== undefined || chooseServerName !== undefined
}
