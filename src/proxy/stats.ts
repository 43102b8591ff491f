/** The numbers of a proxy. */

import type { Backend } from '../backend/backend.js'
import type { ResolvedPlugin } from '../config/resolved.js'
import type { Frontend } from '../flow/frontend.js'
import type { BackendStats, ProxyStats } from '../policy/stats.js'
import type { StickTable } from '../tables/stick-table.js'

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
