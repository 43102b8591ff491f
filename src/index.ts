/** Public API of Sluice. Policies import `sluice/policy`, tests `sluice/testing`. */

export type { Applet, AppletStream } from './applet/applet.js'
export { defineApplet } from './applet/applet.js'
export type { Clock } from './clock.js'
export { resolveConfig } from './config/resolve.js'
export type { ResolvedConfig } from './config/resolved.js'
export * from './config/types.js'
export { decodeConnection, decodeFlags, decodeReason } from './connection/decode.js'
export type { Reason } from './connection/reason.js'
export type { Engine, EngineKind, EngineStats, ListenResult } from './engine/engine.js'
export type { ByLabel, CodeLabel, PhaseLabel } from './engine/wire.js'
export type { ConfigIssue, ErrorCode } from './errors.js'
export { ConfigError, SluiceError } from './errors.js'
export type { HandshakeAnswer, HandshakeHandler } from './handshake/handler.js'
export { defineHandshake } from './handshake/handler.js'
export type {
  BackendStats,
  FrontendStats,
  ListenAddresses,
  ProxyEvents,
  ProxyOptions,
  ProxyStats,
  ServerStateChange,
  SessionTransition,
  SluiceProxy,
  StopOptions,
  StopResult,
} from './proxy.js'
export { createProxy } from './proxy.js'
export type { Connection, Rule, RuleFunction, Verdict } from './rules/types.js'
export type { SessionRecord } from './session/record.js'
export type { CertificateStatus, ReloadReport } from './tls/contexts.js'
