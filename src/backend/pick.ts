/** Who asks a backend for a server, and what it answers. */

import type { Asker } from './asker.js'
import type { Server } from './server.js'

/** Whoever wants a server: one session. */
export interface BackendClient extends Asker {
  /** Place in the queue: lower goes first. */
  readonly priority: number
  /** The server that a policy chose, of whatever backend. */
  readonly wanted?: Server | undefined
  /** That server or none. */
  readonly strict?: boolean
  /** Longest wait in the queue, ms; undefined for the backend's. 0: no limit. */
  readonly queueTimeout?: number | undefined
  /** A slot came free and is taken for this client. */
  dequeued(server: Server): void
  /** The queue time-out has passed; the client is no longer in the queue. */
  queueExpired(): void
}

/** `full`: the queue is. `none`: no server is usable. */
export type Pick =
  | { readonly kind: 'server'; readonly server: Server }
  | { readonly kind: 'queued' }
  | { readonly kind: 'full' }
  | { readonly kind: 'none' }

/** The answers that name no server, made once: `pick` runs for every session. */
export const QUEUED: Pick = Object.freeze({ kind: 'queued' })
export const FULL: Pick = Object.freeze({ kind: 'full' })
export const NONE: Pick = Object.freeze({ kind: 'none' })
