/** The content rules: they see the client's first bytes, and may ask for more. */

import { Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { FlowContext } from '../context.js'
import type { Ruleset } from '../rules/compile.js'
import { RuleRunner } from '../rules/runner.js'
import { Outcome } from '../rules/scope.js'
import type { Seen } from '../view.js'
import type { Stage } from './stage.js'

/** How much the rules may see, bytes, and how long they may wait for it, ms. */
interface ContentLimits {
  readonly inspectLimit: number
  readonly inspectDelay: number
}

export class ContentRules implements Stage<ClientConnection> {
  readonly bit = Handshake.ACCEPT_SESSION
  readonly phase = Phase.CONTENT
  readonly #rules: RuleRunner<Seen, ClientConnection>
  readonly #limits: ContentLimits

  constructor(rules: Ruleset<Seen>, limits: ContentLimits, context: FlowContext) {
    this.#limits = limits
    this.#rules = new RuleRunner(rules, context, (conn, outcome) => this.#ended(conn, outcome))
  }

  enter(conn: ClientConnection): boolean {
    const { inspectLimit, inspectDelay } = this.#limits
    conn.inspection = undefined
    // Without a delay the rules see what is there: 1 ms is the engine's shortest.
    conn.context.engine.inspect(conn.slot, conn.generation, inspectLimit, inspectDelay || 1, 0)
    return false
  }

  bytes(conn: ClientConnection, bytes: Uint8Array, flags: number): void {
    const inspection = conn.inspect()
    inspection.flags |= flags
    const shown = inspection.grow(bytes)
    if (conn.wait?.promise !== undefined) {
      inspection.inbox = shown
      return
    }
    inspection.payload = shown
    this.#ended(conn, this.#rules.run(conn))
  }

  #ended(conn: ClientConnection, outcome: number): void {
    if (outcome === Outcome.PASS) {
      conn.inspection = undefined
      conn.passed()
      return
    }
    const inbox = conn.inspection?.inbox
    if (outcome !== Outcome.MORE || conn.inspection === undefined || inbox === undefined) return
    // Payload that came while an asynchronous rule was thinking.
    conn.inspection.inbox = undefined
    conn.inspection.payload = inbox
    this.#ended(conn, this.#rules.run(conn))
  }
}
