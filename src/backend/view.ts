/** A backend and its servers as programs and rules hold them. */

import { byName } from '../base/by-name.js'
import type { BackendView, ServerControl, ServerState, ServerStatus } from '../policy/live.js'
import type { BackendServer } from './server.js'

/** What is seen of a backend. */
interface Seen {
  readonly name: string
  readonly usable: number
  readonly sessions: number
  readonly queued: number
}

class BackendFace implements BackendView {
  readonly #backend: Seen
  readonly servers: BackendView['servers']

  constructor(backend: Seen, servers: readonly ServerControl[]) {
    this.#backend = backend
    this.servers = byName(servers)
  }

  get name(): string {
    return this.#backend.name
  }

  get usable(): number {
    return this.#backend.usable
  }

  get status(): 'up' | 'down' {
    return this.#backend.usable > 0 ? 'up' : 'down'
  }

  get sessions(): number {
    return this.#backend.sessions
  }

  get queued(): number {
    return this.#backend.queued
  }
}

class ServerFace implements ServerControl {
  readonly #server: BackendServer
  readonly #queued: () => number
  readonly #shutdown: () => number

  constructor(server: BackendServer, queued: () => number, shutdown: () => number) {
    this.#server = server
    this.#queued = queued
    this.#shutdown = shutdown
  }

  get name(): string {
    return this.#server.name
  }

  get backend(): string {
    return this.#server.backend.name
  }

  get address(): string | undefined {
    return this.#server.routes.address
  }

  get state(): ServerState {
    return this.#server.state
  }

  set state(state: ServerState) {
    this.#server.setState(state)
  }

  get weight(): number {
    return this.#server.weight
  }

  set weight(weight: number) {
    this.#server.setWeight(weight)
  }

  get status(): ServerStatus {
    return this.#server.status
  }

  get usable(): boolean {
    return this.#server.takesNew
  }

  get sessions(): number {
    return this.#server.sessions
  }

  get maxconn(): number {
    return this.#server.config.maxconn
  }

  get queued(): number {
    return this.#queued()
  }

  shutdownSessions(): number {
    return this.#shutdown()
  }
}

/** `queuedFor`: sessions that wait for this server alone. `shutdown`: closes a server's sessions. */
export function viewBackend(
  backend: Seen,
  servers: readonly BackendServer[],
  queuedFor: (server: BackendServer) => number,
  shutdown: (server: BackendServer) => number,
): BackendView {
  const faces = servers.map((server) =>
    Object.freeze(
      new ServerFace(
        server,
        () => queuedFor(server),
        () => shutdown(server),
      ),
    ),
  )
  return Object.freeze(new BackendFace(backend, faces))
}
