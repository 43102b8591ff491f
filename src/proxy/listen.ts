/** A frontend listens, and the engine knows where its sessions go past policy. */

import type { Backend } from '../backend/backend.js'
import type { ResolvedServer, ResolvedUpstreamTls } from '../config/resolved.js'
import type { Engine } from '../engine/engine.js'
import { atBind } from '../engine/listen-error.js'
import type { Core } from '../flow/core.js'
import { type Frontend, Listener } from '../flow/frontend.js'
import type { ContextSupplier } from '../tls/contexts.js'

interface Ground {
  readonly engine: Engine
  readonly core: Core
  readonly tls: ContextSupplier
  /** Of the whole proxy. */
  readonly maxconn: number
}

/** Every listener of a frontend; rejects at the first that cannot, with its path. */
export async function listen(frontend: Frontend, ground: Ground): Promise<void> {
  const { engine, core, tls, maxconn } = ground
  for (const bind of frontend.config.binds) frontend.listeners.push(new Listener(frontend, bind))
  core.addFrontend(frontend)
  const fallback = frontend.opens ? fallbackRoute(frontend.backend) : -1
  for (const listener of frontend.listeners) {
    if (listener.bind.tls) listener.tls = tls.forBind(listener.bind)
    const spec = frontend.listenSpec(listener, fallback, maxconn)
    const result = await engine.listen(spec).catch((error: unknown) => {
      throw atBind(listener.bind.path, error)
    })
    listener.listening(result)
    core.addListener(listener)
  }
}

/**
 * Way out of a frontend whose policy is late: the first server of the default
 * backend that is ready and has a fixed route. The route of a host name changes
 * with the name, and that of TLS with its files, and the engine cannot ask while
 * policy is late.
 */
function fallbackRoute(backend: Backend | undefined): number {
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
