/** The numbers of a proxy, as `stats()` gives them. */

import type { EngineStats } from '../engine/engine.js'
import type { MetricStats } from './metrics.js'

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
