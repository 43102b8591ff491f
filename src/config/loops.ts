/** A server that is a bind of the proxy itself: a client that gets there makes connections without end. */

import type { ListenAddress } from '../engine/engine.js'
import type { ConfigIssue } from '../errors.js'
import { Issues } from './issues.js'
import type {
  ResolvedBackend,
  ResolvedConfig,
  ResolvedFrontend,
  ResolvedServer,
} from './resolved.js'

/** A way from one frontend to another. */
interface Step {
  from: string
  to: string
  backend: string
  server: string
}

/**
 * Servers through which a frontend leads back to itself. Only default backends and `sniRoutes`
 * are followed. `possible`: a rule or handler on the way may decide otherwise; a chain of
 * binds of one proxy is allowed.
 */
export function findLoops({
  frontends,
  backends,
}: Pick<ResolvedConfig, 'frontends' | 'backends'>): {
  certain: ConfigIssue[]
  possible: ConfigIssue[]
} {
  const steps = frontends.flatMap((frontend) => stepsFrom(frontend, frontends, backends))
  const decides = new Set(frontends.filter(hasPolicy).map(({ name }) => name))
  const found = { certain: new Issues(), possible: new Issues() }
  for (const step of steps) {
    const way = wayBack(step, steps)
    if (!way) continue
    const names = [step.from, ...way.map(({ to }) => to)]
    const list = names.some((name) => decides.has(name)) ? found.possible : found.certain
    list.add(
      ['backends', step.backend, 'servers', step.server],
      `is a bind of frontend '${step.to}' itself: one client makes connections until none are left (${names.join(' → ')}).`,
    )
  }
  return { certain: found.certain.list, possible: found.possible.list }
}

function stepsFrom(
  frontend: ResolvedFrontend,
  frontends: readonly ResolvedFrontend[],
  backends: readonly ResolvedBackend[],
): Step[] {
  const names = new Set(frontend.binds.flatMap(({ sniRoutes }) => [...(sniRoutes?.values() ?? [])]))
  if (frontend.backend !== undefined) names.add(frontend.backend)
  return backends
    .filter(({ name }) => names.has(name))
    .flatMap((backend) =>
      backend.servers.flatMap((server) =>
        frontends
          .filter(({ binds }) => binds.some(({ address }) => leadsTo(server, address)))
          .map((to) => ({
            from: frontend.name,
            to: to.name,
            backend: backend.name,
            server: server.name,
          })),
      ),
    )
}

/** Steps from where `first` ends to where it begins, itself in front; undefined where there are none. */
function wayBack(first: Step, steps: readonly Step[]): Step[] | undefined {
  const seen = new Set<Step>([first])
  let ways: Step[][] = [[first]]
  while (ways.length > 0) {
    const done = ways.find((way) => way.at(-1)?.to === first.from)
    if (done) return done
    ways = ways.flatMap((way) =>
      steps
        .filter((step) => step.from === way.at(-1)?.to && !seen.has(step))
        .map((step) => {
          seen.add(step)
          return [...way, step]
        }),
    )
  }
  return undefined
}

function hasPolicy(frontend: ResolvedFrontend): boolean {
  const { connectionRules, sessionRules, contentRules, helloRules, establishedRules } = frontend
  const rules = [connectionRules, sessionRules, contentRules, helloRules, establishedRules]
  return frontend.handshakes.length > 0 || rules.some((list) => list.length > 0)
}

/** Whether a connect to the server surely ends at a socket that listens there. */
function leadsTo({ address, socks }: ResolvedServer, bind: ListenAddress): boolean {
  if (socks) return false
  if (address.kind === 'unix') return bind.kind === 'unix' && bind.path === address.path
  if (address.kind === 'applet' || address.offset !== undefined) return false
  if (bind.kind !== 'tcp' || bind.port !== address.port) return false
  const ip = address.kind === 'ip' ? address.ip : address.host
  if (ip === bind.host) return bind.port !== 0
  if (ip === 'localhost') return ['127.0.0.1', '0.0.0.0', '::1', '::'].includes(bind.host)
  if (/^127\./.test(ip)) return bind.host === '0.0.0.0' || (bind.host === '::' && !bind.v6only)
  return ip === '::1' && bind.host === '::'
}
