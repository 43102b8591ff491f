/** What the verdict that ended a ruleset means for its connection. */

import { packReason } from '../wire/reason.js'
import { By, CloseMode, Code } from '../wire/wire.js'
import type { ClientConnection } from './connection.js'

export interface EnforceHost {
  close(conn: ClientConnection, reason: number, mode?: number, hold?: number): void
  reply(conn: ClientConnection, bytes: Uint8Array, reason: number): void
}

/** Ends the connection as `conn.verdict` says. `phase`: of the rules. */
export function enforce(host: EnforceHost, conn: ClientConnection, phase: number): void {
  const { verdict } = conn
  if (verdict?.kind === 'reply') {
    host.reply(conn, verdict.bytes, packReason(By.POLICY, phase, Code.REPLIED))
  } else if (verdict?.kind === 'tarpit') {
    const reason = packReason(By.POLICY, phase, Code.TARPIT)
    host.close(conn, reason, CloseMode.TARPIT, Math.round(verdict.ms))
  } else {
    const reset = verdict?.kind === 'reject' && verdict.how === 'reset'
    const reason = packReason(By.POLICY, phase, Code.REJECTED)
    host.close(conn, reason, reset ? CloseMode.RESET : CloseMode.CLOSE)
  }
}

/** A ruleset failed, and that means to close. `late`: because of a deadline. */
export function closeFailed(
  host: EnforceHost,
  conn: ClientConnection,
  phase: number,
  late: boolean,
): void {
  const reason = late
    ? packReason(By.TIMEOUT, phase, Code.VERDICT_TIMEOUT)
    : packReason(By.POLICY, phase, Code.POLICY_ERROR)
  host.close(conn, reason)
}
