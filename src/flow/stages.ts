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
import { ContentRules } from './stage/content.js'
import { Handshakes } from './stage/handshake.js'
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
  const { rules, handlers, config, opens } = frontend
  const { acceptProxy, tls, sniRoutes } = listener.bind
  const asksTls = tls !== undefined || sniRoutes !== undefined
  // The question about TLS brings the ClientHello, so that TLVs must come with one before it.
  const wantsTlvs = asksTls && acceptProxy !== undefined && rules.clientHello.rules.length > 0
  const behindTls = handlers.length > 0 ? Handshake.CUSTOM : Handshake.ACCEPT_SESSION
  const stages = [
    config.monitor && new Monitor(config.monitor),
    acceptProxy && new ProxyHeader(listener.proxySources),
    (rules.connection.rules.length > 0 || wantsTlvs) &&
      new ConnectionRules(rules.connection, context),
    asksTls && new Hello(rules.clientHello, context),
    asksTls && new Tls(context.engine),
    asksTls && rules.secured.rules.length > 0 && new Secured(behindTls, rules.secured, context),
    handlers.length > 0 && new Handshakes(handlers, opens, context),
    new SessionRules(rules.session, context, reporter),
    rules.content.rules.length > 0 && new ContentRules(rules.content, config, context),
    new Target(),
  ]
  return stages.filter((stage) => typeof stage === 'object')
}
