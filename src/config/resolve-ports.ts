/** Servers whose port is relative to the one that the client came to. */

import type { Issues } from './issues.js'
import type { ResolvedBackend, ResolvedBind, ResolvedFrontend, ResolvedServer } from './resolved.js'

/** Binds from which such a server has no port. A rule may choose a backend, too: that is seen when it does. */
export function checkPorts(
  frontends: readonly ResolvedFrontend[],
  backends: readonly ResolvedBackend[],
  issues: Issues,
): void {
  for (const backend of backends) {
    const binds = frontends.flatMap((frontend) =>
      frontend.binds.filter((bind) => leadsTo(frontend, bind, backend.name)),
    )
    for (const server of backend.servers) {
      const why = binds.map((bind) => problem(bind, offsetOf(server))).find(Boolean)
      if (why) issues.add(['backends', backend.name, 'servers', server.name], why)
    }
  }
}

function leadsTo(frontend: ResolvedFrontend, bind: ResolvedBind, backend: string): boolean {
  return frontend.backend === backend || [...(bind.sniRoutes?.values() ?? [])].includes(backend)
}

function offsetOf({ address }: ResolvedServer): number | undefined {
  return 'offset' in address ? address.offset : undefined
}

function problem(bind: ResolvedBind, offset: number | undefined): string | undefined {
  // The port may be that of a PROXY header, or the one before NAT.
  const foreign = bind.acceptProxy || bind.originalDst || bind.transparent
  if (offset === undefined || foreign) return undefined
  const { address, path } = bind
  if (address.kind === 'unix')
    return `has the port that a client came to, and those of ${path}, a unix socket, come to none.`
  if (address.kind !== 'tcp' || address.port === 0) return undefined
  const port = address.port + offset
  if (port > 0 && port <= 65_535) return undefined
  return `has no port for clients of ${path}: ${address.port} and ${offset} is ${port}.`
}
