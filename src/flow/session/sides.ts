/**
 * The two stream interfaces of a session: their states, kept as numbers. Every change goes
 * through `transition`, so that nothing is held and given back by looking at where a session
 * has been.
 */

import type { Backend, Server } from '../../backend/backend.js'
import { mayFollow, Side, SiState } from './state.js'

/** Whose session it is, as it is told of. */
export interface SessionOwner {
  readonly id: string
  readonly slot: number
  /** Of the connection in the engine. */
  readonly generation: number
  /** Reason word of a decision to close, or 0. */
  readonly decided: number
}

const STATE_MASK = 0xf
const SERVER_SHIFT = 4

export abstract class Sides {
  /** Of the client's side in bits 0 to 3, of the server's in bits 4 to 7: one word for both. */
  #states: number = SiState.INI | (SiState.INI << SERVER_SHIFT)

  abstract readonly client: SessionOwner
  /** The backend whose server is wanted. */
  abstract readonly backend: Backend | undefined
  /** The server whose slot is held, or was held last. */
  abstract readonly server: Server | undefined
  /** Reason word of the last failed attempt, or 0. */
  abstract readonly lastFailure: number

  /** State of the client's side. */
  get clientState(): number {
    return this.#states & STATE_MASK
  }

  /** State of the server's side. */
  get serverState(): number {
    return this.#states >> SERVER_SHIFT
  }

  /** False where the transition is illegal; `illegal` was called then. */
  transition(side: 0 | 1, to: number): boolean {
    const from = side === Side.CLIENT ? this.clientState : this.serverState
    if (!mayFollow(side, from, to)) {
      this.illegal(side, from, to)
      return false
    }
    if (side === Side.CLIENT) this.#states = (this.#states & ~STATE_MASK) | to
    else this.#states = (this.#states & STATE_MASK) | (to << SERVER_SHIFT)
    this.moved(side, from, to)
    return true
  }

  /** Stands in these states, to which it came before. */
  protected stand(client: number, server: number): void {
    this.#states = client | (server << SERVER_SHIFT)
  }

  /** Walks both sides to CLO by legal steps, from wherever they are. */
  finish(): void {
    for (const side of BOTH) {
      const state = side === Side.CLIENT ? this.clientState : this.serverState
      if (state === SiState.EST) this.transition(side, SiState.DIS)
      if (state !== SiState.CLO) this.transition(side, SiState.CLO)
    }
  }

  /** A side is in another state now. */
  protected abstract moved(side: 0 | 1, from: number, to: number): void

  /** Somebody asked for a transition that the table does not have. */
  protected abstract illegal(side: 0 | 1, from: number, to: number): void
}

const BOTH = [Side.SERVER, Side.CLIENT] as const
