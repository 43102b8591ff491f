/** The limit of file descriptors, and what follows from it. Node has raised the soft limit to the hard one. */

import { readFileSync } from 'node:fs'
import { MAX_DEFAULT_MAXCONN } from '../options/limits.js'

/** Descriptors of the process itself: standard streams, Node's and the engine's pollers, logs, DNS. */
const RESERVED = 64
/** Sessions for each pipe, where the number of pipes follows from that of sessions. */
const SESSIONS_A_PIPE = 4
/** Where the limit cannot be read. */
const UNKNOWN_LIMIT = 20_544

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

export interface Descriptors {
  /** Connections at once, two descriptors each. */
  maxconn: number
  /** Pipes at once, two descriptors each. */
  maxpipes: number
  /** Descriptors that what is configured takes, where that is more than there are. */
  missing: { needed: number; limit: number } | undefined
}

/**
 * Shares the descriptors out. What is configured is kept where it fits; sessions go before
 * pipes, without which payload is copied. `sockets`: those that listen.
 */
export function shareDescriptors(
  wanted: { maxconn?: number | undefined; maxpipes?: number | undefined; sockets?: number },
  limit = fileLimit(),
): Descriptors {
  const own = RESERVED + (wanted.sockets ?? 0)
  // An unknown limit is a guess for defaults, and no reason to refuse anything.
  const pairs = Math.max(1, Math.floor(((limit ?? UNKNOWN_LIMIT) - own) / 2))
  const most = limit === undefined ? Number.POSITIVE_INFINITY : pairs
  const standard = Math.max(1, sessionsOf(pairs, wanted.maxpipes))
  const asked = wanted.maxconn ?? Math.min(MAX_DEFAULT_MAXCONN, standard)
  const fits = asked <= most
  const maxconn = fits ? asked : standard
  const askedPipes = wanted.maxpipes ?? Math.floor(maxconn / SESSIONS_A_PIPE)
  const maxpipes = Math.max(0, Math.min(askedPipes, most - maxconn))
  const short = !fits || (wanted.maxpipes ?? 0) > maxpipes
  const needed = own + 2 * (asked + (wanted.maxpipes ?? 0))
  return { maxconn, maxpipes, missing: short ? { needed, limit: limit ?? 0 } : undefined }
}

/** Sessions for which there is room beside their pipes. */
function sessionsOf(pairs: number, pipes: number | undefined): number {
  if (pipes !== undefined) return pairs - pipes
  return Math.floor((pairs * SESSIONS_A_PIPE) / (SESSIONS_A_PIPE + 1))
}
