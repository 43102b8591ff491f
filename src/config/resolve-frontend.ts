/** Frontends: defaults, references from rules, and whether anybody chooses a backend. */

import { MOST_REPLY } from '../engine/reply.js'
import { frontend as frontendSection } from '../options/frontend.js'
import type { Checked } from '../options/section.js'
import { frontendTimeouts, resolveTimeouts } from '../options/timeouts.js'
import type { FrontendConfig } from '../options/written.js'
import type { Rule } from '../policy/rule.js'
import { type RuleList, ruleListNames } from '../policy/rule-lists.js'
import type { Context } from './context.js'
import type { Issues, Path } from './issues.js'
import { placed } from './plugins.js'
import { checkCidrs, resolveBinds } from './resolve-bind.js'
import type { PlacedRule, PlacedRules, ResolvedBind, ResolvedFrontend } from './resolved.js'
import { checkCalled, checkCounter, checkTable, checkVerdict } from './verdicts.js'

type AnyRule = Rule<never>

export function resolveFrontend(
  name: string,
  frontend: Checked<FrontendConfig>,
  context: Context,
): ResolvedFrontend {
  const { issues, names } = context
  const path = ['frontends', name]
  const { backend } = frontend
  const { mode: _, bind, rules: written, use: __, ...options } = frontendSection.resolve(frontend)
  const { monitor } = options
  if (backend !== undefined && names.backends && !names.backends.includes(backend)) {
    issues.unknownName([...path, 'backend'], 'backend', backend, names.backends)
  }
  checkCidrs(issues, [...path, 'monitor', 'from'], frontend.monitor?.from)
  if (monitor && monitor.reply.length > MOST_REPLY) {
    const message = `expected at most ${MOST_REPLY} bytes, got ${monitor.reply.length}.`
    issues.add([...path, 'monitor', 'reply'], message)
  }
  const rules = placedRules(path, name, frontend, context)
  for (const list of ruleListNames) checkRules(rules[list], list, context)
  const maxconn = options.maxconn ?? context.maxconn
  const binds = resolveBinds([...path, 'bind'], bind, maxconn, context)
  const routed = binds.some((bind) => bind.sniRoutes)
  checkStarts(path, rules.handshake, binds, issues)
  checkTlsRules(name, frontend.rules ?? {}, binds, context)
  const silent = ruleListNames.every((list) => rules[list].length === 0)
  if (!routed && silent)
    checkChoice(path, frontend, binds.length > 0 && binds.every((bind) => bind.health), context)

  return {
    ...options,
    name,
    binds,
    maxconn,
    rules,
    timeouts: resolveTimeouts(frontendTimeouts, frontend.timeouts, context.config.timeouts),
  }
}

/** Its own rules, between those of its plugins. */
function placedRules(
  path: Path,
  name: string,
  { rules }: Checked<FrontendConfig>,
  { plugins }: Context,
): PlacedRules {
  const lists = ruleListNames.map((list) => [
    list,
    plugins.around(name, list, placed(rules, list, path)),
  ])
  return Object.fromEntries(lists) as PlacedRules
}

/** What can be seen of rules without running them. */
function checkRules(rules: readonly PlacedRule[], list: RuleList, context: Context): void {
  for (const { rule, path } of rules) {
    if ('kind' in rule) {
      checkVerdict(path, rule, list, context)
      continue
    }
    const run: unknown = typeof rule === 'function' ? rule : rule.run
    if (!checkCalled(path, run, context.issues)) checkTracking(path, run, context)
  }
}

/** A function made by `track` shows its table and its counter. */
function checkTracking(path: Path, run: unknown, context: Context): void {
  const { table, counter } = (run ?? {}) as { table?: unknown; counter?: unknown }
  if (typeof table !== 'string') return
  if (typeof counter === 'string') checkCounter(path, counter, context.issues)
  checkTable(path, table, context)
}

/** TLS that no rule could start, and verdicts that start what is not there. */
function checkStarts(
  path: Path,
  rules: readonly PlacedRule[],
  binds: readonly ResolvedBind[],
  issues: Issues,
): void {
  // A bind that is wrong was told, and might have had it.
  if (binds.length === 0) return
  const starts = binds.some(({ startTls }) => startTls === 'rule')
  if (starts && rules.length === 0) {
    const message = "expected a rule that answers startTls(), as a bind has startTls: 'rule'."
    issues.add([...path, 'rules', 'handshake'], message)
  }
  for (const { rule, path: at } of rules) {
    if (starts || typeof rule === 'function' || !('kind' in rule)) continue
    if (rule.kind === 'startTls') issues.add(at, "needs a bind with 'tls' and startTls: 'rule'.")
  }
}

/** Rules that would never run, and verdicts that no bind can follow. */
function checkTlsRules(
  name: string,
  rules: Checked<NonNullable<FrontendConfig['rules']>>,
  binds: readonly ResolvedBind[],
  { issues, plugins }: Context,
): void {
  // A bind that is wrong was told, and might have had TLS.
  if (binds.length === 0) return
  const sets = binds.flatMap(({ tls }) => tls ?? [])
  const terminated = binds.some(({ tls }) => tls)
  const hello = terminated || binds.some(({ sniRoutes }) => sniRoutes)
  const path = ['frontends', name, 'rules']
  // Plugins of all frontends do what they can on each.
  const needs = (list: 'clientHello' | 'secured', message: string) => {
    const own = rules[list]?.length ? [[...path, list]] : []
    for (const at of [...own, ...plugins.pathsOf(name, list)]) issues.add(at, message)
  }
  if (!hello) needs('clientHello', "needs a bind with 'tls' or 'sniRoutes'.")
  if (!terminated) needs('secured', "needs a bind with 'tls'.")
  if (!hello) return
  const helloRules: readonly (AnyRule | undefined)[] = rules.clientHello ?? []
  for (const [i, rule] of helloRules.entries()) {
    if (rule === undefined || !('kind' in rule)) continue
    const { kind } = rule
    if (kind !== 'useCertificate' && kind !== 'clientCert') continue
    const at = [...path, 'clientHello', i]
    if (!terminated) issues.add(at, "needs a bind with 'tls': without it there is no certificate.")
    else if (kind === 'clientCert' && rule.demand !== 'none' && sets.every(({ ca }) => !ca.length))
      issues.add(
        at,
        "needs 'ca' in the bind's 'tls': the authorities that sign clients' certificates.",
      )
  }
}

/** Without a default backend, some policy must be there that can choose one or reply. */
function checkChoice(
  path: Path,
  frontend: Checked<FrontendConfig>,
  onlyHealth: boolean,
  context: Context,
): void {
  // A 'backend' that is there and wrong, or misspelt, was told by the shape check.
  if (onlyHealth || 'backend' in frontend || context.issues.hasBelow(path)) return
  context.issues.add(path, 'has no backend, and no rule that could choose one.')
}
