/** Tests of policies without a network. docs/testing.md is the guide. */

export type { TableData, TableView } from '../policy/live.js'
export type { ServerPaths } from '../policy/names.js'
export type { ProxyHeaderOptions, Split } from './arrivals.js'
export { settle, VirtualClock } from './clock.js'
export type { TestConnection } from './connection.js'
export type { TestMode, TestProxyHeader } from './engine/client.js'
export type { LogRecord } from './log.js'
export type { ConnectOptions, TestProxyOptions, TestUse } from './options.js'
export type { TestProxy } from './proxy.js'
export { createTestProxy } from './proxy.js'
export type { TestResult, TestTls, TestVerdict } from './result.js'
export type {
  ServerBehaviour,
  ServerOutcome,
  ServerReply,
  ServerScript,
  Servers,
  ServerTlsFailure,
} from './servers.js'
export type { PolicyPhase, PolicyStep } from './steps.js'
export type { TableChange } from './tables.js'
export type { TestCertificate } from './tls/certificate.js'
export type { CertificateNames, TestCertificateChoice } from './tls/certificates.js'
export type { TlsClientOptions } from './tls/client.js'
export { buildClientHello, type HelloOptions } from './tls/hello.js'
export type { TestTransition } from './trail.js'
