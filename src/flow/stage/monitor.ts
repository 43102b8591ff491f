/** Answers those who ask whether the proxy is there, by their address. */

import type { ResolvedFrontend } from '../../config/resolved.js'
import { CidrList } from '../../policy/cidr.js'
import { packReason } from '../../wire/reason.js'
import { By, CloseMode, Code, Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { Stage } from './stage.js'

export class Monitor implements Stage<ClientConnection> {
  readonly bit = Handshake.MONITOR_IN
  readonly phase = Phase.MONITOR_IN
  readonly #sources: CidrList
  readonly #reply: Uint8Array

  constructor({ from, reply }: NonNullable<ResolvedFrontend['monitor']>) {
    this.#sources = new CidrList(from)
    this.#reply = reply
  }

  enter(conn: ClientConnection): boolean {
    const { engine, leaving } = conn.context
    if (!this.#sources.has(conn.src)) {
      engine.proceed(conn.slot, conn.generation, Handshake.MONITOR_IN, 0, 0)
    } else if (leaving) {
      conn.close(packReason(By.PROXY, Phase.MONITOR_IN, Code.SHUTDOWN), CloseMode.RESET)
    } else {
      conn.reply(this.#reply, packReason(By.PROXY, Phase.MONITOR_IN, Code.MONITOR))
    }
    return false
  }
}
