/** Binds: from addresses as written to one entry for each listening socket. */

import { type ListenAddress, readBindAddress } from '../address/bind.js'
import { CidrBlocks } from '../address/set.js'
import { formatListenAddress, normalIp } from '../address/text.js'
import { bind as bindSection } from '../options/bind.js'
import { noLiveness } from '../options/liveness.js'
import { type Checked, namesOf } from '../options/section.js'
import type { BindConfig, FrontendConfig } from '../options/written.js'
import type { Context } from './context.js'
import { formatPath, type Issues, type Path } from './issues.js'
import { resolveDownstreamTls, resolveSniRoutes } from './resolve-tls.js'
import type { ResolvedBind } from './resolved.js'

const TCP_OPTIONS = namesOf(bindSection, 'tcpOnly')

/** Each entry of `bind` with its path, in order. */
export function resolveBinds(
  path: Path,
  bind: FrontendConfig['bind'] | undefined,
  frontendMaxconn: number,
  context: Context,
): ResolvedBind[] {
  if (bind === undefined) return []
  const list = Array.isArray(bind) ? bind : [bind]
  if (list.length === 0)
    context.issues.add(path, 'expected at least one address, got an empty list.')
  return list.flatMap((entry: string | Checked<BindConfig> | undefined, i) => {
    const at = Array.isArray(bind) ? [...path, i] : path
    if (typeof entry === 'string')
      return resolveBind(at, at, { address: entry }, frontendMaxconn, context)
    return entry ? resolveBind(at, [...at, 'address'], entry, frontendMaxconn, context) : []
  })
}

function resolveBind(
  path: Path,
  addressPath: Path,
  bind: Checked<BindConfig>,
  frontendMaxconn: number,
  context: Context,
): ResolvedBind[] {
  const { issues } = context
  if (typeof bind.acceptProxy === 'object') {
    checkCidrs(issues, [...path, 'acceptProxy', 'from'], bind.acceptProxy.from)
  }
  const tls = resolveDownstreamTls([...path, 'tls'], bind.tls, context)
  const sniRoutes = resolveSniRoutes([...path, 'sniRoutes'], bind.sniRoutes, context)
  for (const option of ['tls', 'sniRoutes'] as const) {
    if (bind.health && bind[option])
      issues.add([...path, option], "is for connections with payload, and 'health' ends them all.")
  }
  if (bind.startTls === 'rule' && bind.tls === undefined) {
    issues.add([...path, 'startTls'], "needs 'tls': without it there is none to start.")
  }
  if (bind.address === undefined) return []
  const parsed = readBindAddress(bind.address, {
    port: bind.port,
    v6only: bind.v6only,
    mode: bind.mode === undefined ? undefined : Number.parseInt(bind.mode, 8),
    env: context.env,
    allowNoSockets: context.allowNoSockets,
  })
  if ('message' in parsed) {
    issues.add(addressPath, parsed.message, parsed.suggestion)
    return []
  }
  const kind = parsed.value[0]?.kind
  const isUnix = kind === 'unix'
  for (const option of TCP_OPTIONS) {
    if (isUnix && bind[option])
      issues.add([...path, option], `is for TCP, not for '${bind.address}'.`)
  }
  if (kind === 'fd' && bind.reusePort) {
    issues.add([...path, 'reusePort'], 'is for sockets that are opened here, not inherited ones.')
  }
  const { port, v6only, mode, ...options } = bindSection.resolve(bind)
  return parsed.value.map((address) => ({
    ...options,
    ...(isUnix ? noLiveness : {}),
    address,
    path: formatPath(path),
    maxconn: options.maxconn ?? frontendMaxconn,
    tls,
    sniRoutes,
  }))
}

export function checkCidrs(issues: Issues, path: Path, cidrs: string[] | undefined): void {
  if (cidrs?.length === 0) issues.add(path, 'expected at least one address, got an empty list.')
  const blocks = new CidrBlocks()
  for (const [i, cidr] of (cidrs ?? []).entries()) {
    const wrong = cidr === undefined ? undefined : blocks.add(cidr)
    if (wrong !== undefined) issues.add([...path, i], wrong)
  }
}

/** The same address twice, or a dual-stack '[::]' beside '0.0.0.0' on one port. One issue for each pair of binds. */
export function checkOverlaps(issues: Issues, binds: ResolvedBind[]): void {
  const owners = new Map<string, ResolvedBind>()
  const told = new Set<string>()
  for (const bind of binds) {
    for (const key of claims(bind.address)) {
      const owner = owners.get(key)
      owners.set(key, owner ?? bind)
      if (!owner || owner === bind || told.has(`${owner.path} ${bind.path}`)) continue
      told.add(`${owner.path} ${bind.path}`)
      const where = owner.path === bind.path ? 'here' : `by ${owner.path}`
      issues.list.push({
        path: bind.path,
        message: `${formatListenAddress(bind.address)} is bound already ${where}.`,
      })
    }
  }
}

/** What a socket takes for itself. Port 0 is a new port each time and takes nothing. */
function claims(address: ListenAddress): string[] {
  if (address.kind !== 'tcp') return [formatListenAddress(address)]
  if (address.port === 0) return []
  const host = normalIp(address.host)
  const dual = host === '::' && !address.v6only
  return dual ? [`${host} ${address.port}`, `0.0.0.0 ${address.port}`] : [`${host} ${address.port}`]
}
