/** The connection rules: behind the PROXY header, before TLS. */

import { Field, Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { FlowContext } from '../context.js'
import type { Ruleset } from '../rules/compile.js'
import { RuleRunner } from '../rules/runner.js'
import { Outcome } from '../rules/scope.js'
import type { Seen } from '../view.js'
import type { Stage } from './stage.js'

const ANSWERED_BY_POLICY = Handshake.TCP_RULES | Handshake.CUSTOM | Handshake.ACCEPT_SESSION

export class ConnectionRules implements Stage<ClientConnection> {
  readonly bit = Handshake.TCP_RULES
  readonly phase = Phase.TCP_RULES
  readonly time: number
  readonly #rules: RuleRunner<Seen, ClientConnection>

  constructor(rules: Ruleset<Seen>, context: FlowContext) {
    this.time = rules.time
    this.#rules = new RuleRunner(rules, context, (conn) => {
      if (this.#through(conn)) conn.passed()
    })
  }

  enter(conn: ClientConnection): boolean {
    return this.#rules.run(conn) === Outcome.PASS && this.#through(conn)
  }

  /** Whether nobody else has anything to do: the next stage follows in the same turn, without another event. */
  #through(conn: ClientConnection): boolean {
    const { slot, generation } = conn
    const { engine, table } = conn.context
    if (conn.expectsProxy) {
      conn.keepPeer()
      engine.proceed(slot, generation, Handshake.TCP_RULES, Handshake.ACCEPT_PROXY, 0)
      return false
    }
    if ((table.get(slot, Field.HANDSHAKES) & ~ANSWERED_BY_POLICY) === 0) return true
    engine.proceed(slot, generation, Handshake.TCP_RULES, 0, 0)
    return false
  }
}
