/** Keep-alive as Node sets it: its start is ours, its interval and count are libuv's. */

import type { LivenessSpec } from '../engine.js'

/** Options of createServer() and connect(). */
export function keepAlive({ keepAlive: spec }: LivenessSpec): {
  keepAlive?: true
  keepAliveInitialDelay?: number
} {
  return spec ? { keepAlive: true, keepAliveInitialDelay: spec.idle * 1000 } : {}
}
