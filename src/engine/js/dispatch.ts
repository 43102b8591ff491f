/** Calls policy: counts, and keeps a handler that throws from harming the engine. */

import type { EngineEvents, EventName } from '../engine.js'
import { EngineEvent } from '../event.js'

export class Dispatch {
  /** Events delivered. */
  events = 0
  readonly #event = new EngineEvent()
  /** A handler has the record. */
  #telling = false
  #events: EngineEvents | undefined

  start(events: EngineEvents): void {
    this.#events = events
  }

  get started(): boolean {
    return this.#events !== undefined
  }

  /** The record to fill for the next `tell`. */
  about(conn: number, generation: number): EngineEvent {
    // What is told from within a handler must not change what that one looks at.
    const event = this.#telling ? new EngineEvent() : this.#event
    event.conn = conn
    event.generation = generation
    return event
  }

  /** Delivers one event. Commands never call this directly: what they cause comes after they return. */
  tell(name: EventName, event: EngineEvent): void {
    const events = this.#events
    if (!events) return
    this.events++
    const outer = this.#telling
    this.#telling = true
    try {
      events[name](event)
    } catch (error) {
      this.#fault(events, error)
    } finally {
      this.#telling = outer
    }
  }

  #fault(events: EngineEvents, error: unknown): void {
    try {
      events.fault(error)
    } catch {
      // The handler of faults failed as well: there is nobody left to tell.
    }
  }
}
