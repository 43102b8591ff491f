/**
 * Consistent hashing over a ring of points (Karger et al., STOC 1997; the
 * points of each server in the manner of ketama). A server that leaves takes
 * only its own keys with it, about one in n.
 */

import type { Asker } from '../asker.js'
import { hashKey, hashString, mix32 } from '../hash.js'
import type { Balancer, Candidate } from './balancer.js'
import { type HashKey, LoadBound } from './bounded-load.js'

/** Points of a server of mean weight. 160 keep the shares within about 8 % (1 / sqrt(160)). */
const POINTS = 160

export class ConsistentHash<S extends Candidate> implements Balancer<S> {
  readonly #key: HashKey
  readonly #bound: LoadBound<S>
  readonly #pointsPerWeight: number
  #candidates: readonly S[] = []
  /** Positions on the ring, ascending, and the candidate at each. */
  #points = new Uint32Array(0)
  #owners = new Uint16Array(0)

  /**
   * `boundedLoad`: percent of the mean load, 0 is off. `meanWeight`: of the
   * configured servers. It is fixed, because the points of a server must
   * depend on nothing but its own name and weight.
   */
  constructor(key: HashKey, boundedLoad: number, meanWeight: number) {
    this.#key = key
    this.#bound = new LoadBound(boundedLoad)
    // A power of two, so that another server in the configuration rarely moves everybody's points.
    this.#pointsPerWeight = POINTS / 2 ** Math.round(Math.log2(Math.max(1, meanWeight)))
  }

  update(candidates: readonly S[]): void {
    this.#candidates = candidates.slice()
    const counts = candidates.map(({ weight }) =>
      Math.max(1, Math.round(weight * this.#pointsPerWeight)),
    )
    // Position and owner in one number below 2^48, so that a numeric sort orders both.
    const ring = new Float64Array(counts.reduce((sum, count) => sum + count, 0))
    let at = 0
    for (const [i, { name }] of candidates.entries()) {
      const base = hashString(name)
      for (let replica = 0; replica < (counts[i] as number); replica++) {
        const point = mix32(base + Math.imul(replica + 1, 0x9e3779b9))
        ring[at++] = point * 0x1_0000 + i
      }
    }
    ring.sort()
    this.#points = Uint32Array.from(ring, (point) => Math.floor(point / 0x1_0000))
    this.#owners = Uint16Array.from(ring, (point) => point % 0x1_0000)
  }

  pick(asker: Asker, avoid?: readonly S[]): S | undefined {
    const count = this.#points.length
    const candidates = this.#candidates
    if (count === 0 || !this.#bound.measure(candidates, avoid)) return undefined
    let at = this.#after(hashKey(this.#key(asker.connection)))
    for (let i = 0; i < count; i++, at++) {
      if (at >= count) at = 0
      const candidate = candidates[this.#owners[at] as number] as S
      if (this.#bound.allows(candidate)) return candidate
    }
    return undefined
  }

  /** Index of the first point at or behind `position`; the length of the ring where there is none. */
  #after(position: number): number {
    const points = this.#points
    let low = 0
    let high = points.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((points[middle] as number) < position) low = middle + 1
      else high = middle
    }
    return low
  }
}
