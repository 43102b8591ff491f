/** What the parts of one engine share. */

import type { Clock } from '../../base/clock.js'
import type { ListenSpec, RouteSpec } from '../engine.js'
import type { Dispatch } from './dispatch.js'
import type { Slots } from './slots.js'
import type { TlsContexts } from './tls/contexts.js'

/** As a clock: ms of the engine; what it calls comes after what the sockets had to say by then. */
export interface Shared extends Clock {
  readonly slots: Slots
  readonly dispatch: Dispatch
  readonly routes: Map<number, RouteSpec>
  readonly tls: TlsContexts
  readonly counters: { staleHandles: number; lateVerdicts: number }
  /** A slot came free: listeners that hold connections back may go on. */
  slotFreed(): void
}

/** The listener of a connection, as far as the connection needs it. */
export interface Origin {
  readonly id: number
  readonly spec: ListenSpec
  /** The connection of this slot has ended. */
  release(slot: number): void
}
