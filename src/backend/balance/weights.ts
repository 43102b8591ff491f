/** Finding a candidate by its share of the sum of weights. */

import type { Candidate } from './balancer.js'

/** Running sums of weights: `ends[i]` is the sum up to and with candidate i. */
export class WeightSums {
  readonly ends: Int32Array
  readonly total: number

  constructor(candidates: readonly Candidate[]) {
    this.ends = new Int32Array(candidates.length)
    let total = 0
    for (const [i, { weight }] of candidates.entries()) this.ends[i] = total += weight
    this.total = total
  }

  /** Index of the candidate whose share holds `point`, in [0, total). O(log n). */
  indexOf(point: number): number {
    let low = 0
    let high = this.ends.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (point < (this.ends[middle] as number)) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** `fraction` in [0, 1); undefined where there are no candidates. */
export function pickWeighted<S extends Candidate>(
  candidates: readonly S[],
  sums: WeightSums,
  fraction: number,
): S | undefined {
  return candidates[sums.indexOf(fraction * sums.total)]
}
