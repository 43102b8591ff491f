/** The record of an ended session: the log line, and what the 'session' event tells. */

import type { Logger } from 'pino'
import { reasonBy, reasonCode, unpackReason } from '../connection/reason.js'
import { By, type ByLabel, Code, type CodeLabel, type PhaseLabel } from '../engine/wire.js'
import type { ClientConnection } from './connection.js'

export interface SessionRecord {
  id: string
  frontend: string
  /** Address of the listener. */
  bind: string
  src: string
  srcPort: number
  dst: string
  dstPort: number
  backend: string | undefined
  server: string | undefined
  /** ms. `queue`: waiting for a slot; `connect`: -1 where it never connected; `total`: from accept. */
  timers: { queue: number; connect: number; total: number }
  /** Bytes from and to the client. */
  bytesIn: number
  bytesOut: number
  by: ByLabel
  phase: PhaseLabel
  code: CodeLabel
  /** Of the socket error behind the code, where there is one. */
  errno: number | undefined
  /** Rule or handler that decided last. */
  rule: string | undefined
  /** Connect attempts after the first. */
  retries: number
  /** Opened past policy, because the verdict was late. */
  opened: true | undefined
}

/** Precondition: the table record is still that of the connection. */
export function buildRecord(
  conn: ClientConnection,
  reason: number,
  errno: number,
  connectTime: number,
  total: number,
): SessionRecord {
  const { session } = conn
  const { by, phase, code } = unpackReason(reason)
  const backend = session?.backend ?? conn.backend
  return {
    id: conn.id,
    frontend: conn.frontend,
    bind: conn.listener.name,
    src: conn.src,
    srcPort: conn.srcPort,
    dst: conn.dst,
    dstPort: conn.dstPort,
    backend: backend?.name,
    server: session?.server?.name,
    timers: { queue: Math.round(session?.queueTime ?? 0), connect: connectTime, total },
    bytesIn: conn.bytesIn,
    bytesOut: conn.bytesOut,
    by,
    phase,
    code,
    errno: lastErrno(conn, reason, errno),
    rule: conn.rule,
    retries: Math.max((session?.attempts ?? 0) - 1, 0),
    opened: session?.opened ? true : undefined,
  }
}

/** A session that ends for a failed connect has that connect's errno. */
function lastErrno(conn: ClientConnection, reason: number, errno: number): number | undefined {
  if (errno !== 0) return errno
  return conn.errno !== 0 && conn.session?.lastFailure === reason ? conn.errno : undefined
}

/** Whether the end is one that somebody should look at: always logged, as a warning. */
export function isTrouble(reason: number): boolean {
  const code = reasonCode(reason)
  switch (reasonBy(reason)) {
    case By.CLIENT:
      return false
    case By.SERVER:
      return code !== Code.DONE
    case By.TIMEOUT:
      return true
    case By.POLICY:
      return code === Code.POLICY_ERROR || code === Code.APPLET_ERROR
    default:
      return !(
        code === Code.DONE ||
        code === Code.MONITOR ||
        code === Code.HEALTH ||
        code === Code.KILLED ||
        code === Code.SHUTDOWN
      )
  }
}

export function writeRecord(logger: Logger, record: SessionRecord, reason: number): void {
  if (reasonCode(reason) === Code.INTERNAL) logger.error(record, 'session')
  else if (isTrouble(reason)) logger.warn(record, 'session')
  else logger.info(record, 'session')
}
