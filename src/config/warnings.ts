/**
 * What is allowed in a configuration and probably not meant. Every warning has
 * its path and says what to do.
 */

import { formatDuration, show } from '../base/units.js'
import { type Rule, verdictKinds } from '../policy/rule.js'
import { ruleListNames } from '../policy/rule-lists.js'
import type { Kind } from '../policy/verdict.js'
import type { Context } from './context.js'
import type { Path } from './issues.js'
import { findLoops } from './loops.js'
import type { PlacedRule, ResolvedBackend, ResolvedConfig, ResolvedFrontend } from './resolved.js'

type Resolved = Omit<ResolvedConfig, 'warnings'>

interface Rules {
  path: Path
  rules: readonly PlacedRule[]
}

/** Adds what concerns more than one section, or whole lists, to `context.warnings`. */
export function addWarnings(config: Resolved, context: Context): void {
  for (const frontend of config.frontends) warnOfFrontend(frontend, config, context)
  for (const backend of config.backends) warnOfBackend(backend, context)
  warnOfUnused(config, context)
  context.warnings.list.push(...findLoops(config).possible)
}

function warnOfFrontend(frontend: ResolvedFrontend, config: Resolved, context: Context): void {
  const path = ['frontends', frontend.name]
  const { warnings } = context
  const lists = listsOf(frontend)
  for (const list of lists) warnOfRules(list, context)
  warnOfRefusal(lists, context)
  if (frontend.onError === 'open' && frontend.backend === undefined) {
    warnings.add(
      [...path, 'onError'],
      "'open' goes on to the default backend, and this frontend has none: late connections are closed. Name a 'backend'.",
    )
  }
  const backend = config.backends.find(({ name }) => name === frontend.backend)
  warnOfShort(path, 'client', frontend.timeouts.client, backend, context)
}

function warnOfBackend(backend: ResolvedBackend, context: Context): void {
  const path = ['backends', backend.name]
  const { warnings } = context
  const { servers } = backend
  if (servers.length > 0 && servers.every(({ backup }) => backup)) {
    warnings.add(
      [...path, 'servers'],
      "every server is a backup: they are used all the time, as nothing else is there. Remove 'backup' from those that should serve.",
    )
  }
  if (servers.length > 0 && servers.every(({ state }) => state === 'maint')) {
    warnings.add(
      [...path, 'servers'],
      "every server is in maintenance (state: 'maint'), so that nobody is served until one is set to 'ready'.",
    )
  }
  if (servers.length > 0 && servers.every(({ weight }) => weight === 0)) {
    warnings.add(
      [...path, 'servers'],
      "every server has weight 0, which drains it, so that nobody is served. Give one at least a 'weight' of 1.",
    )
  }
  const seen = new Map<string, string>()
  for (const { name, address } of servers) {
    // One applet may well stand for several servers.
    if (address.kind === 'applet') continue
    const text = JSON.stringify(address)
    const twin = seen.get(text)
    seen.set(text, twin ?? name)
    if (twin === undefined) continue
    warnings.add(
      [...path, 'servers', name],
      `is the same address as server '${twin}': it counts twice, and so do its limits. Use 'weight' for a larger share.`,
    )
  }
  warnOfShort(path, 'server', backend.timeouts.server, backend, context)
}

/** Times that end a connection which is only slow to begin, or never end one. */
function warnOfShort(
  path: Path,
  side: 'client' | 'server',
  ms: number,
  backend: ResolvedBackend | undefined,
  context: Context,
): void {
  const { warnings, config } = context
  const [section, name] = path as ['frontends' | 'backends', string]
  const own = config[section]?.[name]?.timeouts as Record<string, unknown> | undefined
  const at = own?.[side] === undefined ? ['timeouts', side] : [...path, 'timeouts', side]
  if (warnings.has(at)) return
  if (ms === 0) {
    warnings.add(
      at,
      `is off: a ${side} that is gone without a word keeps its connection for ever. Give it a time, such as '1h'.`,
    )
  } else if (backend && ms < backend.timeouts.connect) {
    const connect = formatDuration(backend.timeouts.connect)
    warnings.add(
      at,
      `is '${formatDuration(ms)}', and connecting to a server of '${backend.name}' may take '${connect}': a ${side} that is only slow is cut. Raise it, or lower timeouts.connect.`,
    )
  }
}

function listsOf(frontend: ResolvedFrontend): Rules[] {
  return ruleListNames.map((list) => ({
    path: ['frontends', frontend.name, 'rules', list],
    rules: frontend.rules[list],
  }))
}

/** Rules that never run, and rules that a log cannot tell apart. */
function warnOfRules({ path, rules }: Rules, context: Context): void {
  const end = rules.findIndex(({ rule }) => endedBy(rule) !== undefined)
  const behind = rules[end + 1]
  if (end >= 0 && behind) {
    context.warnings.add(
      behind.path,
      `never runs: the rule before it is '${kindOf(rules[end]?.rule)}' for every connection. Move it up, or remove one of them.`,
    )
  }
  // Those of plugins have their plugin's name in front.
  const own = rules.filter(({ plugin }) => plugin === undefined)
  const names = own.map(({ rule }) => ('run' in rule ? rule.name : undefined))
  warnOfTwins(path, names, context)
}

/** A constant refusal of every connection leaves the lists behind it without any. */
function warnOfRefusal(lists: readonly Rules[], context: Context): void {
  const at = lists.findIndex(({ path, rules }) => {
    // ClientHello rules do not run on every bind.
    if (path.includes('clientHello') || path.includes('secured')) return false
    // A rule before it may accept.
    return endedBy(rules[0]?.rule) === 'connection'
  })
  const behind = at < 0 ? undefined : lists.slice(at + 1).find(({ rules }) => rules.length > 0)
  if (!behind) return
  const { path, rules } = lists[at] as Rules
  const kind = kindOf(rules[0]?.rule)
  context.warnings.add(
    behind.path,
    `never run: the first of the ${String(path.at(-1))} rules is '${kind}' for every connection. Give that one a condition, or remove these.`,
  )
}

function warnOfTwins(
  path: Path,
  names: readonly (string | undefined)[],
  { warnings }: Context,
): void {
  for (const [i, name] of names.entries()) {
    const first = names.indexOf(name)
    if (name === undefined || first === i) continue
    warnings.add(
      [...path, i, 'name'],
      `${show(name)} is the name of [${first}] too, and logs show nothing but the name. Give it another one.`,
    )
  }
}

/** Sections that nothing refers to. */
function warnOfUnused(config: Resolved, context: Context): void {
  const { warnings } = context
  const { backends, tables } = references(config)
  if (backends) {
    for (const { name } of config.backends) {
      if (backends.has(name)) continue
      warnings.add(
        ['backends', name],
        'is not used: no frontend, rule or sniRoutes names it. Name it there, or remove it.',
      )
    }
  }
  if (tables) {
    for (const { name } of config.tables) {
      if (tables.has(name)) continue
      warnings.add(
        ['tables', name],
        "is not used: no rule tracks in it, and no 'stick' names it. Name it there, or remove it.",
      )
    }
  }
  const named = Object.values(context.config.backends ?? {})
    .flatMap((backend) => Object.values(backend?.servers ?? {}))
    .map((server) =>
      typeof server === 'string' ? server : (server as { address?: string }).address,
    )
  for (const name of Object.keys(context.config.applets ?? {})) {
    if (named.includes(`applet:${name}`)) continue
    warnings.add(
      ['applets', name],
      `is not used: no server has the address 'applet:${name}'. Name it there, or remove it.`,
    )
  }
}

/** Names that are used; undefined where a function may use any of them. */
function references(config: Resolved): {
  backends: Set<string> | undefined
  tables: Set<string> | undefined
} {
  const backends = new Set<string>()
  const tables = new Set<string>()
  let opaque = false
  for (const { stick } of config.backends) if (stick) tables.add(stick.table)
  for (const frontend of config.frontends) {
    if (frontend.backend !== undefined) backends.add(frontend.backend)
    for (const { sniRoutes } of frontend.binds)
      for (const backend of sniRoutes?.values() ?? []) backends.add(backend)
    for (const { rule } of listsOf(frontend).flatMap(({ rules }) => rules)) {
      const seen = ('run' in rule ? rule.run : rule) as { backend?: unknown; table?: unknown }
      if (typeof seen.backend === 'string') backends.add(seen.backend)
      if (typeof seen.table === 'string') tables.add(seen.table)
      else if (typeof seen === 'function') opaque = true
    }
  }
  return opaque ? { backends: undefined, tables: undefined } : { backends, tables }
}

/** Kind of a constant verdict; undefined for a function. */
function kindOf(rule: Rule<never> | undefined): string | undefined {
  return typeof rule === 'object' && 'kind' in rule ? rule.kind : undefined
}

/** What a constant verdict ends. */
function endedBy(rule: Rule<never> | undefined): Kind['ends'] {
  return verdictKinds.get(kindOf(rule))?.ends
}
