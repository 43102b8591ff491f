/**
 * Smooth weighted round robin: at each turn every server gains its weight, the
 * one that has gained most is chosen and pays the sum of the weights. Servers of
 * weight 5, 1, 1 come as a a b a c a a, never as a burst of one server.
 * (The algorithm of nginx, commit 52327e0627f4, 2012.)
 *
 * Equal weights are a plain rotation, in O(1); unequal ones cost O(n).
 */

import type { Asker } from '../asker.js'
import { type Balancer, type Candidate, isFree } from './balancer.js'

export class RoundRobin<S extends Candidate> implements Balancer<S> {
  #candidates: readonly S[] = []
  /** What each candidate has gained. */
  #gained = new Float64Array(0)
  #equal = true
  /** The last choice in a rotation, and the position after it. */
  #last: S | undefined
  #next = 0

  update(candidates: readonly S[]): void {
    // A server that stays keeps what it has gained, else every change would favour the first.
    const gained = new Float64Array(candidates.length)
    for (const [i, candidate] of candidates.entries()) {
      gained[i] = this.#gained[this.#candidates.indexOf(candidate)] ?? 0
    }
    this.#candidates = candidates.slice()
    this.#gained = gained
    this.#equal = candidates.every(({ weight }) => weight === candidates[0]?.weight)
    if (this.#last) {
      const at = candidates.indexOf(this.#last)
      if (at >= 0) this.#next = at + 1
    }
  }

  pick(_asker: Asker, avoid?: readonly S[]): S | undefined {
    return this.#equal ? this.#rotate(avoid) : this.#weigh(avoid)
  }

  #rotate(avoid: readonly S[] | undefined): S | undefined {
    const candidates = this.#candidates
    const count = candidates.length
    let at = this.#next
    for (let i = 0; i < count; i++, at++) {
      if (at >= count) at = 0
      const candidate = candidates[at] as S
      if (!isFree(candidate, avoid)) continue
      this.#next = at + 1
      this.#last = candidate
      return candidate
    }
    return undefined
  }

  #weigh(avoid: readonly S[] | undefined): S | undefined {
    const candidates = this.#candidates
    const gained = this.#gained
    let best = -1
    let total = 0
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i] as S
      if (!isFree(candidate, avoid)) continue
      total += candidate.weight
      gained[i] = (gained[i] as number) + candidate.weight
      if (best < 0 || (gained[i] as number) > (gained[best] as number)) best = i
    }
    if (best < 0) return undefined
    gained[best] = (gained[best] as number) - total
    this.#last = candidates[best]
    return this.#last
  }
}
