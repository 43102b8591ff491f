/** What policies are written with: `import { reject, track } from 'sluice/policy'`. */

export type { Applet, AppletStream } from './applet/applet.js'
export { defineApplet } from './applet/applet.js'
export { chargen, discard, echo, staticReply } from './applet/stock.js'
export type { ProxySsl } from './connection/proxy-ssl.js'
export { readProxySsl } from './connection/proxy-ssl.js'
export type { ClientHello } from './handshake/client-hello.js'
export type { HandshakeAnswer, HandshakeHandler } from './handshake/handler.js'
export { defineHandshake } from './handshake/handler.js'
export {
  accept,
  clientCert,
  expectProxy,
  more,
  passthrough,
  priority,
  reject,
  reply,
  setVar,
  tarpit,
  track,
  useBackend,
  useCertificate,
} from './rules/actions.js'
export type { CidrFile, CidrFileOptions, CidrList } from './rules/cidr.js'
export { cidrFile, cidrList } from './rules/cidr.js'
export type {
  Connection,
  CounterName,
  Key,
  PeerCertificate,
  Rule,
  RuleAnswer,
  RuleFunction,
  TlsInfo,
  TrackedCounter,
  Variable,
  Verdict,
} from './rules/types.js'
export type { ClientCertDemand } from './tls/contexts.js'
