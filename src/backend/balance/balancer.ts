/** What every balance algorithm implements, and what it sees of a server. */

import type { Asker } from '../asker.js'

export interface Candidate {
  readonly name: string
  readonly id: number
  /** 1 to 256: a server of weight 0 is no candidate. */
  readonly weight: number
  /** Sessions that hold a slot. */
  readonly sessions: number
  /** Most sessions at once; Infinity where there is no limit. */
  readonly limit: number
}

export interface Balancer<S extends Candidate> {
  /** The candidates or their weights changed. Called before the first `pick`. */
  update(candidates: readonly S[]): void
  /**
   * Chooses a server that is not among `avoid`, or undefined where every one of
   * them is full. Only algorithms with affinity may answer a server that is
   * full: the client then waits for exactly that one.
   */
  pick(asker: Asker, avoid?: readonly S[]): S | undefined
}

/** Whether the candidate has a free slot and is not avoided. */
export function isFree<S extends Candidate>(
  candidate: S,
  avoid: readonly S[] | undefined,
): boolean {
  return candidate.sessions < candidate.limit && !(avoid?.includes(candidate) ?? false)
}

/** Whether a has more sessions for its weight than b. */
export function busier(a: Candidate, b: Candidate): boolean {
  return a.sessions * b.weight > b.sessions * a.weight
}
