/**
 * The first server, by id, that has a free slot: a few servers work and the
 * others may sleep. Makes sense with `maxconn` only.
 */

import type { Asker } from '../asker.js'
import { type Balancer, type Candidate, isFree } from './balancer.js'

export class First<S extends Candidate> implements Balancer<S> {
  #candidates: readonly S[] = []

  update(candidates: readonly S[]): void {
    this.#candidates = candidates.slice().sort((a, b) => a.id - b.id)
  }

  pick(_asker: Asker, avoid?: readonly S[]): S | undefined {
    return this.#candidates.find((candidate) => isFree(candidate, avoid))
  }
}
