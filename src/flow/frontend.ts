/**
 * A frontend at run time: its compiled policy, its listeners, its counts.
 */

import { byName } from '../address/host-name.js'
import { formatHostPort } from '../address/text.js'
import type { Backend } from '../backend/backend.js'
import { parseDuration } from '../base/units.js'
import type { ResolvedBind, ResolvedFrontend } from '../config/resolved.js'
import type { ListenResult, ListenSpec } from '../engine/engine.js'
import { CidrList } from '../policy/cidr.js'
import type { HandshakeHandler } from '../policy/handler.js'
import type { Rule } from '../policy/types.js'
import type { DownstreamContexts } from '../tls/contexts.js'
import { formatReason } from '../wire/reason.js'
import { Handshake, Phase } from '../wire/wire.js'
import type { ClientConnection } from './connection.js'
import { compileRules, type Ruleset } from './rules/compile.js'
import type { ClientTarget } from './session/target.js'

/** A custom handler with its limits in numbers. */
export interface CompiledHandler {
  readonly handler: HandshakeHandler
  readonly name: string
  /** Bytes. */
  readonly limit: number
  /** ms. */
  readonly deadline: number
  readonly opens: boolean
}

const HEALTH_REPLY = new TextEncoder().encode('OK\n')
const DEFAULT_HANDLER_LIMIT = 16_384
const DEFAULT_HANDLER_DEADLINE = 5_000
/** The core's own deadline comes first: it knows the rule's name. */
const ENGINE_MARGIN = 100

/** One listening socket of a frontend. */
export class Listener {
  readonly frontend: Frontend
  readonly bind: ResolvedBind
  /** Number in the engine, -1 before it listens. */
  id = -1
  address: ListenResult['address'] | undefined
  /** It listens no more. */
  closed = false
  /** The actual address, as logs show it; as configured before it listens. */
  name: string
  /** Sources whose PROXY headers are accepted; undefined: everybody's. */
  readonly proxySources: CidrList | undefined
  /** What stands behind the client's side of its sessions. */
  readonly target: ClientTarget
  /** Certificates; undefined where TLS is not terminated. */
  tls: DownstreamContexts | undefined = undefined

  constructor(frontend: Frontend, bind: ResolvedBind) {
    this.frontend = frontend
    this.bind = bind
    this.name = bind.path
    const from = bind.acceptProxy?.from
    this.proxySources = from === undefined ? undefined : new CidrList(from)
    this.target = { kind: 'client', listener: this }
  }

  /** The backend to which TLS for this name goes unterminated: exact, then one label for '*', then any. */
  sniRoute(serverName: string): string | undefined {
    const { sniRoutes } = this.bind
    return sniRoutes && byName(sniRoutes, serverName)
  }

  /** The engine listens. */
  listening({ listener, address }: ListenResult): void {
    this.id = listener
    this.address = address
    const { family, address: host, port } = address
    this.name = family === 'unix' ? `unix:${host}` : formatHostPort(host, port)
  }
}

export class Frontend {
  readonly name: string
  readonly config: ResolvedFrontend
  readonly listeners: Listener[] = []
  /** Default backend. */
  readonly backend: Backend | undefined
  readonly connectionRules: Ruleset<ClientConnection>
  readonly sessionRules: Ruleset<ClientConnection>
  readonly contentRules: Ruleset<ClientConnection>
  /** With the ClientHello. */
  readonly helloRules: Ruleset<ClientConnection>
  /** When TLS is complete. */
  readonly establishedRules: Ruleset<ClientConnection>
  readonly handlers: readonly CompiledHandler[]
  readonly monitorSources: CidrList | undefined
  /** Failures of rules and handlers mean to go on. */
  readonly opens: boolean
  /** Budget of implicit deadlines, ms. */
  readonly verdictTimeout: number

  /** Connections that policy heard of and that are open now. */
  current = 0
  connections = 0
  sessions = 0
  policyErrors = 0
  lateVerdicts = 0
  /** TLS handshakes that were completed, and those of them that resumed a session. */
  tlsHandshakes = 0
  tlsResumed = 0
  bytesIn = 0
  bytesOut = 0
  /** Counts sampled lines. */
  logTurn = 0
  paused = false
  /** Ended connections by reason word: a few dozen at most. */
  readonly #ends = new Map<number, number>()

  constructor(config: ResolvedFrontend, backend: Backend | undefined, verdictTimeout: number) {
    this.name = config.name
    this.config = config
    this.backend = backend
    this.opens = config.defaultVerdict === 'open'
    this.verdictTimeout = verdictTimeout
    const path = `frontends.${config.name}.tcpRequest`
    const { opens } = this
    this.connectionRules = compileRules<ClientConnection>(config.connectionRules, {
      path: `${path}.connection`,
      phase: Phase.TCP_RULES,
      opens,
    })
    this.sessionRules = compileRules<ClientConnection>(config.sessionRules, {
      path: `${path}.session`,
      phase: Phase.ACCEPT_SESSION,
      opens,
    })
    this.contentRules = compileRules<ClientConnection>(config.contentRules, {
      path: `${path}.content`,
      phase: Phase.CONTENT,
      opens,
    })
    // Each runs where what it reads is there.
    this.helloRules = compileRules(config.helloRules as Rule<ClientConnection>[], {
      path: `frontends.${config.name}.tlsRequest.clientHello`,
      phase: Phase.TLS,
      opens,
    })
    this.establishedRules = compileRules(config.establishedRules as Rule<ClientConnection>[], {
      path: `frontends.${config.name}.tlsRequest.established`,
      phase: Phase.TLS,
      opens,
    })
    this.handlers = config.handshakes.map(compileHandler)
    this.monitorSources = config.monitor && new CidrList(config.monitor.from)
  }

  /** What the engine is to do for a bind, and what to ask about it: absent policy never crosses. */
  listenSpec(bind: ResolvedBind, fallbackRoute: number, maxconn: number): ListenSpec {
    const { config } = this
    let handshakes: number = Handshake.ACCEPT_SESSION
    let ask: number = Handshake.ACCEPT_SESSION
    if (bind.health) handshakes |= Handshake.HEALTH
    if (config.monitor) {
      handshakes |= Handshake.MONITOR_IN
      ask |= Handshake.MONITOR_IN
    }
    if (bind.acceptProxy) {
      handshakes |= Handshake.ACCEPT_PROXY
      // Asked even where everybody may: `conn.peer` must be read before the header replaces
      // it, and a connection of which policy hears has a line in the log when its header is bad.
      ask |= Handshake.ACCEPT_PROXY
    }
    const asksTls = bind.tls !== undefined || bind.sniRoutes !== undefined
    // The question about TLS brings the ClientHello, so that TLVs must come with one before it.
    const wantsTlvs = asksTls && bind.acceptProxy && this.helloRules.rules.length > 0
    if (this.connectionRules.rules.length > 0 || wantsTlvs) {
      handshakes |= Handshake.TCP_RULES
      ask |= Handshake.TCP_RULES
    }
    if (asksTls) {
      handshakes |= Handshake.TLS
      ask |= Handshake.TLS
    }
    if (this.handlers.length > 0) {
      handshakes |= Handshake.CUSTOM
      ask |= Handshake.CUSTOM
    }
    return {
      address: bind.address,
      backlog: bind.backlog,
      maxconn: smallest(bind.maxconn, config.maxconn, maxconn),
      deferAccept: bind.deferAccept,
      fastOpen: bind.fastOpen,
      reusePort: bind.reusePort,
      keepAlive: bind.keepAlive,
      userTimeout: bind.userTimeout,
      transparent: bind.transparent,
      originalDst: bind.originalDst,
      handshakes,
      ask,
      ...(bind.sniRoutes && !bind.tls && { silenceAsks: true }),
      ...(bind.acceptProxy && { proxyLimit: bind.acceptProxy.limit }),
      ...(bind.health && { healthReply: HEALTH_REPLY }),
      handshakeTimeout: config.timeouts.handshake,
      verdictTimeout: this.#engineVerdictTimeout(),
      // What a server gets behind TLS must never depend on whether policy was in time.
      fallbackRoute: bind.tls ? -1 : fallbackRoute,
      clientTimeout: config.timeouts.client,
      clientFinTimeout: config.timeouts.clientFin,
    }
  }

  /** Whether all listeners together have as many connections as they may; one alone keeps its own limit. */
  get full(): boolean {
    const { maxconn } = this.config
    return maxconn > 0 && this.listeners.length > 1 && this.current >= maxconn
  }

  countEnd(reason: number): void {
    this.#ends.set(reason, (this.#ends.get(reason) ?? 0) + 1)
  }

  /** Ended connections as 'by/phase/code' and count. */
  ends(): Record<string, number> {
    const ends: Record<string, number> = {}
    for (const [reason, count] of this.#ends) {
      const text = formatReason(reason)
      // Words of a newer engine read as the same text.
      ends[text] = (ends[text] ?? 0) + count
    }
    return ends
  }

  /** One answer may take the budget, and every deadline that a rule was given on top. */
  #engineVerdictTimeout(): number {
    if (this.verdictTimeout === 0) return 0
    const extra = Math.max(
      this.connectionRules.extraTime,
      this.sessionRules.extraTime,
      this.contentRules.extraTime,
      // Behind its rules a handshake may wait in its queue, at most as long as for a verdict.
      this.helloRules.extraTime + (this.helloRules.rules.length > 0 ? this.verdictTimeout : 0),
      // Established rules share a question with what follows, which has a budget of its own.
      this.establishedRules.extraTime +
        this.sessionRules.extraTime +
        (this.establishedRules.rules.length > 0 ? this.verdictTimeout : 0),
    )
    const handlers = this.handlers.map(({ deadline }) => deadline)
    return Math.max(this.verdictTimeout + extra, ...handlers) + ENGINE_MARGIN
  }
}

function compileHandler(handler: HandshakeHandler): CompiledHandler {
  const { deadline = DEFAULT_HANDLER_DEADLINE } = handler
  return {
    handler,
    name: handler.name,
    limit: handler.limit ?? DEFAULT_HANDLER_LIMIT,
    deadline: typeof deadline === 'string' ? parseDuration(deadline) : deadline,
    opens: handler.onTimeout === 'open',
  }
}

/** The smallest of the limits that are set; 0 where none is. */
function smallest(...limits: number[]): number {
  const set = limits.filter((limit) => limit > 0)
  return set.length === 0 ? 0 : Math.min(...set)
}
