/** What policies are written with: `import { reject, track } from 'sluice/policy'`. */

export type { Applet, AppletStream } from './applet/applet.js'
export { defineApplet } from './applet/applet.js'
export { chargen, discard, echo, staticReply } from './applet/stock.js'
export type { HandshakeAnswer, HandshakeHandler } from './handshake/handler.js'
export { defineHandshake } from './handshake/handler.js'
export {
  accept,
  expectProxy,
  more,
  priority,
  reject,
  reply,
  setVar,
  tarpit,
  track,
  useBackend,
} from './rules/actions.js'
export type { CidrFile, CidrFileOptions, CidrList } from './rules/cidr.js'
export { cidrFile, cidrList } from './rules/cidr.js'
export type {
  Connection,
  CounterName,
  Key,
  Rule,
  RuleAnswer,
  RuleFunction,
  TrackedCounter,
  Variable,
  Verdict,
} from './rules/types.js'
