/** Backends: balance, retries, stickiness, time-outs. Servers are in resolve-server.ts. */

import { formatDuration } from '../base/units.js'
import { type Checked, type Context, checkNames, finTimeout, ms } from './context.js'
import { defaults } from './defaults.js'
import { formatPath, type Path } from './issues.js'
import { resolveServer } from './resolve-server.js'
import type { ResolvedBackend, ResolvedBalance, ResolvedServer } from './resolved.js'
import type { BackendConfig, BalanceConfig } from './types.js'

export function resolveBackend(
  name: string,
  backend: Checked<BackendConfig>,
  context: Context,
): ResolvedBackend {
  const { config } = context
  const path = ['backends', name]
  const { timeouts = {} } = backend
  const connect = ms(
    timeouts.connect,
    config.timeouts?.connect,
    defaults.timeouts.connect,
  ) as number
  const server = ms(timeouts.server, config.timeouts?.server, defaults.timeouts.server) as number
  const retries = backend.retries ?? defaults.retries
  const retryDelay = ms(backend.retryDelay, defaults.retryDelay) as number
  if (backend.retryDelay !== undefined && retryDelay > connect) {
    context.warnings.add(
      [...path, 'retryDelay'],
      `is longer than the connect time-out, which is '${formatDuration(connect)}' and the most that is waited. Lower it, or raise timeouts.connect.`,
    )
  }
  return {
    name,
    balance: resolveBalance([...path, 'balance'], backend.balance, context),
    servers: resolveServers([...path, 'servers'], backend.servers, context),
    maxqueue: backend.maxqueue ?? defaults.maxqueue,
    retries,
    redispatch: resolveRedispatch([...path, 'redispatch'], backend, retries, context),
    retryDelay: Math.min(retryDelay, connect),
    allBackups: backend.allBackups ?? false,
    passive: resolvePassive([...path, 'passive'], backend.passive, context),
    stick: resolveStick([...path, 'stick'], backend.stick, context),
    timeouts: {
      server,
      serverFin:
        ms(timeouts.serverFin, config.timeouts?.serverFin) ??
        finTimeout(server, defaults.timeouts.serverFin),
      connect,
      queue: ms(timeouts.queue, config.timeouts?.queue) ?? connect,
      tunnel: ms(timeouts.tunnel, config.timeouts?.tunnel) ?? 0,
    },
  }
}

function resolveServers(
  path: string[],
  servers: BackendConfig['servers'] | undefined,
  context: Context,
): ResolvedServer[] {
  const { issues } = context
  if (servers && Object.keys(servers).length === 0)
    issues.add(path, 'expected at least one server.')
  checkNames(issues, path, Object.keys(servers ?? {}))
  const owners = new Map<number, string>()
  return Object.entries(servers ?? {}).flatMap(([name, written], i) => {
    // A wrong server keeps its position, so that the numbers of the others stay.
    const server =
      written === undefined ? undefined : resolveServer(name, i + 1, written, path, context)
    if (!server) return []
    const owner = owners.get(server.id)
    if (owner !== undefined) {
      const explicit = typeof written === 'object' && 'id' in written && written.id !== undefined
      const how = explicit
        ? `the id ${server.id}`
        : `its position gives it the id ${server.id}, which`
      issues.add(
        explicit ? [...path, name, 'id'] : [...path, name],
        `${how} is taken by server '${owner}'.`,
      )
    } else owners.set(server.id, name)
    return [server]
  })
}

function resolveBalance(
  path: Path,
  balance: BalanceConfig | undefined,
  context: Context,
): ResolvedBalance {
  const { issues } = context
  const bySource = (conn: { readonly src: string }) => conn.src
  if (balance === undefined) return { algorithm: 'roundrobin' }
  if (balance === 'random') return { algorithm: 'random', draws: defaults.draws }
  if (balance === 'source') return { algorithm: 'hash', key: bySource, type: 'map', boundedLoad: 0 }
  if (typeof balance === 'string') return { algorithm: balance }
  const wrongOptions = balance.algorithm === 'random' ? ['key', 'type', 'boundedLoad'] : ['draws']
  for (const option of wrongOptions) {
    if (balance.algorithm !== undefined && option in balance) {
      issues.add([...path, option], `is not for the algorithm '${balance.algorithm}'.`)
    }
  }
  if (balance.algorithm === 'random')
    return { algorithm: 'random', draws: balance.draws ?? defaults.draws }
  const { key = bySource, type = 'consistent', boundedLoad = 0 } = balance
  if (type === 'map' && boundedLoad > 0) {
    issues.add([...path, 'boundedLoad'], "needs the type 'consistent'.")
  }
  return { algorithm: 'hash', key, type, boundedLoad }
}

function resolveRedispatch(
  path: Path,
  { redispatch, stick }: Checked<BackendConfig>,
  retries: number,
  context: Context,
): number {
  if (redispatch === false) return 0
  if (redispatch === true) return 1
  // Who sticks to a server is better served by it a moment later than by another one.
  if (redispatch === undefined) return stick ? retries : 1
  if (redispatch > retries) {
    context.issues.add(path, `happens after ${redispatch} failures, but retries is ${retries}.`)
  }
  return redispatch
}

function resolvePassive(
  path: Path,
  passive: BackendConfig['passive'],
  context: Context,
): ResolvedBackend['passive'] {
  if (passive === false) return undefined
  const backoff = ms(passive?.backoff, defaults.passive.backoff) as number
  const maxBackoff =
    ms(passive?.maxBackoff) ?? Math.max(backoff, ms(defaults.passive.maxBackoff) as number)
  if (maxBackoff < backoff) {
    const least = `${formatPath([...path, 'backoff'])}, which is '${formatDuration(backoff)}'`
    context.issues.add(
      [...path, 'maxBackoff'],
      `is '${formatDuration(maxBackoff)}', less than ${least}. Raise it, or lower that one.`,
    )
  }
  return { failures: passive?.failures ?? defaults.passive.failures, backoff, maxBackoff }
}

function resolveStick(
  path: Path,
  stick: Checked<NonNullable<BackendConfig['stick']>> | undefined,
  context: Context,
): ResolvedBackend['stick'] {
  const { issues, names, config } = context
  if (!stick?.table) return undefined
  if (names.tables && !names.tables.includes(stick.table)) {
    issues.unknownName([...path, 'table'], 'table', stick.table, names.tables)
  } else {
    const table = config.tables?.[stick.table]
    if (table && !table.store?.serverId) {
      issues.add(
        [...path, 'table'],
        `the table '${stick.table}' does not store serverId; add store: { serverId: true } to it.`,
      )
    }
  }
  const mode = stick.mode ?? 'on'
  return {
    table: stick.table,
    key: stick.key ?? ((conn) => conn.src || undefined),
    match: mode !== 'store',
    store: mode !== 'match',
  }
}
