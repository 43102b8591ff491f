/** One step in the life of a connection, as a frontend has it. */

import { Handshake } from '../../wire/wire.js'

/** `C`: the connection. */
export interface Stage<C> {
  /** The handshake whose question it answers; the engine asks nothing else in between two of the same. */
  readonly bit: number
  /** Value of `Phase`. */
  readonly phase: number
  /** ms for which its answers may be awaited at most. Default 0: it answers at once. */
  readonly time?: number
  /**
   * The connection arrives. True: through already, on to the next stage. False: the engine was
   * told what is next, or an answer is awaited, and `conn.passed()` follows; or the end is decided.
   * `bytes`, `hello`: of the question where it is the first stage that answers it, as
   * `EngineEvents.handshake` has them; else empty.
   */
  enter(conn: C, bytes: Uint8Array, hello: number): boolean
  /** What the client sent, where the stage asked for it. `bytes` is valid during the call only. */
  bytes?(conn: C, bytes: Uint8Array, flags: number): void
}

/** What the engine does itself, once it was told to: the next stage has a question of its own. */
const BY_ENGINE = Handshake.ACCEPT_PROXY | Handshake.TLS

/** ms that one question may take at most: several stages in a row may answer the same. */
export function longestQuestion(stages: readonly Stage<never>[]): number {
  let longest = 0
  let time = 0
  let before = 0
  for (const stage of stages) {
    const own = stage.bit & BY_ENGINE
    if (own !== before) time = 0
    before = own
    time += stage.time ?? 0
    longest = Math.max(longest, time)
  }
  return longest
}
