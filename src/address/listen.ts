/** Addresses of listeners, the same on every engine. */

import type { ListenAddress } from '../engine/engine.js'
import { formatHostPort, scopeOf } from './address.js'

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
