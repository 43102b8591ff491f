/**
 * The server with the fewest sessions for its weight; round robin among equals,
 * so that idle servers share short connections.
 */

import type { Asker } from '../asker.js'
import { type Balancer, busier, type Candidate, isFree } from './balancer.js'

export class LeastConn<S extends Candidate> implements Balancer<S> {
  #candidates: readonly S[] = []
  /** Where the search starts: behind the last choice. */
  #next = 0

  update(candidates: readonly S[]): void {
    this.#candidates = candidates.slice()
    if (this.#next > candidates.length) this.#next = 0
  }

  pick(_asker: Asker, avoid?: readonly S[]): S | undefined {
    const candidates = this.#candidates
    const count = candidates.length
    let best: S | undefined
    let at = this.#next
    for (let i = 0; i < count; i++, at++) {
      if (at >= count) at = 0
      const candidate = candidates[at] as S
      if (!isFree(candidate, avoid)) continue
      if (best === undefined || busier(best, candidate)) {
        best = candidate
        this.#next = at + 1
      }
    }
    return best
  }
}
