/**
 * Policy of TLS: what becomes of a ClientHello (a certificate, a backend that
 * gets it unterminated, a refusal), when its handshake may begin, and the rules
 * that run when it is complete.
 */

import type { Clock } from '../../base/clock.js'
import { isServerName, parseClientHello } from '../../codec/tls.js'
import type { Engine } from '../../engine/engine.js'
import type { SecuredEvent } from '../../engine/event.js'
import { packReason } from '../../wire/reason.js'
import { By, Code, Handshake, HelloStatus, Phase, ProceedFlag } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { Frontend } from '../frontend.js'
import { Outcome, type RuleTargets } from '../rules/run.js'
import { RuleRunner, type RulesHost } from '../rules/runner.js'
import type { Guard } from '../rules/wait.js'
import {
  Admission,
  type AdmissionHost,
  type AdmissionLimits,
  HandshakeTicket,
  TlsAdmission,
} from './admission.js'
import { SecuredInfo } from './info.js'
import { Alert, looksLikeHttp, PLAIN_HTTP_REPLY } from './reply.js'

/** What TLS asks of the core. */
export interface TlsHost extends RulesHost {
  /** The established rules are through: the question that waits can be decided. */
  tlsAccepted(conn: ClientConnection, bit: number): void
  close(conn: ClientConnection, reason: number): void
  reply(conn: ClientConnection, bytes: Uint8Array, reason: number): void
}

export interface TlsOptions {
  readonly engine: Engine
  readonly clock: Clock
  readonly targets: RuleTargets
  readonly guard: Guard
  readonly limits: AdmissionLimits
}

interface TlsRunners {
  readonly hello: RuleRunner
  readonly established: RuleRunner
}

const NO_BYTES = new Uint8Array(0)

export class TlsPolicy implements AdmissionHost {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #targets: RuleTargets
  readonly #guard: Guard
  readonly #host: TlsHost
  readonly #slotsPerWorker: number
  readonly #runners = new Map<Frontend, TlsRunners>()
  /** Who may do a handshake now. */
  readonly admission: TlsAdmission

  constructor({ engine, clock, targets, guard, limits }: TlsOptions, host: TlsHost) {
    this.#engine = engine
    this.#clock = clock
    this.#targets = targets
    this.#guard = guard
    this.#host = host
    this.#slotsPerWorker = Math.max(Math.floor(engine.table.slots / engine.workers), 1)
    this.admission = new TlsAdmission(limits, engine.workers, clock, this)
  }

  addFrontend(frontend: Frontend): void {
    this.#runners.set(frontend, {
      hello: this.#runner(frontend.helloRules, (conn) => this.#route(conn)),
      established: this.#runner(frontend.establishedRules, (conn) => this.#accepted(conn)),
    })
  }

  /** The engine asks about TLS. `status`: of `HelloStatus`. `bytes` are valid during the call only. */
  asked(conn: ClientConnection, bytes: Uint8Array, status: number): void {
    conn.phase = Phase.TLS
    if (status !== HelloStatus.COMPLETE) {
      this.#noHello(conn, bytes, status)
      return
    }
    const hello = parseClientHello(bytes)
    if (hello === undefined) {
      this.#alert(conn, Code.TLS_MALFORMED, Alert.DECODE_ERROR)
      return
    }
    conn.makeSecure().hello = hello
    const rules = this.#runnersOf(conn).hello
    if (rules.empty) this.#route(conn)
    else rules.run(conn)
  }

  /** A handshake is complete, the client's or the server's. */
  secured(
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
    this.leave(conn)
  }

  /**
   * The first question behind a handshake: false where the established rules take
   * it, and `tlsAccepted` answers it.
   */
  mayDecide(conn: ClientConnection, bit: number): boolean {
    const { secure } = conn
    if (secure?.info === undefined || secure.checked) return true
    secure.checked = true
    const rules = this.#runnersOf(conn).established
    if (rules.empty) return true
    secure.asked = bit
    rules.run(conn)
    return false
  }

  /**
   * The connection ends, or is about to, or its handshake waits for the client: it neither
   * waits for a place nor holds one any more.
   */
  leave(conn: ClientConnection): void {
    const { secure } = conn
    if (secure?.ticket === undefined) return
    const { ticket } = secure
    secure.ticket = undefined
    this.admission.leave(ticket)
  }

  admitted(conn: ClientConnection): void {
    this.#guard(conn, () => {
      // The certificates may be other ones than those at its arrival.
      const context = this.#choose(conn)
      if (context !== undefined) this.#begin(conn, context)
    })
  }

  waitedTooLong(conn: ClientConnection): void {
    this.#guard(conn, () =>
      this.#host.close(conn, packReason(By.TIMEOUT, Phase.TLS, Code.QUEUE_TIMEOUT)),
    )
  }

  #runner(set: Frontend['helloRules'], passed: (conn: ClientConnection) => void): RuleRunner {
    const host: RulesHost = {
      rulesEnded: (conn, phase, outcome, late) => {
        if (outcome === Outcome.PASS) passed(conn)
        else this.#host.rulesEnded(conn, phase, outcome, late)
      },
    }
    return new RuleRunner(set, this.#targets, this.#clock, this.#guard, host)
  }

  /** The client does not begin with a ClientHello. */
  #noHello(conn: ClientConnection, bytes: Uint8Array, status: number): void {
    const { bind } = conn.listener
    if (status === HelloStatus.TOO_LARGE) {
      this.#alert(conn, Code.TLS_HELLO_TOO_LARGE, Alert.DECODE_ERROR)
    } else if (status === HelloStatus.DRIPPED) {
      this.#alert(conn, Code.TLS_HELLO_DRIPPED, Alert.DECODE_ERROR)
    } else if (status === HelloStatus.OVERFLOW) {
      this.#alert(conn, Code.TLS_MALFORMED, Alert.RECORD_OVERFLOW)
    } else if (status === HelloStatus.MALFORMED) {
      this.#alert(conn, Code.TLS_MALFORMED, Alert.DECODE_ERROR)
    } else if (bind.tls === undefined) {
      this.#sendThrough(conn, bind.sniRoutes?.get('*'))
    } else if (looksLikeHttp(bytes)) {
      const reason = packReason(By.CLIENT, Phase.TLS, Code.PLAIN_HTTP)
      this.#host.reply(conn, PLAIN_HTTP_REPLY, reason)
    } else {
      this.#host.close(conn, packReason(By.CLIENT, Phase.TLS, Code.NOT_TLS))
    }
  }

  /** The ClientHello rules are through: terminated or not, and by which certificate. */
  #route(conn: ClientConnection): void {
    const { listener, secure } = conn
    const backend = listener.sniRoute(secure?.hello?.serverName ?? '')
    // A rule that names a certificate or demands one wants TLS to end here.
    const terminates =
      secure?.certificateName !== undefined || secure?.clientCertDemand !== undefined
    if (conn.passes || !(terminates || (backend === undefined && listener.bind.tls))) {
      conn.passes = true
      this.#sendThrough(conn, backend)
      return
    }
    if (listener.bind.tls === undefined) {
      this.#policyFailed(conn, 'a rule chooses a certificate, and the bind has no certificates')
      return
    }
    const context = this.#choose(conn)
    if (context === undefined) return
    const worker = Math.floor(conn.slot / this.#slotsPerWorker)
    const ticket = new HandshakeTicket(conn, worker)
    conn.makeSecure().ticket = ticket
    switch (this.admission.arrive(ticket)) {
      case Admission.GO:
        this.#begin(conn, context)
        return
      case Admission.FULL:
        this.#host.close(conn, packReason(By.PROXY, Phase.TLS, Code.QUEUE_FULL))
    }
  }

  /** To a backend as it is, ClientHello first. One that a rule chose goes before `backend`. */
  #sendThrough(conn: ClientConnection, backend: string | undefined): void {
    if (backend !== undefined) conn.backend ??= this.#targets.backends.get(backend)
    this.#engine.proceed(conn.slot, conn.generation, Handshake.TLS, 0, 0)
  }

  /** The engine's context; the connection is closed where there is none. */
  #choose(conn: ClientConnection): number | undefined {
    const { secure } = conn
    const contexts = conn.listener.tls
    const asked = secure?.hello?.serverName ?? ''
    const name = secure?.certificateName ?? asked
    const demand = secure?.clientCertDemand
    if (asked !== '' && !this.#engine.takesOddServerNames && !isServerName(asked)) {
      // The engine would refuse it as well, with an alert that says less.
      this.#alert(conn, Code.TLS_NO_CERTIFICATE, Alert.UNRECOGNIZED_NAME)
      return undefined
    }
    const context = contexts?.choose(name, demand)
    if (context !== undefined) return context
    if (demand !== undefined && contexts?.choose(name) !== undefined) {
      this.#policyFailed(conn, "a rule demands a client certificate, and there is no 'ca' for it")
    } else {
      // The name that was missed is the client's, or a rule's.
      const by = name === asked ? By.CLIENT : By.POLICY
      this.#alert(conn, Code.TLS_NO_CERTIFICATE, Alert.UNRECOGNIZED_NAME, by)
    }
    return undefined
  }

  /** What the rules want of a connection cannot be done. */
  #policyFailed(conn: ClientConnection, why: string): void {
    conn.listener.frontend.policyErrors++
    conn.failed('error', { rule: conn.rule }, why)
    this.#host.close(conn, packReason(By.POLICY, Phase.TLS, Code.POLICY_ERROR))
  }

  #begin(conn: ClientConnection, context: number): void {
    const flags = conn.secure?.ticket?.scarce ? ProceedFlag.TELL_WAITING : 0
    this.#engine.proceed(conn.slot, conn.generation, 0, 0, 0, context, flags)
  }

  #accepted(conn: ClientConnection): void {
    this.#host.tlsAccepted(conn, conn.secure?.asked ?? Handshake.ACCEPT_SESSION)
  }

  #alert(conn: ClientConnection, code: number, alert: Uint8Array, by: number = By.CLIENT): void {
    this.#host.reply(conn, alert, packReason(by, Phase.TLS, code))
  }

  #runnersOf(conn: ClientConnection): TlsRunners {
    return this.#runners.get(conn.listener.frontend) as TlsRunners
  }
}
