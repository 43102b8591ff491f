/**
 * Hash by a map: the key's hash modulo the sum of weights. The distribution
 * is exact and the look-up cheap, but most keys move when a server comes or
 * goes.
 */

import type { Asker } from '../asker.js'
import { hashKey } from '../hash.js'
import type { Balancer, Candidate } from './balancer.js'
import { type HashKey, LoadBound } from './bounded-load.js'
import { WeightSums } from './weights.js'

export class HashMap<S extends Candidate> implements Balancer<S> {
  readonly #key: HashKey
  readonly #bound: LoadBound<S>
  #candidates: readonly S[] = []
  #sums = new WeightSums([])

  /** `boundedLoad`: percent of the mean load, 0 is off. */
  constructor(key: HashKey, boundedLoad: number) {
    this.#key = key
    this.#bound = new LoadBound(boundedLoad)
  }

  update(candidates: readonly S[]): void {
    this.#candidates = candidates.slice()
    this.#sums = new WeightSums(candidates)
  }

  pick(asker: Asker, avoid?: readonly S[]): S | undefined {
    const candidates = this.#candidates
    const count = candidates.length
    if (count === 0 || !this.#bound.measure(candidates, avoid)) return undefined
    let at = this.#sums.indexOf(hashKey(this.#key(asker.connection)) % this.#sums.total)
    for (let i = 0; i < count; i++, at++) {
      if (at === count) at = 0
      const candidate = candidates[at] as S
      if (this.#bound.allows(candidate)) return candidate
    }
    return undefined
  }
}
