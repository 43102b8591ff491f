/**
 * The life of a connection, from top to bottom: the stages that a listener's connections go
 * through, in their order. A stage that has nothing to do is left out, and the engine does not
 * ask about it: absent policy never crosses.
 */

import { Handshake } from '../wire/wire.js'
import type { ClientConnection } from './connection.js'
import type { FlowContext } from './context.js'
import type { Frontend, Listener } from './frontend.js'
import type { Reporter } from './record/reporter.js'
import { ConnectionRules } from './stage/connection-rules.js'
import { HandshakeRules } from './stage/handshake.js'
import { Hello } from './stage/hello.js'
import { Monitor } from './stage/monitor.js'
import { ProxyHeader } from './stage/proxy-header.js'
import { Secured } from './stage/secured.js'
import { SessionRules } from './stage/session.js'
import type { Stage } from './stage/stage.js'
import { Target } from './stage/target.js'
import { Tls } from './stage/tls.js'

export function stagesOf(
  frontend: Frontend,
  listener: Listener,
  context: FlowContext,
  reporter: Reporter,
): readonly Stage<ClientConnection>[] {
  const { rules, config } = frontend
  const { acceptProxy, tls, sniRoutes, startTls } = listener.bind
  const startsByRule = startTls === 'rule'
  const asksTls = (tls !== undefined || sniRoutes !== undefined) && !startsByRule
  // The question about TLS brings the ClientHello, so that TLVs must come with one before it.
  const wantsTlvs = asksTls && acceptProxy !== undefined && rules.clientHello.rules.length > 0
  const looks = rules.handshake.rules.length > 0
  const behindTls = looks ? Handshake.CUSTOM : Handshake.ACCEPT_SESSION
  const stages = [
    config.monitor && new Monitor(config.monitor),
    acceptProxy && new ProxyHeader(listener.proxySources),
    (rules.connection.rules.length > 0 || wantsTlvs) &&
      new ConnectionRules(rules.connection, context),
    asksTls && new Hello(rules.clientHello, context),
    asksTls && new Tls(context.engine, frontend.verdictTimeout),
    tls !== undefined &&
      rules.secured.rules.length > 0 &&
      new Secured(behindTls, rules.secured, context),
    looks && new HandshakeRules(rules.handshake, context),
    new SessionRules(rules.session, context, reporter),
    new Target(),
    // Not on the way: a handshake rule sends a connection there, and TLS back to what is behind it.
    startsByRule && new Hello(rules.clientHello, context),
    startsByRule && new Tls(context.engine, frontend.verdictTimeout),
  ]
  return stages.filter((stage) => typeof stage === 'object')
}
