/** Options of sockets as Node takes them. */

import type { LivenessSpec } from '../engine.js'

/** Keep-alive for createServer() and connect(): its start is ours, interval and count are libuv's. */
export function keepAlive({ keepAlive: spec }: LivenessSpec): {
  keepAlive?: true
  keepAliveInitialDelay?: number
} {
  return spec ? { keepAlive: true, keepAliveInitialDelay: spec.idle * 1000 } : {}
}

/** True for a name in Linux's abstract namespace, which is no file. */
export function isAbstract(path: string): boolean {
  return path.startsWith('@')
}

export function unixPath(path: string): string {
  return isAbstract(path) ? `\0${path.slice(1)}` : path
}
