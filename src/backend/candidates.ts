/** Which servers of a backend may have a session. */

import { isFree } from './balance/balancer.js'
import type { BackendServer } from './server.js'

/** Whether sessions may be given to the server: those that stick to it, or all. */
export function serves(server: BackendServer): boolean {
  return server.active || server.takesSticky
}

/** The servers that go first: regular ones, else the first backup, or all where they share. */
export function inFront(
  servers: readonly BackendServer[],
  allBackups: boolean,
): readonly BackendServer[] {
  const regular = servers.filter(({ config }) => !config.backup)
  if (regular.length > 0) return regular
  return allBackups ? servers : servers.slice(0, 1)
}

/**
 * The marked server with a free slot whose failure is longest ago, for a session that has tried
 * those without a mark. `backups`: backup servers, too, as they serve.
 */
export function leastBad(
  servers: readonly BackendServer[],
  backups: boolean,
  avoid: readonly BackendServer[],
): BackendServer | undefined {
  let best: BackendServer | undefined
  for (const server of servers) {
    const { active, enabled, config } = server
    if (active || !enabled || (config.backup && !backups) || !isFree(server, avoid)) continue
    if (server.marked && (!best || server.markedAt < best.markedAt)) best = server
  }
  return best
}
