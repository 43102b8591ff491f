/** The session is made, and the rules on it run. */

import { Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { FlowContext } from '../context.js'
import type { Reporter } from '../record/reporter.js'
import type { Ruleset } from '../rules/compile.js'
import { RuleRunner } from '../rules/runner.js'
import { Outcome } from '../rules/scope.js'
import { Session } from '../session/session.js'
import type { Seen } from '../view.js'
import type { Stage } from './stage.js'

export class SessionRules implements Stage<ClientConnection> {
  readonly bit = Handshake.ACCEPT_SESSION
  readonly phase = Phase.ACCEPT_SESSION
  readonly time: number
  readonly #rules: RuleRunner<Seen, ClientConnection>
  readonly #reporter: Reporter

  constructor(rules: Ruleset<Seen>, context: FlowContext, reporter: Reporter) {
    this.#reporter = reporter
    this.time = rules.time
    this.#rules = new RuleRunner(rules, context, (conn) => {
      conn.countSession()
      conn.passed()
    })
  }

  enter(conn: ClientConnection): boolean {
    makeSession(conn, this.#reporter)
    if (this.#rules.run(conn) !== Outcome.PASS) return false
    conn.countSession()
    return true
  }
}

/** Makes the session of a connection, where it has none, and tells of it when it is open for long. */
export function makeSession(conn: ClientConnection, reporter: Reporter): Session {
  if (conn.session !== undefined) return conn.session
  const { frontend } = conn.listener
  const session = new Session(conn)
  session.begin()
  conn.session = session
  frontend.sessions++
  const { openAfter } = frontend.config.log
  if (openAfter > 0) {
    const tell = () => conn.guard(() => reporter.stillOpen(conn, openAfter))
    session.cancelOpenLine = conn.context.clock.after(openAfter, tell)
  }
  return session
}
