/**
 * What becomes of a ClientHello: a certificate, a backend that gets it unterminated, or a
 * refusal; and when its handshake may begin.
 */

import { isServerName } from '../../codec/tls.js'
import { packReason } from '../../wire/reason.js'
import { By, Code, Handshake, Phase, ProceedFlag } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import { Admission, type AdmissionHost, HandshakeTicket } from '../tls/admission.js'
import { Alert, alert, sendThrough } from '../tls/answer.js'
import type { Stage } from './stage.js'

export class Tls implements Stage<ClientConnection>, AdmissionHost<ClientConnection> {
  readonly bit = Handshake.TLS
  readonly phase = Phase.TLS
  readonly time: number
  readonly #slotsPerWorker: number

  /** `time`: longest wait of a handshake in its queue, ms. */
  constructor(
    { table, workers }: { table: { readonly slots: number }; workers: number },
    time: number,
  ) {
    this.time = time
    this.#slotsPerWorker = Math.max(Math.floor(table.slots / workers), 1)
  }

  /** The ClientHello rules are through: terminated or not, and by which certificate. */
  enter(conn: ClientConnection): boolean {
    const { listener } = conn
    const secure = conn.makeSecure()
    const backend = listener.sniRoute(secure.hello?.serverName ?? '')
    // A rule that names a certificate or demands one wants TLS to end here.
    const terminates = secure.certificateName !== undefined || secure.clientCertDemand !== undefined
    if (secure.passes || !(terminates || (backend === undefined && listener.bind.tls))) {
      secure.passes = true
      sendThrough(conn, backend)
    } else if (listener.bind.tls === undefined) {
      policyFailed(conn, 'a rule chooses a certificate, and the bind has no certificates')
    } else {
      this.#arrive(conn)
    }
    return false
  }

  admitted(conn: ClientConnection): void {
    conn.guard(() => {
      // The certificates may be other ones than those at its arrival.
      const context = choose(conn)
      if (context !== undefined) begin(conn, context)
    })
  }

  waitedTooLong(conn: ClientConnection): void {
    conn.guard(() => conn.close(packReason(By.TIMEOUT, Phase.TLS, Code.QUEUE_TIMEOUT)))
  }

  /** Its handshake may begin now, in its turn, or never. */
  #arrive(conn: ClientConnection): void {
    const context = choose(conn)
    if (context === undefined) return
    const worker = Math.floor(conn.slot / this.#slotsPerWorker)
    const ticket = new HandshakeTicket(conn, worker, this)
    conn.makeSecure().ticket = ticket
    switch (conn.context.admission.arrive(ticket)) {
      case Admission.GO:
        begin(conn, context)
        return
      case Admission.FULL:
        conn.close(packReason(By.PROXY, Phase.TLS, Code.QUEUE_FULL))
    }
  }
}

function begin(conn: ClientConnection, context: number): void {
  const flags = conn.secure?.ticket?.scarce ? ProceedFlag.TELL_WAITING : 0
  conn.context.engine.proceed(conn.slot, conn.generation, 0, 0, 0, context, flags)
}

/** The engine's context; the connection is closed where there is none. */
function choose(conn: ClientConnection): number | undefined {
  const { secure } = conn
  const contexts = conn.listener.tls
  const asked = secure?.hello?.serverName ?? ''
  const name = secure?.certificateName ?? asked
  const demand = secure?.clientCertDemand
  if (asked !== '' && !conn.context.engine.takesOddServerNames && !isServerName(asked)) {
    // The engine would refuse it as well, with an alert that says less.
    alert(conn, Code.TLS_NO_CERTIFICATE, Alert.UNRECOGNIZED_NAME)
    return undefined
  }
  const context = contexts?.choose(name, demand)
  if (context !== undefined) return context
  if (demand !== undefined && contexts?.choose(name) !== undefined) {
    policyFailed(conn, "a rule demands a client certificate, and there is no 'ca' for it")
  } else {
    // The name that was missed is the client's, or a rule's.
    const by = name === asked ? By.CLIENT : By.POLICY
    alert(conn, Code.TLS_NO_CERTIFICATE, Alert.UNRECOGNIZED_NAME, by)
  }
  return undefined
}

/** What the rules want of a connection cannot be done. */
function policyFailed(conn: ClientConnection, why: string): void {
  conn.counts.policyErrors++
  conn.failed('error', { rule: conn.rule }, why)
  conn.close(packReason(By.POLICY, Phase.TLS, Code.POLICY_ERROR))
}
