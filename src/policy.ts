/** What policies are written with: `import { reject, track } from 'sluice/policy'`. */

export type { Duration, Size } from './base/units.js'
export type { ProxySsl } from './codec/proxy.js'
export { readProxySsl } from './codec/proxy.js'
export type { ClientHello } from './codec/tls.js'
export type { PluginDefinition, PluginFactory } from './options/plugin.js'
export { definePlugin } from './options/plugin.js'
export type { PluginParts } from './options/written.js'
export type { Applet, AppletStream } from './policy/applet.js'
export { defineApplet } from './policy/applet.js'
export type { CidrFile, CidrFileOptions, CidrList } from './policy/cidr.js'
export { cidrFile, cidrList } from './policy/cidr.js'
export type { Counts, DataType, ReadableIn, StoredIn, TableStore } from './policy/counters.js'
export type { Base64 } from './policy/fields.js'
export type {
  KeyOf,
  TableChanges,
  TableData,
  TableKey,
  TableKeyType,
  TableRow,
  TableView,
} from './policy/live.js'
export type { Counter, Gauge, Labels, MetricStats, Metrics } from './policy/metrics.js'
export type {
  OptionsCheck,
  OptionsSchema,
  Plugin,
  PluginContext,
  PluginUse,
  SchemaIssue,
  SchemaResult,
  WrongOption,
} from './policy/plugin.js'
export type {
  HandshakeRule,
  HandshakeRuleOptions,
  HandshakeRules,
  NamedRule,
  Rule,
  RuleAnswer,
  RuleFunction,
  Rules,
  Verdict,
  VerdictAmong,
} from './policy/rule.js'
export { chargen, discard, echo, staticReply } from './policy/stock.js'
export type {
  ClientCertDemand,
  Connection,
  ConnectionTimeouts,
  CounterName,
  FieldValue,
  FirstBytes,
  Key,
  PeerCertificate,
  TlsInfo,
  TrackedCounter,
  TrackedEntry,
} from './policy/types.js'
export type { VarHandle, Variable, Variables, Vars } from './policy/vars.js'
export { defineVar } from './policy/vars.js'
export * from './policy/verdicts.js'
export type { TableDefinition, TableHandle } from './tables/handle.js'
export { defineTable } from './tables/handle.js'
