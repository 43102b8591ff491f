/** Backends: balance, retries, stickiness, time-outs. Servers are in resolve-server.ts. */

import { formatDuration } from '../base/units.js'
import {
  backend as backendSection,
  passive as passiveSection,
  stick as stickSection,
} from '../options/backend.js'
import { algorithmOptions } from '../options/balance.js'
import type { Checked } from '../options/section.js'
import { backendTimeouts, resolveTimeouts } from '../options/timeouts.js'
import type { BackendConfig, BalanceConfig } from '../options/written.js'
import type { Context } from './context.js'
import { formatPath, type Path } from './issues.js'
import { checkNames } from './names.js'
import { resolveServer } from './resolve-server.js'
import type { ResolvedBackend, ResolvedServer } from './resolved.js'

export function resolveBackend(
  name: string,
  backend: Checked<BackendConfig>,
  context: Context,
): ResolvedBackend {
  const path = ['backends', name]
  const { mode: _, ...options } = backendSection.resolve(backend)
  const timeouts = resolveTimeouts(backendTimeouts, backend.timeouts, context.config.timeouts)
  const { connect } = timeouts
  if (backend.retryDelay !== undefined && options.retryDelay > connect) {
    context.warnings.add(
      [...path, 'retryDelay'],
      `is longer than the connect time-out, which is '${formatDuration(connect)}' and the most that is waited. Lower it, or raise timeouts.connect.`,
    )
  }
  checkBalance([...path, 'balance'], backend.balance, context)
  return {
    ...options,
    name,
    servers: resolveServers([...path, 'servers'], backend.servers, context),
    redispatch: resolveRedispatch([...path, 'redispatch'], backend, options.retries, context),
    retryDelay: Math.min(options.retryDelay, connect),
    passive: resolvePassive([...path, 'passive'], backend.passive, context),
    stick: resolveStick([...path, 'stick'], backend.stick, context),
    timeouts,
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

/** The algorithms that have options, and options that are for the other one. */
function checkBalance(path: Path, balance: BalanceConfig | undefined, { issues }: Context): void {
  if (typeof balance !== 'object') return
  // A wrong algorithm was told, and is undefined now.
  const { algorithm }: { algorithm?: keyof typeof algorithmOptions } = balance
  const own = algorithm && algorithmOptions[algorithm]
  for (const option of Object.values(algorithmOptions).flatMap(Object.keys)) {
    if (own && option in balance && !(option in own))
      issues.add([...path, option], `is not for the algorithm '${algorithm}'.`)
  }
  if (balance.algorithm !== 'random' && balance.type === 'map' && (balance.boundedLoad ?? 0) > 0) {
    issues.add([...path, 'boundedLoad'], "needs the type 'consistent'.")
  }
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
  const { failures, backoff, maxBackoff } = passiveSection.resolve(passive ?? {})
  const most = passive?.maxBackoff === undefined ? Math.max(backoff, maxBackoff) : maxBackoff
  if (most < backoff) {
    const least = `${formatPath([...path, 'backoff'])}, which is '${formatDuration(backoff)}'`
    context.issues.add(
      [...path, 'maxBackoff'],
      `is '${formatDuration(most)}', less than ${least}. Raise it, or lower that one.`,
    )
  }
  return { failures, backoff, maxBackoff: most }
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
  const { table, key, mode } = stickSection.resolve(stick)
  return {
    table,
    key,
    match: mode !== 'store',
    store: mode !== 'match',
  }
}
