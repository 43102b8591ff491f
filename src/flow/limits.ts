/**
 * Limits that no single listener can hold: of a frontend with several
 * listeners, and of the process. Accepting pauses at them and resumes.
 */

import type { Engine } from '../engine/engine.js'
import type { Frontend } from './frontend.js'

export class Limits {
  readonly #engine: Engine
  readonly #maxconn: number
  readonly #frontends: Frontend[] = []
  #listeners = 0
  /** The process has as many connections as it may. */
  #full = false

  /** `maxconn`: connections at once in the process; 0: no limit. */
  constructor(engine: Engine, maxconn: number) {
    this.#engine = engine
    this.#maxconn = maxconn
  }

  addFrontend(frontend: Frontend): void {
    this.#frontends.push(frontend)
  }

  addListener(): void {
    this.#listeners++
  }

  /** A connection of `frontend` came or went; `current` are open in the process. */
  changed(frontend: Frontend, current: number): void {
    // One listener alone keeps the limit better: it knows before policy does.
    const full = this.#listeners > 1 && this.#maxconn > 0 && current >= this.#maxconn
    if (full !== this.#full) {
      this.#full = full
      for (const each of this.#frontends) this.#pause(each)
    } else if (frontend.full !== frontend.paused) {
      this.#pause(frontend)
    }
  }

  #pause(frontend: Frontend): void {
    const paused = this.#full || frontend.full
    if (paused === frontend.paused) return
    frontend.paused = paused
    for (const { id } of frontend.listeners) if (id >= 0) this.#engine.pause(id, paused)
  }
}
