/** The line that says what the proxy is doing, from the differences of its statistics. */

import { formatBytes } from '../log/format.js'
import type { ProxyStats } from '../policy/stats.js'

/** The part of the statistics that is used. */
export type LiveStats = Pick<ProxyStats, 'connections'> & {
  frontends: Record<
    string,
    Pick<ProxyStats['frontends'][string], 'connections' | 'bytesIn' | 'bytesOut' | 'ends'>
  >
}

interface Totals {
  now: number
  connections: number
  bytesIn: number
  bytesOut: number
  ends: Map<string, number>
}

/** Reasons that are told by name; the rest is summed up. */
const MAX_REASONS = 3

export class LiveMeter {
  #last: Totals

  /** `now`: ms of any clock that does not go back. */
  constructor(stats: LiveStats, now: number) {
    this.#last = totals(stats, now)
  }

  /** What happened since the last call, in one line. */
  next(stats: LiveStats, now: number): string {
    const before = this.#last
    const after = totals(stats, now)
    this.#last = after
    const seconds = Math.max(after.now - before.now, 1) / 1000
    const rate = (key: 'connections' | 'bytesIn' | 'bytesOut') =>
      Math.max(0, after[key] - before[key]) / seconds
    const ended = [...after.ends]
      .map(([reason, count]): [string, number] => [reason, count - (before.ends.get(reason) ?? 0)])
      .filter(([, count]) => count > 0)
      .sort((a, b) => b[1] - a[1])
    return [
      `${stats.connections} open`,
      `${formatCount(rate('connections'))} conn/s`,
      `in ${formatBytes(rate('bytesIn'))}/s`,
      `out ${formatBytes(rate('bytesOut'))}/s`,
      ...(ended.length > 0 ? [`ended ${formatEnds(ended)}`] : []),
    ].join('  ')
  }
}

function totals(stats: LiveStats, now: number): Totals {
  const sum: Totals = { now, connections: 0, bytesIn: 0, bytesOut: 0, ends: new Map() }
  for (const frontend of Object.values(stats.frontends)) {
    sum.connections += frontend.connections
    sum.bytesIn += frontend.bytesIn
    sum.bytesOut += frontend.bytesOut
    for (const [reason, count] of Object.entries(frontend.ends)) {
      sum.ends.set(reason, (sum.ends.get(reason) ?? 0) + count)
    }
  }
  return sum
}

function formatEnds(ended: [string, number][]): string {
  const named = ended.slice(0, MAX_REASONS).map(([reason, count]) => `${count} ${reason}`)
  const rest = ended.slice(MAX_REASONS).reduce((sum, [, count]) => sum + count, 0)
  return [...named, ...(rest > 0 ? [`${rest} others`] : [])].join(', ')
}

/** Three figures are enough for a glance: '0', '4.2', '812', '25.4 k'. */
export function formatCount(value: number): string {
  if (value >= 999.5) return `${Number((value / 1000).toPrecision(3))} k`
  return String(Number(value.toPrecision(3)))
}
