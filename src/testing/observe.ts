/** Watches policy at work: which rules and handlers ran on a connection, and what they answered. */

import type { ResolvedConfig, ResolvedFrontend } from '../config/resolved.js'
import { isThenable } from '../flow/rules/run.js'
import type { HandshakeAnswer, HandshakeHandler } from '../policy/handler.js'
import type { Connection, Rule, RuleAnswer, Verdict } from '../policy/types.js'

export type PolicyPhase =
  | 'connection'
  | 'clientHello'
  | 'established'
  | 'session'
  | 'content'
  | 'handshake'

/** One call of a rule or a handshake handler. */
export interface PolicyStep {
  phase: PolicyPhase
  /** Name of the rule, as logs have it; the kind of a rule that is a verdict. */
  name: string
  /** What it answered; undefined where it had nothing to say, or has not answered yet. */
  answer: Verdict | readonly Verdict[] | HandshakeAnswer | undefined
  /** It threw, or its promise was rejected. */
  error?: unknown
  /** ms on the virtual clock when it was called. */
  at: number
}

/** Told before each call, on the connection that the core works with. */
export type PolicyWatcher = (conn: Connection, phase: PolicyPhase, name: string) => PolicyStep

type AnyRule = Rule<Connection>
type Answer = PolicyStep['answer']

/** The same configuration, with every rule and handler watched. */
export function watchPolicy(config: ResolvedConfig, watch: PolicyWatcher): ResolvedConfig {
  return { ...config, frontends: config.frontends.map((frontend) => watched(frontend, watch)) }
}

function watched(frontend: ResolvedFrontend, watch: PolicyWatcher): ResolvedFrontend {
  // What a rule is given beside the connection is none of the watcher's business.
  const rules = <R>(list: readonly R[], phase: PolicyPhase, section = 'tcpRequest'): R[] =>
    list.map((rule, i) => {
      const path = `frontends.${frontend.name}.${section}.${phase}[${i}]`
      return watchedRule(rule as AnyRule, phase, path, watch) as R
    })
  return {
    ...frontend,
    connectionRules: rules(frontend.connectionRules, 'connection'),
    sessionRules: rules(frontend.sessionRules, 'session'),
    contentRules: rules(frontend.contentRules, 'content'),
    helloRules: rules(frontend.helloRules, 'clientHello', 'tlsRequest'),
    establishedRules: rules(frontend.establishedRules, 'established', 'tlsRequest'),
    handshakes: frontend.handshakes.map((handler) => watchedHandler(handler, watch)),
  }
}

/** Keeps the name that rules/compile.ts gives, the deadline and what a failure means. */
function watchedRule(
  rule: AnyRule,
  phase: PolicyPhase,
  path: string,
  watch: PolicyWatcher,
): AnyRule {
  if (typeof rule === 'function') {
    const name = rule.name || path
    return { name, run: (conn) => observe(watch(conn, phase, name), () => rule(conn)) }
  }
  if ('kind' in rule) {
    return { name: rule.kind, run: (conn) => observe(watch(conn, phase, rule.kind), () => rule) }
  }
  const name = rule.name || path
  const { deadline, onError } = rule
  const run = (conn: Connection) => observe(watch(conn, phase, name), () => rule.run(conn))
  return { name, run, deadline, onError }
}

function watchedHandler(handler: HandshakeHandler, watch: PolicyWatcher): HandshakeHandler {
  const { name, limit, deadline, onTimeout } = handler
  return {
    name,
    limit,
    deadline,
    onTimeout,
    onBytes: (conn, bytes, info) =>
      observe(watch(conn, 'handshake', name), () => handler.onBytes(conn, bytes, info)),
  }
}

/** Returns and throws what `call` does, and writes it down. */
function observe<T extends RuleAnswer | HandshakeAnswer>(
  step: PolicyStep,
  call: () => T | Promise<T>,
): T | Promise<T> {
  try {
    const answer = call()
    if (!isThenable(answer)) {
      step.answer = answer as Answer
    } else if (answer instanceof Promise) {
      // On the side: the core awaits the promise itself, at the time it would anyway.
      answer.then(
        (value) => {
          step.answer = value as Answer
        },
        (error: unknown) => {
          step.error = error
        },
      )
    }
    return answer
  } catch (error) {
    step.error = error
    throw error
  }
}
