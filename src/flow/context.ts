/** What all connections of a proxy share. */

import type { Logger } from 'pino'
import type { Engine } from '../engine/engine.js'
import type { FailureLog } from '../log/failures.js'
import type { StickTable } from '../tables/stick-table.js'
import type { ConnectionTable } from '../wire/table.js'
import type { Observer } from './observer.js'
import type { RuleContext } from './rules/runner.js'
import type { TlsAdmission } from './tls/admission.js'

export interface FlowContext extends RuleContext {
  readonly engine: Engine
  readonly table: ConnectionTable
  readonly logger: Logger
  /** Start of every `id`, hexadecimal. */
  readonly idPrefix: string
  readonly failures: FailureLog
  /** Stick tables by the handle that is their configuration. */
  readonly handles: ReadonlyMap<object, StickTable>
  readonly observer: Observer
  /** Whether an ordinary session of which one in `sample` is logged may be written, or is told of. */
  readonly records: { wants(sample: number): boolean }
  /** The proxy is about to stop: the monitor says no. */
  leaving: boolean
  /** Who may do a TLS handshake with a client now. */
  readonly admission: TlsAdmission
}
