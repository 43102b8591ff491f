/** Addresses of listeners, the same on every engine. */

import { formatHostPort, scopeOf } from './address.js'

/** Where to listen. Port 0 picks a free port. */
export type ListenAddress =
  | { kind: 'tcp'; host: string; port: number; v6only?: boolean }
  /** A path that begins with '@' is a name in Linux's abstract namespace. */
  | { kind: 'unix'; path: string; mode?: number }
  | { kind: 'fd'; fd: number }

/** One line for messages and logs: '127.0.0.1:80', '[::1]:80', 'unix:/run/a.sock', 'fd@3'. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  if (address.kind === 'fd') return `fd@${address.fd}`
  return formatHostPort(address.host, address.port)
}

/** An address as the system tells it, with the scope that was asked for: not every system tells it. */
export function withScope(ip: string, asked: ListenAddress): string {
  return `${ip.replace(/%.*/, '')}${asked.kind === 'tcp' ? scopeOf(asked.host) : ''}`
}
