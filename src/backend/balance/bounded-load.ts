/**
 * Bounded load for hashing (Mirrokni, Thorup, Zadimoghaddam, "Consistent
 * Hashing with Bounded Loads", SODA 2018): a server takes a session only while
 * it has less than its share of the sessions, times a factor.
 */

import type { Connection } from '../../policy/types.js'
import { type Candidate, isFree } from './balancer.js'

/** The key that is hashed. Must not throw. */
export type HashKey = (conn: Connection) => string | number

export class LoadBound<S extends Candidate> {
  readonly #percent: number
  #avoid: readonly S[] | undefined
  #sessions = 0
  #weights = 0

  /** `percent` of the mean load; 0 is off. Less than 100 cannot be kept and counts as 100. */
  constructor(percent: number) {
    this.#percent = percent === 0 ? 0 : Math.max(100, percent)
  }

  /**
   * Takes the loads of the moment; false where no candidate can be chosen. The
   * mean is that of the servers that have a slot left: full ones cannot take
   * their share, so the others must.
   */
  measure(candidates: readonly S[], avoid: readonly S[] | undefined): boolean {
    this.#avoid = avoid
    if (this.#percent === 0) {
      return avoid === undefined || candidates.some((candidate) => !avoid.includes(candidate))
    }
    this.#sessions = 1
    this.#weights = 0
    for (const candidate of candidates) {
      if (!isFree(candidate, avoid)) continue
      this.#sessions += candidate.sessions
      this.#weights += candidate.weight
    }
    return this.#weights > 0
  }

  /**
   * Whether the candidate may be chosen. Precondition: `measure` was true; then
   * some candidate may, since the bounds ceil(percent / 100 * sessions *
   * weight / weights) add up to the sessions, with the one that is being placed.
   *
   * Without a bound every candidate may, full or not: affinity is what hashing
   * is for, so the client waits for its server.
   */
  allows(candidate: S): boolean {
    if (this.#avoid?.includes(candidate)) return false
    if (this.#percent === 0) return true
    if (candidate.sessions >= candidate.limit) return false
    const share = (this.#percent * this.#sessions * candidate.weight) / (100 * this.#weights)
    return candidate.sessions < Math.ceil(share)
  }
}
