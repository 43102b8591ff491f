/**
 * The incoming handshakes of a connection that are not done: which comes next,
 * who runs it, and what an answer of policy changes. No I/O.
 */

import { Handshake } from '../../wire/wire.js'

/** Handshakes that the engine can do alone. Of the others policy must be asked. */
const ENGINE_RUN = Handshake.HEALTH | Handshake.ACCEPT_PROXY
/** Handshakes that policy may leave to the engine, when it is asked. For TLS it names a context. */
const LEFT_TO_ENGINE = ENGINE_RUN | Handshake.TLS
const INCOMING =
  Handshake.HEALTH |
  Handshake.MONITOR_IN |
  Handshake.ACCEPT_PROXY |
  Handshake.TCP_RULES |
  Handshake.TLS |
  Handshake.CUSTOM |
  Handshake.ACCEPT_SESSION

export const Runner = {
  /** Every handshake is done. */
  NONE: 0,
  /** Policy decides. */
  POLICY: 1,
  /** The engine does it alone. */
  ENGINE: 2,
  /** Nobody wants to decide it. */
  NOBODY: 3,
  /** A verdict was late and the default is to open: the fallback route is taken. */
  FALLBACK: 4,
} as const

export class PendingHandshakes {
  #bits: number
  #asking = 0
  /** Engine-run bits that policy was asked about and left to the engine. */
  #granted = 0
  #opened = false
  readonly #ask: number

  /** @param handshakes, ask of the listener; ACCEPT_SESSION is always among both. */
  constructor(handshakes: number, ask: number) {
    this.#bits = (handshakes & INCOMING) | Handshake.ACCEPT_SESSION
    this.#ask = ask | Handshake.ACCEPT_SESSION
  }

  /** Bits that are not done, for the connection table. */
  get bits(): number {
    return this.#bits
  }

  /** The one whose turn it is, or 0. */
  get first(): number {
    return this.#bits & -this.#bits
  }

  /** The one that policy was asked about and has not answered, or 0. */
  get asking(): number {
    return this.#asking
  }

  /** Nothing is asked any more, the rest runs by itself. */
  get opened(): boolean {
    return this.#opened
  }

  /** Who runs the first one. */
  get runner(): number {
    const bit = this.first
    if (bit === 0) return Runner.NONE
    if (this.#opened) {
      if (bit === Handshake.ACCEPT_SESSION) return Runner.FALLBACK
      return bit & ENGINE_RUN ? Runner.ENGINE : Runner.NOBODY
    }
    if (this.#ask & bit & ~this.#granted) return Runner.POLICY
    return bit & (ENGINE_RUN | this.#granted) ? Runner.ENGINE : Runner.NOBODY
  }

  /** Policy is asked about the first one. */
  ask(): number {
    this.#asking = this.first
    return this.#asking
  }

  /** Any answer was given. */
  answered(): void {
    this.#asking = 0
  }

  /** False for an answer that leaves policy's own bit first: it would be asked again, for ever. */
  accepts(clear: number, set: number): boolean {
    const after = (this.#bits & ~clear) | (set & INCOMING)
    const bit = this.#asking
    return bit === 0 || (after & -after) !== bit || (bit & LEFT_TO_ENGINE) !== 0
  }

  /** Takes an answer that `accepts`. */
  proceed(clear: number, set: number): void {
    const after = (this.#bits & ~clear) | (set & INCOMING)
    // What policy was asked about and did not clear, and what it sets, the engine is to do.
    this.#granted |= after & ((this.#asking & LEFT_TO_ENGINE) | (set & ENGINE_RUN))
    this.#bits = after
    this.#asking = 0
  }

  done(bit: number): void {
    this.#bits &= ~bit
    this.#granted &= ~bit
  }

  allDone(): void {
    this.#bits = 0
  }

  /** The verdict about the first one is late and the default is to open. */
  open(): void {
    this.#opened = true
    this.#asking = 0
    const bit = this.first
    if (!(bit & ENGINE_RUN)) this.done(bit & ~Handshake.ACCEPT_SESSION)
  }
}
