/** Whose PROXY header is accepted; the engine reads it. */

import type { CidrList } from '../../policy/cidr.js'
import { packReason } from '../../wire/reason.js'
import { By, Code, Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { Stage } from './stage.js'

export class ProxyHeader implements Stage<ClientConnection> {
  readonly bit = Handshake.ACCEPT_PROXY
  readonly phase = Phase.ACCEPT_PROXY
  readonly #sources: CidrList | undefined

  /** `sources`: whose headers are accepted; undefined: everybody's. */
  constructor(sources: CidrList | undefined) {
    this.#sources = sources
  }

  enter(conn: ClientConnection): boolean {
    // Whom a connection rule expects one of may send it, whoever it is.
    if (!conn.expectsProxy && this.#sources !== undefined && !this.#sources.has(conn.src)) {
      conn.close(packReason(By.PROXY, Phase.ACCEPT_PROXY, Code.PROXY_UNTRUSTED))
      return false
    }
    conn.keepPeer()
    conn.context.engine.proceed(conn.slot, conn.generation, 0, 0, 0)
    return false
  }
}
