/** The numbers of a proxy. */

import type { Backend } from '../backend/backend.js'
import type { ResolvedPlugin } from '../config/resolved.js'
import type { EngineStats } from '../engine/engine.js'
import type { Frontend } from '../flow/frontend.js'
import type { MetricStats } from '../policy/metrics.js'
import type { StickTable } from '../tables/stick-table.js'

export interface FrontendStats {
  /** Connections that policy heard of and that are open now. */
  current: number
  connections: number
  sessions: number
  policyErrors: number
  lateVerdicts: number
  /** TLS handshakes with clients that were completed, and those of them that resumed a session. */
  tlsHandshakes: number
  tlsResumed: number
  /** Bytes from and to the clients of ended sessions. */
  bytesIn: number
  bytesOut: number
  /** Ended connections by 'by/phase/code'. */
  ends: Record<string, number>
}

export interface BackendStats {
  queued: number
  servers: Record<string, { sessions: number; status: string; weight: number }>
}

export interface ProxyStats {
  engine: EngineStats | undefined
  connections: number
  /** TLS handshakes with clients that are under way, and those that wait for their turn. */
  tlsHandshakes: { running: number; waiting: number }
  frontends: Record<string, FrontendStats>
  backends: Record<string, BackendStats>
  tables: Record<string, { entries: number; size: number }>
  /** Metrics of plugins, by the name of the use and the metric's. */
  plugins: Record<string, Record<string, MetricStats>>
  /** Log lines that were given up: not read in time, or not to be written. */
  logDropped: number
}

export function frontendStats(frontends: Iterable<Frontend>): ProxyStats['frontends'] {
  const stats: ProxyStats['frontends'] = {}
  for (const frontend of frontends) {
    const { current, connections, sessions, policyErrors, lateVerdicts } = frontend
    const { bytesIn, bytesOut, tlsHandshakes, tlsResumed } = frontend
    stats[frontend.name] = {
      ...{ current, connections, sessions, policyErrors, lateVerdicts },
      ...{ tlsHandshakes, tlsResumed, bytesIn, bytesOut },
      ends: frontend.ends(),
    }
  }
  return stats
}

export function backendStats(backends: Iterable<Backend>): ProxyStats['backends'] {
  const stats: ProxyStats['backends'] = {}
  for (const backend of backends) {
    const servers: BackendStats['servers'] = {}
    for (const { name, sessions, status, weight } of backend.servers) {
      servers[name] = { sessions, status, weight }
    }
    stats[backend.name] = { queued: backend.queued, servers }
  }
  return stats
}

export function tableStats(tables: Iterable<StickTable>): ProxyStats['tables'] {
  const stats: ProxyStats['tables'] = {}
  for (const { name, entries, config } of tables) stats[name] = { entries, size: config.size }
  return stats
}

export function pluginStats(plugins: Iterable<ResolvedPlugin>): ProxyStats['plugins'] {
  const stats: ProxyStats['plugins'] = {}
  for (const plugin of plugins) stats[plugin.name] = plugin.stats()
  return stats
}
