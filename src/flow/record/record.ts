/** The record of an ended session: the log line, and what the 'session' event tells. */

import { getSystemErrorName } from 'node:util'
import type { Logger } from 'pino'
import { alertName, knownJa4 } from '../../codec/tls.js'
import type { ClosedEvent } from '../../engine/event.js'
import type { FieldValue, TlsInfo } from '../../policy/types.js'
import { reasonBy, reasonCode, reasonPhase, unpackReason } from '../../wire/reason.js'
import { reasonText } from '../../wire/reason-text.js'
import { By, type ByLabel, Code, type CodeLabel, Phase, type PhaseLabel } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { FailedAttempt } from '../session/retries.js'
import type { DownstreamTls } from '../tls/downstream.js'
import { toldFields } from './fields.js'

/** Why a session or an attempt to connect ended. */
export interface EndRecord {
  by: ByLabel
  phase: PhaseLabel
  code: CodeLabel
  /** Of the socket error behind the code, where there is one, and its name ('ECONNREFUSED'). */
  errno: number | undefined
  error: string | undefined
  /** Name of the alert (RFC 8446 section 6) that the peer sent, for 'tls-alert'. */
  alert: string | undefined
}

export interface SessionRecord extends EndRecord {
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
  /** Where the last connect went: '127.0.0.1:9001', '[::1]:9001', 'unix:/path'. */
  serverAddress: string | undefined
  /**
   * Our own port towards the server, once it was connected; undefined for applets and unix
   * sockets, and where neither lines of ordinary sessions are written nor anybody hears of them.
   */
  localPort: number | undefined
  /** ms. `queue`: waiting for a slot; `connect`: -1 where it never connected; `total`: from accept. */
  timers: { queue: number; connect: number; total: number }
  /** Bytes from and to the client. */
  bytesIn: number
  bytesOut: number
  /** With the client: what there was of TLS, also where its handshake failed. */
  tls: TlsRecord | undefined
  /** With the server, where its handshake was completed. */
  serverTls: { version: string; cipher: string; resumed: boolean } | undefined
  /** Rule that decided last. */
  rule: string | undefined
  /** Connect attempts after the first. */
  retries: number
  /** Connects that failed, in order, 16 at most; undefined where none did. */
  attempts: AttemptRecord[] | undefined
  /** Opened past policy, because the verdict was late. */
  opened: true | undefined
  /** What policies put into `conn.fields`; undefined for none. */
  fields: Record<string, FieldValue> | undefined
}

/** A connect that failed: where it went, and why it failed. */
export interface AttemptRecord extends EndRecord {
  server: string | undefined
  /** As `serverAddress`; undefined where there was none to connect to. */
  address: string | undefined
}

/** TLS of a client. Where its handshake was not completed there is no more than what it asked for. */
export interface TlsRecord {
  /** The name asked for; '' for none. */
  serverName: string
  version?: string
  cipher?: string
  /** Chosen protocol; '' for none. */
  alpn?: string
  resumed?: boolean
  /** Common name of the client's certificate. */
  clientCert?: string
  /** Where a policy has asked for it: it costs two hashes. */
  ja4?: string
  /** It was not terminated. */
  passthrough?: true
}

/** Precondition: the table record is still that of the connection. */
export function buildRecord(
  conn: ClientConnection,
  reason: number,
  { errno, connectTime, localPort }: ClosedEvent,
  total: number,
): SessionRecord {
  const { course } = conn
  const { by, phase, code } = unpackReason(reason)
  const backend = course?.backend ?? conn.backend
  return {
    id: conn.id,
    frontend: conn.frontend,
    bind: conn.listener.name,
    src: conn.src,
    srcPort: conn.srcPort,
    dst: conn.dst,
    dstPort: conn.dstPort,
    backend: backend?.name,
    server: course?.server?.name,
    serverAddress: course?.endpoint,
    localPort: localPort || undefined,
    timers: { queue: Math.round(course?.queuedFor ?? 0), connect: connectTime, total },
    bytesIn: conn.bytesIn,
    bytesOut: conn.bytesOut,
    by,
    phase,
    code,
    ...errorOf(reason, lastErrno(conn, reason, errno)),
    tls: conn.secure && tlsRecord(conn.secure),
    serverTls: conn.serverTls && serverTlsRecord(conn.serverTls),
    rule: conn.rule,
    retries: course?.retries?.begun ?? 0,
    attempts: course?.retries?.failed.map(attemptRecord),
    opened: course?.opened ? true : undefined,
    fields: toldFields(conn.knownFields),
  }
}

/** For an alert, the engine's errno is its number. */
function errorOf(reason: number, errno: number): Pick<EndRecord, 'errno' | 'error' | 'alert'> {
  if (reasonCode(reason) === Code.TLS_ALERT) {
    return { errno: undefined, error: undefined, alert: alertName(errno) }
  }
  if (errno === 0) return { errno: undefined, error: undefined, alert: undefined }
  return { errno, error: errnoName(errno), alert: undefined }
}

function errnoName(errno: number): string | undefined {
  const name = getSystemErrorName(-errno)
  return name.startsWith('E') ? name : undefined
}

function attemptRecord({ server, endpoint, reason, errno }: FailedAttempt): AttemptRecord {
  return { server, address: endpoint, ...unpackReason(reason), ...errorOf(reason, errno) }
}

function tlsRecord({ hello, info, passes }: DownstreamTls): TlsRecord | undefined {
  // Of a client that was cut off before its hello there is nothing to tell.
  if (hello === undefined) return undefined
  const record: TlsRecord = { serverName: hello.serverName }
  if (info !== undefined) {
    const { version, cipher, alpn, resumed, peerCertificate } = info
    Object.assign(record, { version, cipher, alpn, resumed })
    if (peerCertificate !== undefined) record.clientCert = peerCertificate.commonName
  } else if (passes) {
    record.passthrough = true
  }
  // Nothing is hashed for the log.
  const ja4 = knownJa4(hello)
  if (ja4 !== undefined) record.ja4 = ja4
  return record
}

function serverTlsRecord({ version, cipher, resumed }: TlsInfo): SessionRecord['serverTls'] {
  return { version, cipher, resumed }
}

/** A session that ends for a failed connect has that connect's errno. */
function lastErrno(conn: ClientConnection, reason: number, errno: number): number {
  if (errno !== 0) return errno
  const retries = conn.course?.retries
  return retries?.reason === reason ? retries.errno : 0
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
      // A client that stops in its TLS handshake is a scanner, or gone.
      return code !== Code.HANDSHAKE_TIMEOUT || reasonPhase(reason) !== Phase.TLS
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

/** The line of a session; `logger` has what all of them have in common. */
export function writeRecord(logger: Logger, record: SessionRecord, reason: number): void {
  const text = reasonText(reason)
  if (reasonCode(reason) === Code.INTERNAL) logger.error(record, text)
  else if (isTrouble(reason)) logger.warn(record, text)
  else logger.info(record, text)
}
