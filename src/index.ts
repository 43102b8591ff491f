/** Public API of Sluice. Policies import `sluice/policy`, tests `sluice/testing`. */

export type { Resolver } from './backend/resolve.js'
export type { Clock } from './base/clock.js'
export type { ConfigIssue, ErrorCode } from './base/errors.js'
export { ConfigError, SluiceError } from './base/errors.js'
export * from './config/types.js'
export type { BoundAddress, EngineKind, EngineStats } from './engine/engine.js'
export type { AttemptRecord, EndRecord, SessionRecord, TlsRecord } from './flow/flow.js'
export type { Applet, AppletStream } from './policy/applet.js'
export { defineApplet } from './policy/applet.js'
export type { DataType, ReadableIn, StoredIn, TableStore } from './policy/counters.js'
export type {
  BackendView,
  BackendViews,
  KeyOf,
  ListenAddresses,
  RunningProxy,
  ServerControl,
  ServerState,
  ServerStatus,
  SessionFilter,
  SessionView,
  SideState,
  Started,
  TableChanges,
  TableData,
  TableKey,
  TableRow,
  TableView,
} from './policy/live.js'
export type { MetricStats } from './policy/metrics.js'
export type { Plugin } from './policy/plugin.js'
export type { HandshakeRule, Rule, RuleFunction, Verdict } from './policy/rule.js'
export type { BackendStats, FrontendStats, ProxyStats } from './policy/stats.js'
export type { Connection } from './policy/types.js'
export { createProxy } from './proxy/create.js'
export type { SluiceProxy } from './proxy/proxy.js'
export type {
  ProxyEvents,
  ProxyOptions,
  ServerStateChange,
  SessionTransition,
  StopOptions,
  StopResult,
} from './proxy/types.js'
export type { CertificateStatus, ReloadReport } from './tls/contexts.js'
export { decodeFlags, decodeReason } from './wire/decode.js'
export type { Reason } from './wire/reason.js'
export type { ByLabel, CodeLabel, PhaseLabel } from './wire/wire.js'
