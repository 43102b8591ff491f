/** What a client begins with where TLS is expected, and the rules that see its ClientHello. */

import { parseClientHello } from '../../codec/tls.js'
import { packReason } from '../../wire/reason.js'
import { By, Code, Handshake, HelloStatus, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { FlowContext } from '../context.js'
import type { Ruleset } from '../rules/compile.js'
import { RuleRunner } from '../rules/runner.js'
import { Outcome } from '../rules/scope.js'
import { Alert, alert, looksLikeHttp, PLAIN_HTTP_REPLY, sendThrough } from '../tls/answer.js'
import type { Seen } from '../view.js'
import type { Stage } from './stage.js'

export class Hello implements Stage<ClientConnection> {
  readonly bit = Handshake.TLS
  readonly phase = Phase.TLS
  readonly time: number
  readonly #rules: RuleRunner<Seen, ClientConnection>

  constructor(rules: Ruleset<Seen>, context: FlowContext) {
    this.time = rules.time
    this.#rules = new RuleRunner(rules, context, (conn) => conn.passed())
  }

  /** `status`: of `HelloStatus`. */
  enter(conn: ClientConnection, bytes: Uint8Array, status: number): boolean {
    if (status !== HelloStatus.COMPLETE) {
      noHello(conn, bytes, status)
      return false
    }
    const hello = parseClientHello(bytes)
    if (hello === undefined) {
      alert(conn, Code.TLS_MALFORMED, Alert.DECODE_ERROR)
      return false
    }
    conn.makeSecure().hello = hello
    return this.#rules.run(conn) === Outcome.PASS
  }
}

/** The client does not begin with a ClientHello. */
function noHello(conn: ClientConnection, bytes: Uint8Array, status: number): void {
  const { bind } = conn.listener
  if (status === HelloStatus.TOO_LARGE) {
    alert(conn, Code.TLS_HELLO_TOO_LARGE, Alert.DECODE_ERROR)
  } else if (status === HelloStatus.DRIPPED) {
    alert(conn, Code.TLS_HELLO_DRIPPED, Alert.DECODE_ERROR)
  } else if (status === HelloStatus.OVERFLOW) {
    alert(conn, Code.TLS_MALFORMED, Alert.RECORD_OVERFLOW)
  } else if (status === HelloStatus.MALFORMED) {
    alert(conn, Code.TLS_MALFORMED, Alert.DECODE_ERROR)
  } else if (bind.tls === undefined) {
    sendThrough(conn, bind.sniRoutes?.get('*'))
  } else if (looksLikeHttp(bytes)) {
    conn.reply(PLAIN_HTTP_REPLY, packReason(By.CLIENT, Phase.TLS, Code.PLAIN_HTTP))
  } else {
    conn.close(packReason(By.CLIENT, Phase.TLS, Code.NOT_TLS))
  }
}
