/** Whose session it is: what a session asks of a connection, later of a request. */

import type { Backend } from '../../backend/backend.js'
import type { ClientHello } from '../../codec/tls.js'
import type { Connection, TlsInfo } from '../../policy/types.js'
import type { FlowContext } from '../context.js'
import type { Scope } from '../rules/scope.js'
import type { Rest } from './rest.js'
import type { SessionOwner } from './sides.js'

export interface SessionClient extends Scope<Connection>, SessionOwner {
  readonly context: FlowContext
  /** Its own time-out in queues, ms; undefined where the backend's holds. */
  readonly queueTimeout: number | undefined
  /** The server that a policy chose is the only one. */
  readonly strict: boolean
  /** What policy is doing now: a value of `Phase`. */
  phase: number
  /** The engine was told that the session is made. */
  answered: boolean
  /** Where sessions go for which no policy chose a backend. */
  readonly defaultBackend: Backend | undefined
  /** TLS with the server, once it is complete. */
  serverTls: TlsInfo | undefined
  readonly tls: TlsInfo | undefined
  readonly hello: ClientHello | undefined
  /** Its session may be written into the log, or be told of. */
  readonly recorded: boolean
  readonly signal: AbortSignal
  /** TLVs of the PROXY v2 header that came: encoded, and by type. */
  readonly tlvBytes: Uint8Array | undefined
  readonly proxyTlvs: ReadonlyMap<number, Uint8Array>
  /** It may be idle from here on, for long: what can be made anew is given up. `rest`: of its session. */
  settle(rest: Rest | undefined): void
  /** Bytes that rules took of those that came first; 0 from the second call on. */
  takeConsumed(): number
  /** Ends it with a reason word. `mode`: CloseMode. */
  close(reason: number, mode?: number): void
}
