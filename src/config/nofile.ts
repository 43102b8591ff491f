/** The limit of file descriptors, and what follows from it. */

import { readFileSync } from 'node:fs'
import { MAX_DEFAULT_MAXCONN } from './defaults.js'

/** Descriptors that are not sockets of sessions: listeners, pollers, logs, pipes, DNS. */
const RESERVED = 64
/** Where the limit cannot be read. */
const UNKNOWN_MAXCONN = 8192

/** Soft limit of open files of this process; undefined where the system does not tell (no Linux). */
export function fileLimit(
  read = () => readFileSync('/proc/self/limits', 'utf8'),
): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(read())?.[1]
    if (soft === undefined) return undefined
    return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
  } catch {
    return undefined
  }
}

/** Connections at once by default: each session takes two descriptors. */
export function defaultMaxconn(limit = fileLimit()): number {
  if (limit === undefined) return UNKNOWN_MAXCONN
  return Math.max(1, Math.min(MAX_DEFAULT_MAXCONN, Math.floor((limit - RESERVED) / 2)))
}
