/** The two ends of a connection under test, for what happens after `connect`. */

import type { TestClient } from './engine/client.js'
import type { Trail } from './trail.js'

/** What a connection asks of its proxy. */
export interface ConnectionHost {
  /** Lets everything happen that needs no time. */
  settle(): Promise<void>
}

/** For `TestProxy.connect`. */
export let newTestConnection: (trail: Trail, host: ConnectionHost) => TestConnection

/**
 * A live connection. Every method resolves once what it causes has happened, as
 * far as that takes no time; where the connection has ended it does nothing.
 */
export class TestConnection {
  static {
    newTestConnection = (trail, host) => new TestConnection(trail, host)
  }

  readonly #trail: Trail
  readonly #host: ConnectionHost

  private constructor(trail: Trail, host: ConnectionHost) {
    this.#trail = trail
    this.#host = host
  }

  /** The connection has not ended. */
  get open(): boolean {
    return this.#trail.client?.ended !== true
  }

  /** The client sends. */
  send(bytes: string | Uint8Array): Promise<void> {
    return this.#act((client) => client.send(bytes))
  }

  /** The client sends its FIN and goes on reading. */
  fin(): Promise<void> {
    return this.#act((client) => client.fin())
  }

  /** The client resets the connection. */
  reset(): Promise<void> {
    return this.#act((client) => client.reset())
  }

  /** The client closes its socket: FIN, and RST where the proxy still has something for it. */
  async close(): Promise<void> {
    await this.fin()
    await this.reset()
  }

  /** A client that had stopped reading at its `window` reads on, without a limit. */
  resume(): Promise<void> {
    return this.#act((client) => client.resume())
  }

  /** The server sends. */
  serverSend(bytes: string | Uint8Array): Promise<void> {
    return this.#act((client) => client.serverSend(bytes))
  }

  /** The server sends its FIN. */
  serverFin(): Promise<void> {
    return this.#act((client) => client.serverFin())
  }

  /** The server resets the connection. */
  serverReset(): Promise<void> {
    return this.#act((client) => client.serverReset())
  }

  #act(act: (client: TestClient) => void): Promise<void> {
    const { client } = this.#trail
    if (client !== undefined) act(client)
    return this.#host.settle()
  }
}
