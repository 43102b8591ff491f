/** What the parts of one engine share. */

import type { ListenSpec, RouteSpec } from '../engine.js'
import type { Client } from './client.js'
import type { Dispatch } from './dispatch.js'
import type { Slots } from './slots.js'
import type { TlsContexts } from './tls-contexts.js'

export interface Core {
  readonly slots: Slots
  readonly dispatch: Dispatch
  /** Incoming connections by slot. */
  readonly clients: Map<number, Client>
  readonly routes: Map<number, RouteSpec>
  readonly tls: TlsContexts
  readonly counters: { staleHandles: number; lateVerdicts: number }
  /** The engine's clock in ms. */
  now(): number
  /** A slot came free: listeners that hold connections back may go on. */
  slotFreed(): void
}

/** The listener of a connection, as far as the connection needs it. */
export interface Origin {
  readonly id: number
  readonly spec: ListenSpec
  /** The connection has ended. */
  release(): void
}

/** Runs `fn` after `ms` unless cancelled; 0 means never. Does not keep the process alive. */
export function timer(ms: number, fn: () => void): NodeJS.Timeout | undefined {
  if (ms <= 0) return undefined
  return setTimeout(fn, Math.min(ms, 0x7fffffff)).unref()
}
