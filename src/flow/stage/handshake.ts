/**
 * The handshake rules: they see the client's first bytes, one after another, each what those
 * before it left. They may speak, take bytes away or put others in their place, and start TLS;
 * those behind see what was decrypted then. Bytes that were on their way when one of them was
 * answered are of an older epoch and are not heard of.
 */

import { packReason } from '../../wire/reason.js'
import { By, Code, Handshake, Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { FlowContext } from '../context.js'
import type { CompiledRule, Ruleset } from '../rules/compile.js'
import { type RuleGate, RuleRunner } from '../rules/runner.js'
import { Outcome } from '../rules/scope.js'
import type { Seen } from '../view.js'
import type { Inspection } from './inspection.js'
import type { Stage } from './stage.js'

export class HandshakeRules implements Stage<ClientConnection>, RuleGate<ClientConnection> {
  readonly bit = Handshake.CUSTOM
  readonly phase = Phase.HANDSHAKE
  readonly time: number
  readonly #set: Ruleset<Seen>
  readonly #context: FlowContext
  readonly #runner: RuleRunner<Seen, ClientConnection>

  constructor(set: Ruleset<Seen>, context: FlowContext) {
    this.time = set.time
    this.#set = set
    this.#context = context
    const resumed = (conn: ClientConnection, outcome: number) => {
      if (this.#goOn(conn, outcome)) conn.passed()
    }
    this.#runner = new RuleRunner(set, context, resumed, this)
  }

  /** From the first rule, or behind the one that started TLS. */
  enter(conn: ClientConnection): boolean {
    return this.#goOn(conn, this.#runner.run(conn, conn.inspect().index))
  }

  bytes(conn: ClientConnection, bytes: Uint8Array, flags: number): void {
    const { inspection } = conn
    if (inspection === undefined || !inspection.arrived(bytes, flags)) return
    if (conn.wait?.promise !== undefined) inspection.news = true
    else if (this.#goOn(conn, this.#runner.run(conn, inspection.index))) conn.passed()
  }

  ready(conn: ClientConnection, index: number): boolean {
    const { limit, needs, run } = this.#rule(index)
    return conn.inspect().turn(index, limit, needs, run === undefined)
  }

  patience(conn: ClientConnection, index: number): number {
    const inspection = conn.inspect()
    const now = this.#context.clock.now()
    if (inspection.until === 0) inspection.until = now + (this.#rule(index).deadline ?? 0)
    return Math.max(Math.ceil(inspection.until - now), 1)
  }

  /** On a bind where rules start TLS, nobody goes on in clear unless one of them says so. */
  undecided(conn: ClientConnection): number {
    if (conn.listener.bind.startTls !== 'rule' || conn.hello !== undefined) return Outcome.PASS
    conn.close(packReason(By.CLIENT, Phase.HANDSHAKE, Code.NOT_TLS))
    return Outcome.HELD
  }

  /** True where the rules are through. */
  #goOn(conn: ClientConnection, first: number): boolean {
    for (let outcome = first; outcome === Outcome.MORE || outcome === Outcome.PASS; ) {
      const inspection = conn.inspect()
      if (outcome === Outcome.PASS) {
        this.#leave(conn, inspection)
        return true
      }
      const { index } = inspection
      const { limit, name, opens } = this.#rule(index)
      if (inspection.again) {
        outcome = this.#runner.run(conn, index)
      } else if (inspection.stuck(limit)) {
        // It wants more than there will be.
        conn.rule = name
        if (!opens) conn.close(shortage(inspection, limit))
        outcome = opens ? this.#runner.run(conn, index + 1) : Outcome.HELD
      } else {
        this.#await(conn, inspection)
        return false
      }
    }
    return false
  }

  /** Asks for bytes for the rule whose turn it is, unless the engine is asked already. */
  #await(conn: ClientConnection, inspection: Inspection): void {
    const { index } = inspection
    if (inspection.asked === index && inspection.taken === 0 && inspection.front.length === 0)
      return
    const taken = tell(conn, inspection)
    const { engine } = this.#context
    const delay = this.patience(conn, index)
    inspection.asked = index
    engine.inspect(conn.slot, conn.generation, this.#rule(index).limit, delay, taken)
  }

  /** What rules took is dropped with the next answer. */
  #leave(conn: ClientConnection, inspection: Inspection): void {
    conn.consumed = tell(conn, inspection)
    conn.inspection = undefined
  }

  #rule(index: number): CompiledRule<Seen> {
    return this.#set.rules[index] as CompiledRule<Seen>
  }
}

/** Tells the engine what rules put in front; returns how many bytes are still to be dropped. */
function tell(conn: ClientConnection, inspection: Inspection): number {
  const { front, taken } = inspection
  inspection.told()
  if (front.length === 0) return taken
  conn.context.engine.replace(conn.slot, conn.generation, front, taken)
  return 0
}

/** Why a rule with this limit sees no more bytes. */
function shortage({ expired, left }: Inspection, limit: number): number {
  if (expired) return packReason(By.TIMEOUT, Phase.HANDSHAKE, Code.HANDSHAKE_TIMEOUT)
  // A FIN behind as many may have come or not.
  if (left >= limit) return packReason(By.POLICY, Phase.HANDSHAKE, Code.HANDSHAKE_LIMIT)
  return packReason(By.CLIENT, Phase.HANDSHAKE, Code.ABORTED)
}
