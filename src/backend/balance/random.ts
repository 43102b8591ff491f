/**
 * Draws servers at random by weight and takes the least busy of them. Two
 * draws keep the busiest server exponentially closer to the mean than one
 * (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing",
 * IEEE TPDS 12(10), 2001), without every proxy running to the same server.
 */

import type { Asker } from '../asker.js'
import { type Balancer, busier, type Candidate, isFree } from './balancer.js'
import { pickWeighted, WeightSums } from './weights.js'

export class Random<S extends Candidate> implements Balancer<S> {
  readonly #draws: number
  readonly #random: () => number
  #candidates: readonly S[] = []
  #sums = new WeightSums([])

  /** `draws`: at least 1. `random`: uniform in [0, 1); seed it with `seededRandom`. */
  constructor(draws: number, random: () => number = Math.random) {
    this.#draws = draws
    this.#random = random
  }

  update(candidates: readonly S[]): void {
    this.#candidates = candidates.slice()
    this.#sums = new WeightSums(candidates)
  }

  pick(_asker: Asker, avoid?: readonly S[]): S | undefined {
    let best: S | undefined
    for (let i = 0; i < this.#draws; i++) {
      const drawn = this.#draw(best)
      if (drawn === undefined) return undefined
      if (!isFree(drawn, avoid)) continue
      if (best === undefined || busier(best, drawn)) best = drawn
    }
    return best ?? this.#leastBusy(avoid)
  }

  /** One draw; a second chance where it is the one at hand, since that draw decides nothing. */
  #draw(again: S | undefined): S | undefined {
    const drawn = pickWeighted(this.#candidates, this.#sums, this.#random())
    return drawn === again ? pickWeighted(this.#candidates, this.#sums, this.#random()) : drawn
  }

  /** Every draw was full or avoided. */
  #leastBusy(avoid: readonly S[] | undefined): S | undefined {
    let best: S | undefined
    for (const candidate of this.#candidates) {
      if (!isFree(candidate, avoid)) continue
      if (best === undefined || busier(best, candidate)) best = candidate
    }
    return best
  }
}

/** A uniform generator over [0, 1) with a 32-bit seed (mulberry32), for tests and replays. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }
}
