/**
 * Inactivity under a virtual clock. A side is held responsible only while it is
 * expected to act: until its FIN, or while it does not take what waits for it.
 */

import type { Clock } from '../base/clock.js'
import type { ListenSpec, RouteSpec } from '../engine/engine.js'
import { Code } from '../wire/wire.js'

/** One side of a session as far as its time-out needs it. */
export interface WatchedSide {
  /** Clock of the last byte or FIN. */
  activity: number
  /** It has sent payload. */
  spoke: boolean
  /** Whether something is to come from it. */
  expected(): boolean
}

export interface Watched {
  readonly spec: ListenSpec
  /** Undefined for an applet. */
  readonly route: RouteSpec | undefined
  readonly client: WatchedSide
  /** Undefined for an applet. */
  readonly server: WatchedSide | undefined
  /** Either side has sent its FIN. */
  shut(): boolean
}

export class Inactivity {
  readonly #clock: Clock
  readonly #watched: Watched
  readonly #expired: (code: number) => void
  #cancel: (() => void) | undefined

  /** `expired` is called once, with the `Code` of the time-out. */
  constructor(clock: Clock, watched: Watched, expired: (code: number) => void) {
    this.#clock = clock
    this.#watched = watched
    this.#expired = expired
  }

  /** Starts, or checks anew after something changed that may shorten a time-out. */
  check(): void {
    this.stop()
    const now = this.#clock.now()
    const { client, server } = this.#watched
    let wait = Number.POSITIVE_INFINITY
    for (const side of server === undefined ? [client] : [client, server]) {
      const { limit, code } = this.#limit(side === client)
      if (limit <= 0) continue
      if (!side.expected()) side.activity = now
      const left = side.activity + limit - now
      if (left <= 0) {
        this.#expired(code)
        return
      }
      wait = Math.min(wait, left)
    }
    if (wait !== Number.POSITIVE_INFINITY) {
      this.#cancel = this.#clock.after(Math.max(1, Math.ceil(wait)), () => this.check())
    }
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  /** What a side may take, and what it is called when it takes longer. */
  #limit(isClient: boolean): { limit: number; code: number } {
    const { spec, route, client, server } = this.#watched
    const shut = this.#watched.shut()
    if (route && server && route.tunnelTimeout > 0 && !shut && client.spoke && server.spoke) {
      // A tunnel is idle only while both sides are.
      client.activity = Math.max(client.activity, server.activity)
      server.activity = client.activity
      return { limit: route.tunnelTimeout, code: Code.TUNNEL_TIMEOUT }
    }
    if (isClient) {
      return shut && spec.clientFinTimeout > 0
        ? { limit: spec.clientFinTimeout, code: Code.CLIENT_FIN_TIMEOUT }
        : { limit: spec.clientTimeout, code: Code.CLIENT_TIMEOUT }
    }
    const { serverTimeout = 0, serverFinTimeout = 0 } = route ?? {}
    return shut && serverFinTimeout > 0
      ? { limit: serverFinTimeout, code: Code.SERVER_FIN_TIMEOUT }
      : { limit: serverTimeout, code: Code.SERVER_TIMEOUT }
  }
}
