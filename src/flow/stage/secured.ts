/** TLS is complete: what is known of it then, and the rules that run. */

import type { SecuredEvent } from '../../engine/event.js'
import { Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { FlowContext } from '../context.js'
import type { Ruleset } from '../rules/compile.js'
import { RuleRunner } from '../rules/runner.js'
import { Outcome } from '../rules/scope.js'
import { SecuredInfo } from '../tls/info.js'
import type { Seen } from '../view.js'
import type { Stage } from './stage.js'

const NO_BYTES = new Uint8Array(0)

export class Secured implements Stage<ClientConnection> {
  readonly bit: number
  readonly phase = Phase.TLS
  readonly time: number
  readonly #rules: RuleRunner<Seen, ClientConnection>

  /** `bit`: the question behind the handshake. */
  constructor(bit: number, rules: Ruleset<Seen>, context: FlowContext) {
    this.bit = bit
    this.time = rules.time
    this.#rules = new RuleRunner(rules, context, (conn) => conn.passed())
  }

  /** Where TLS was not terminated there is nothing to see. */
  enter(conn: ClientConnection): boolean {
    return conn.tls === undefined || this.#rules.run(conn) === Outcome.PASS
  }
}

/** A handshake is complete, the client's or the server's. */
export function secured(
  conn: ClientConnection,
  { bit, version, cipher, flags, alpn, bytes: certificate }: SecuredEvent,
): void {
  const secure = conn.makeSecure()
  if (bit === Handshake.TLS_OUT) {
    // Nobody can ask for the server's certificate: it is verified, and need not be kept.
    secure.serverInfo = new SecuredInfo(version, cipher, flags, alpn, NO_BYTES, undefined)
    return
  }
  const { frontend } = conn.listener
  frontend.tlsHandshakes++
  const own = certificate.length > 0 ? certificate.slice() : NO_BYTES
  const info = new SecuredInfo(version, cipher, flags, alpn, own, secure.hello)
  if (info.resumed) frontend.tlsResumed++
  secure.info = info
  conn.leaveAdmission()
}
