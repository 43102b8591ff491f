/**
 * Passive failure marking: connect failures in a row mark a server, so that
 * traffic goes where it is served better. After a back-off one session is let
 * through as the trial; its success takes the mark away.
 *
 * ```text
 *        failures in a row            backoff is over
 *   up ────────────────────▶ down ─────────────────────▶ half-open
 *   ▲                         ▲             failure           │
 *   │                         └───────────────────────────────┤
 *   └─────────────────────────────── success ─────────────────┘
 * ```
 *
 * A trial that is refused costs its session nothing, so the next one may come
 * as soon; one that times out costs it the connect time-out, and the back-off
 * doubles.
 */

import type { Clock } from '../base/clock.js'
import { Code } from '../wire/wire.js'

export type PassiveState = 'up' | 'down' | 'half-open'

export interface PassiveConfig {
  /** Connect failures in a row that take a server out. */
  failures: number
  /** ms. */
  backoff: number
  /** ms; the back-off doubles up to this after trials that time out. */
  maxBackoff: number
}

export class PassiveMark {
  readonly #config: PassiveConfig
  readonly #clock: Clock
  readonly #trialTime: number
  readonly #changed: () => void
  #state: PassiveState = 'up'
  #failures = 0
  #backoff: number
  #trial = false
  #markedAt = 0
  #cancelTimer: (() => void) | undefined

  /**
   * `trialTime`: ms after which a trial whose outcome nobody reported is
   * forgotten (its client left during the connect). `changed` is called after
   * every change of `state` or `trial`.
   */
  constructor(config: PassiveConfig, clock: Clock, trialTime: number, changed: () => void) {
    this.#config = config
    this.#clock = clock
    this.#trialTime = trialTime
    this.#changed = changed
    this.#backoff = config.backoff
  }

  get state(): PassiveState {
    return this.#state
  }

  /** The one session of the half-open state is under way. */
  get trial(): boolean {
    return this.#trial
  }

  /** Outcomes matter now; without failures they need not be reported. */
  get counting(): boolean {
    return this.#failures > 0 || this.#state !== 'up'
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures
  }

  /** ms that the server is out, or would be out at the next marking. */
  get backoff(): number {
    return this.#backoff
  }

  /** Clock when the mark was made or made again; the longer ago, the likelier is a recovery. */
  get markedAt(): number {
    return this.#markedAt
  }

  /**
   * `code`: of `Code`. A failure while down comes from an attempt of before, or of a session that
   * had nowhere else to go, and changes nothing: it must not lengthen the back-off.
   */
  failed(code: number): void {
    if (this.#state === 'down') return
    this.#failures++
    if (this.#state === 'up') {
      if (this.#failures < this.#config.failures) return
    } else if (code === Code.CONNECT_TIMEOUT) {
      this.#backoff = Math.min(this.#backoff * 2, this.#config.maxBackoff)
    } else {
      this.#backoff = this.#config.backoff
    }
    this.#state = 'down'
    this.#trial = false
    this.#markedAt = this.#clock.now()
    this.#timer(this.#backoff, () => {
      this.#state = 'half-open'
      this.#changed()
    })
    this.#changed()
  }

  /** Resets everything, whichever attempt it was: the server is there. */
  succeeded(): void {
    if (!this.counting) return
    const changes = this.#state !== 'up'
    this.stop()
    this.#state = 'up'
    this.#failures = 0
    this.#backoff = this.#config.backoff
    this.#trial = false
    if (changes) this.#changed()
  }

  /** Precondition: half-open, no trial under way. */
  startTrial(): void {
    this.#trial = true
    this.#timer(this.#trialTime, () => this.endTrial())
    this.#changed()
  }

  /** The trial ended without an outcome; the next session is the trial. */
  endTrial(): void {
    if (!this.#trial) return
    this.stop()
    this.#trial = false
    this.#changed()
  }

  stop(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #timer(ms: number, fn: () => void): void {
    this.stop()
    this.#cancelTimer = this.#clock.after(ms, () => {
      this.#cancelTimer = undefined
      fn()
    })
  }
}

/** Failures of this machine: they say nothing about the server. */
const LOCAL_FAILURES: ReadonlySet<number> = new Set([
  Code.FD_EXHAUSTED,
  Code.PORTS_EXHAUSTED,
  Code.NO_MEMORY,
  Code.TABLE_FULL,
  Code.INTERNAL,
])

/** Whether a connect failed for want of something on this machine. `code`: of `Code`. */
export function isLocalFailure(code: number): boolean {
  return LOCAL_FAILURES.has(code)
}
