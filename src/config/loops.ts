/** A server that is a bind of the proxy itself: a client that gets there makes connections without end. */

import { resolve } from 'node:path'
import type { ListenAddress } from '../address/bind.js'
import { normalIp } from '../address/text.js'
import type { ConfigIssue } from '../base/errors.js'
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
 * are followed. `possible`: a rule on the way may decide otherwise; a chain of
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
  const ports = portsOf(frontend)
  return backends
    .filter(({ name }) => names.has(name))
    .flatMap((backend) =>
      backend.servers.flatMap((server) =>
        frontends
          .filter(({ binds }) => binds.some(({ address }) => leadsTo(server, address, ports)))
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
  return Object.values(frontend.rules).some((list) => list.length > 0)
}

/** Ports that clients come to, as far as no PROXY header says another one. */
function portsOf({ binds }: ResolvedFrontend): Set<number> {
  const ports = new Set<number>()
  for (const { address, acceptProxy } of binds) {
    if (address.kind === 'tcp' && address.port !== 0 && !acceptProxy) ports.add(address.port)
  }
  return ports
}

/** Whether a connect to the server surely ends at a socket that listens there. `ports`: where its client came to. */
function leadsTo(
  { address, socks }: ResolvedServer,
  bind: ListenAddress,
  ports: ReadonlySet<number>,
): boolean {
  if (socks || address.kind === 'applet') return false
  if (address.kind === 'unix')
    return bind.kind === 'unix' && samePath(bind.path) === samePath(address.path)
  if (bind.kind !== 'tcp' || bind.port === 0) return false
  // '+1' goes on until there is no bind at such a port; '+0' stays.
  if (address.offset === undefined) {
    if (bind.port !== address.port) return false
  } else if (address.offset !== 0 || !ports.has(bind.port)) return false
  return reaches(address.kind === 'ip' ? address.ip : address.host, bind.host, bind.v6only === true)
}

function reaches(ip: string, host: string, v6only: boolean): boolean {
  if (ip === host || sameIp(ip, host)) return true
  if (ip === 'localhost') return ['127.0.0.1', '0.0.0.0', '::1', '::'].includes(host)
  // The kernel takes a connect to the wildcard as one to this host.
  if (ip === '0.0.0.0') return host === '127.0.0.1' || (host === '::' && !v6only)
  if (ip === '::') return host === '::1'
  if (/^127\./.test(ip)) return host === '0.0.0.0' || (host === '::' && !v6only)
  return sameIp(ip, '::1') && host === '::'
}

function sameIp(a: string, b: string): boolean {
  const ip = normalIp(a)
  return ip !== undefined && ip === normalIp(b)
}

/** Abstract names are no paths. */
function samePath(path: string): string {
  return path.startsWith('@') ? path : resolve(path)
}
