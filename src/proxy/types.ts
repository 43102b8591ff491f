/** What a proxy is given, what it answers and what it tells. */

import type { Logger } from 'pino'
import type { Resolver } from '../backend/resolve.js'
import type { Clock } from '../base/clock.js'
import type { Duration } from '../config/types.js'
import type { Engine, EngineKind } from '../engine/engine.js'
import type { SessionRecord } from '../flow/flow.js'
import type { Observer } from '../flow/observer.js'
import type { ListenAddresses, SideState } from '../policy/live.js'
import type { ContextSupplier, ReloadReport } from '../tls/contexts.js'

/** How a proxy is run. */
export interface ProxyOptions {
  /** Which engine moves the bytes. Default: the configuration's `global.engine`. */
  engine?: EngineKind | 'auto'
  /** Default: the system's. */
  clock?: Clock
  /** Default: pino as `config.log` says, written asynchronously. */
  logger?: Logger
  /** Stops the proxy when aborted. */
  signal?: AbortSignal
  /** Look-ups of server host names. Default: the system's. */
  resolver?: Resolver
}

/** What a proxy is put together of, in tests and below `sluice/testing`. */
export interface ProxyParts extends Omit<ProxyOptions, 'engine'> {
  engine?: Engine | EngineKind | 'auto'
  /** TLS contexts from elsewhere: no certificate of the configuration is read. */
  certificates?: ContextSupplier
  /** Told of policy at work. */
  observer?: Observer
}

export interface StopOptions {
  /** How long sessions may take to end: '30s'. Default: `global.drainTimeout`. */
  deadline?: Duration
  /**
   * How long connections are accepted before that, while health and monitor say no already: '5s'.
   * Default: `global.grace`.
   */
  grace?: Duration
}

export interface StopResult {
  /** Every session ended by itself. */
  drained: boolean
  /** Sessions that were closed at the deadline, as 'proxy/.../shutdown'. */
  closed: number
}

export interface ServerStateChange {
  backend: string
  server: string
  from: string
  to: string
}

export interface SessionTransition {
  id: string
  side: 'client' | 'server'
  from: SideState
  to: SideState
}

export interface ProxyEvents {
  /** Every listener is there. */
  listening: [addresses: ListenAddresses]
  /** A connection ended. */
  session: [record: SessionRecord]
  serverState: [change: ServerStateChange]
  /** A side of a session changed its state. Costs something on every session. */
  transition: [transition: SessionTransition]
  /** Certificates were read again, and something changed. */
  certificates: [report: ReloadReport]
  /** The engine cannot go on; the proxy has stopped. */
  error: [error: Error]
  stopped: [result: StopResult]
}
