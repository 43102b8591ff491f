/** The last stage: a server for the session. */

import { Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { Stage } from './stage.js'

export class Target implements Stage<ClientConnection> {
  readonly bit = Handshake.ACCEPT_SESSION
  readonly phase = Phase.ACCEPT_SESSION

  enter(conn: ClientConnection): boolean {
    conn.session?.assign()
    return false
  }
}
