/** Calls policy: counts, and keeps a handler that throws from harming the engine. */

import type { EngineEvents } from '../engine.js'

type EventName = Exclude<keyof EngineEvents, 'fault'>

export class Dispatch {
  /** Events delivered. */
  events = 0
  #events: EngineEvents | undefined

  start(events: EngineEvents): void {
    this.#events = events
  }

  get started(): boolean {
    return this.#events !== undefined
  }

  /** Delivers one event. Commands never call this directly: what they cause comes after they return. */
  emit<K extends EventName>(name: K, ...args: Parameters<EngineEvents[K]>): void {
    const events = this.#events
    if (!events) return
    this.events++
    try {
      const handler = events[name] as (...args: Parameters<EngineEvents[K]>) => void
      handler.apply(events, args)
    } catch (error) {
      this.#fault(events, error)
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
