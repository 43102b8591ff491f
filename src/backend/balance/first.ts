/**
 * The first server, by id, that has a free slot: a few servers work and the
 * others may sleep. Makes sense with `maxconn` only.
 */

import type { Connection } from '../../rules/types.js'
import type { Balancer, Candidate } from './balancer.js'

export class First<S extends Candidate> implements Balancer<S> {
  #candidates: readonly S[] = []

  update(candidates: readonly S[]): void {
    this.#candidates = candidates.slice().sort((a, b) => a.id - b.id)
  }

  pick(_conn: Connection, avoid: S | undefined): S | undefined {
    for (const candidate of this.#candidates) {
      if (candidate.sessions < candidate.limit && candidate !== avoid) return candidate
    }
    return undefined
  }
}
