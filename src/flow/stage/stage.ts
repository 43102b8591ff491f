/** One step in the life of a connection, as a frontend has it. */

/** `C`: the connection. */
export interface Stage<C> {
  /** The handshake whose question it answers; the engine asks nothing else in between two of the same. */
  readonly bit: number
  /** Value of `Phase`. */
  readonly phase: number
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
