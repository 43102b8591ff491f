/**
 * What is left of a session while it is idle. From the connect on nothing happens to most of them
 * until their end, so all that lead to the same place share one object, and the session is made
 * anew where something happens after all.
 */

import type { Backend, Server } from '../../backend/backend.js'
import type { Retries } from './retries.js'
import { SiState } from './state.js'

/** What is told of a session, idle or not. */
export interface Course {
  readonly backend: Backend | undefined
  /** The server whose slot is held, or was held last. */
  readonly server: Server | undefined
  /** Where the last attempt went; undefined for an applet. */
  readonly endpoint: string | undefined
  /** Of the client's side: of `SiState`. */
  readonly clientState: number
  readonly serverState: number
  /** What failed; undefined while nothing did. */
  readonly retries: Retries | undefined
  /** Opened by the engine, past policy, because the verdict was late. */
  readonly opened: boolean
  /** ms spent in queues until now. */
  readonly queuedFor: number
}

export class Rest implements Course {
  readonly backend: Backend
  readonly server: Server
  readonly route: number
  readonly endpoint: string | undefined
  readonly clientState: number
  readonly serverState: number
  readonly retries = undefined
  readonly opened = false
  readonly queuedFor = 0
  /** The same behind the end. */
  #over: Rest | undefined = undefined

  private constructor(
    { backend, server, route, endpoint }: Place,
    clientState: number,
    serverState: number,
  ) {
    this.backend = backend
    this.server = server
    this.route = route
    this.endpoint = endpoint
    this.clientState = clientState
    this.serverState = serverState
  }

  /** Of a session on its way to `server`. */
  static of(backend: Backend, server: Server, route: number, endpoint: string | undefined): Rest {
    const last = lastOf.get(server)
    if (last?.backend === backend && last.route === route && last.endpoint === endpoint) return last
    // Nobody tells when a connect succeeds.
    const rest = new Rest({ backend, server, route, endpoint }, SiState.EST, SiState.CON)
    lastOf.set(server, rest)
    return rest
  }

  /** A session ended: gives back what it held. What is left of it then. */
  ended(): Rest {
    this.server.backend.release(this.server)
    this.#over ??= new Rest(this, SiState.CLO, SiState.CLO)
    return this.#over
  }
}

type Place = Pick<Rest, 'backend' | 'server' | 'route' | 'endpoint'>

/** The last one to each server: most of them lead where the one before does. */
const lastOf = new WeakMap<Server, Rest>()
