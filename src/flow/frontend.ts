/**
 * A frontend at run time: its compiled policy, its listeners, its counts.
 */

import { byName } from '../address/host-name.js'
import { formatHostPort } from '../address/text.js'
import type { Backend } from '../backend/backend.js'
import type { PlacedRule, ResolvedBind, ResolvedFrontend } from '../config/resolved.js'
import type { ListenResult, ListenSpec } from '../engine/engine.js'
import { tcpOptionsOf } from '../options/bind.js'
import { CidrList } from '../policy/cidr.js'
import type { Rule } from '../policy/rule.js'
import { type RuleList, ruleListNames } from '../policy/rule-lists.js'
import type { DownstreamContexts } from '../tls/contexts.js'
import { formatReason } from '../wire/reason.js'
import { Handshake } from '../wire/wire.js'
import type { FlowContext } from './context.js'
import { compileRules, type Ruleset } from './rules/compile.js'
import { longestQuestion, type Stage } from './stage/stage.js'
import type { Seen } from './view.js'

const HEALTH_REPLY = new TextEncoder().encode('OK\n')
/** The core's own deadline comes first: it knows the rule's name. */
const ENGINE_MARGIN = 100

/** One listening socket of a frontend. `C`: its connections. */
export class Listener<C = unknown> {
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
  /** What its connections go through, in their order. */
  #stages: readonly Stage<C>[] = []
  /** Position of the first stage of each handshake, by the number of its bit. */
  #entries: readonly number[] = []
  /** What its connections share with all others. Set before it listens. */
  declare context: FlowContext
  /** Certificates; undefined where TLS is not terminated. */
  tls: DownstreamContexts | undefined = undefined

  constructor(frontend: Frontend, bind: ResolvedBind) {
    this.frontend = frontend
    this.bind = bind
    this.name = bind.path
    const from = bind.acceptProxy?.from
    this.proxySources = from === undefined ? undefined : new CidrList(from)
  }

  get stages(): readonly Stage<C>[] {
    return this.#stages
  }

  set stages(stages: readonly Stage<C>[]) {
    this.#stages = stages
    this.#entries = Array.from({ length: 32 }, (_, n) =>
      stages.findIndex(({ bit }) => bit === 1 << n),
    )
  }

  /** Position of the stage that answers the question about a handshake; -1: none does. */
  entryOf(bit: number): number {
    return this.#entries[31 - Math.clz32(bit)] as number
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
  readonly rules: Readonly<Record<RuleList, Ruleset<Seen>>>
  /** Failures of rules mean to go on. */
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
    this.opens = config.onError === 'open'
    this.verdictTimeout = verdictTimeout
    const compiled = ruleListNames.map((stage) => {
      const options = { stage, budget: verdictTimeout, opens: this.opens }
      // Each runs where what it reads is there.
      return [
        stage,
        compileRules(config.rules[stage] as readonly PlacedRule<Rule<Seen>>[], options),
      ]
    })
    this.rules = Object.fromEntries(compiled) as Frontend['rules']
  }

  /** What the engine is to do for a listener, and what to ask about it. Precondition: it has its stages. */
  listenSpec({ bind, stages }: Listener, fallbackRoute: number, maxconn: number): ListenSpec {
    const { config } = this
    const ask = stages.reduce((bits, { bit }) => bits | bit, 0)
    // Rules ask for TLS: until then it is not to be done.
    const first = bind.startTls === 'rule' ? ask & ~Handshake.TLS : ask
    const handshakes = bind.health ? first | Handshake.HEALTH : first
    return {
      address: bind.address,
      backlog: bind.backlog,
      maxconn: smallest(bind.maxconn, config.maxconn, maxconn),
      ...tcpOptionsOf(bind),
      handshakes,
      ask,
      ...(bind.sniRoutes && !bind.tls && { silenceAsks: true }),
      ...(bind.acceptProxy && { proxyLimit: bind.acceptProxy.limit }),
      ...(bind.health && { healthReply: HEALTH_REPLY }),
      handshakeTimeout: config.timeouts.handshake,
      verdictTimeout: this.#engineVerdictTimeout(stages),
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

  /** The precise one is policy's: the engine's is behind the longest that policy may take. */
  #engineVerdictTimeout(stages: readonly Stage<never>[]): number {
    if (this.verdictTimeout === 0) return 0
    return Math.max(this.verdictTimeout, longestQuestion(stages)) + ENGINE_MARGIN
  }
}

/** The smallest of the limits that are set; 0 where none is. */
function smallest(...limits: number[]): number {
  const set = limits.filter((limit) => limit > 0)
  return set.length === 0 ? 0 : Math.min(...set)
}
