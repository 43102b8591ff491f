/** Frontends: defaults, references from rules, and whether anybody chooses a backend. */

import { parseSize } from '../base/units.js'
import { MOST_REPLY } from '../engine/reply.js'
import type { Rule } from '../policy/types.js'
import { type Checked, type Context, finTimeout, ms } from './context.js'
import { defaults } from './defaults.js'
import type { Issues, Path } from './issues.js'
import { checkCidrs, resolveBinds } from './resolve-bind.js'
import type { ResolvedBind, ResolvedFrontend } from './resolved.js'
import type { FrontendConfig } from './types.js'
import { checkCalled, checkCounter, checkTable, checkVerdict, type RuleList } from './verdicts.js'

type AnyRule = Rule<never>

export function resolveFrontend(
  name: string,
  frontend: Checked<FrontendConfig>,
  context: Context,
): ResolvedFrontend {
  const { issues, names, config } = context
  const path = ['frontends', name]
  const { backend, monitor, tcpRequest = {}, tlsRequest = {}, timeouts = {} } = frontend
  if (backend !== undefined && names.backends && !names.backends.includes(backend)) {
    issues.unknownName([...path, 'backend'], 'backend', backend, names.backends)
  }
  checkCidrs(issues, [...path, 'monitor', 'from'], monitor?.from)
  const monitorReply = new TextEncoder().encode(monitor?.reply ?? defaults.monitorReply)
  if (monitorReply.length > MOST_REPLY) {
    const message = `expected at most ${MOST_REPLY} bytes, got ${monitorReply.length}.`
    issues.add([...path, 'monitor', 'reply'], message)
  }
  for (const list of ['connection', 'session', 'content'] as const)
    checkRules([...path, 'tcpRequest', list], tcpRequest[list], list, context)
  for (const list of ['clientHello', 'established'] as const)
    checkRules([...path, 'tlsRequest', list], tlsRequest[list], list, context)
  const maxconn = frontend.maxconn ?? context.maxconn
  const binds = resolveBinds([...path, 'bind'], frontend.bind, maxconn, context)
  const routed = binds.some((bind) => bind.sniRoutes)
  checkTlsRules([...path, 'tlsRequest'], tlsRequest, binds, issues)
  if (!routed)
    checkChoice(path, frontend, binds.length > 0 && binds.every((bind) => bind.health), context)

  const client = ms(timeouts.client, config.timeouts?.client, defaults.timeouts.client) as number
  const present = <T>(list: readonly (T | undefined)[] | undefined): T[] =>
    (list ?? []).filter((item) => item !== undefined)
  return {
    name,
    binds,
    backend,
    maxconn,
    monitor: monitor && { from: monitor.from ?? [], reply: monitorReply },
    connectionRules: present(tcpRequest.connection),
    sessionRules: present(tcpRequest.session),
    contentRules: present(tcpRequest.content),
    helloRules: present(tlsRequest.clientHello),
    establishedRules: present(tlsRequest.established),
    inspectDelay: ms(tcpRequest.inspectDelay) ?? 0,
    inspectLimit: parseSize(tcpRequest.inspectLimit ?? defaults.inspectLimit),
    handshakes: present(frontend.handshakes),
    defaultVerdict: frontend.defaultVerdict ?? defaults.defaultVerdict,
    timeouts: {
      client,
      clientFin:
        ms(timeouts.clientFin, config.timeouts?.clientFin) ??
        finTimeout(client, defaults.timeouts.clientFin),
      handshake: ms(
        timeouts.handshake,
        config.timeouts?.handshake,
        defaults.timeouts.handshake,
      ) as number,
    },
    logSample: frontend.log?.sample ?? defaults.logSample,
    logOpenAfter: ms(frontend.log?.openAfter, defaults.logOpenAfter) as number,
  }
}

/** What can be seen of rules without running them. */
function checkRules(
  path: Path,
  rules: readonly (AnyRule | undefined)[] | undefined,
  list: RuleList,
  context: Context,
): void {
  for (const [i, rule] of (rules ?? []).entries()) {
    if (rule === undefined) continue
    const at = [...path, i]
    if ('kind' in rule) {
      checkVerdict(at, rule, list, context)
      continue
    }
    const run: unknown = typeof rule === 'function' ? rule : rule.run
    if (!checkCalled(at, run, context.issues)) checkTracking(at, run, context)
  }
}

/** A function made by `track` shows its table and its counter. */
function checkTracking(path: Path, run: unknown, context: Context): void {
  const { table, counter } = (run ?? {}) as { table?: unknown; counter?: unknown }
  if (typeof table !== 'string') return
  if (typeof counter === 'string') checkCounter(path, counter, context.issues)
  checkTable(path, table, context)
}

/** Rules that would never run, and verdicts that no bind can follow. */
function checkTlsRules(
  path: Path,
  rules: Checked<NonNullable<FrontendConfig['tlsRequest']>>,
  binds: readonly ResolvedBind[],
  issues: Issues,
): void {
  // A bind that is wrong was told, and might have had TLS.
  if (binds.length === 0) return
  const sets = binds.flatMap(({ tls }) => tls ?? [])
  const terminated = binds.some(({ tls }) => tls)
  const hello = terminated || binds.some(({ sniRoutes }) => sniRoutes)
  if (rules.clientHello?.length && !hello)
    issues.add([...path, 'clientHello'], "needs a bind with 'tls' or 'sniRoutes'.")
  if (rules.established?.length && !terminated)
    issues.add([...path, 'established'], "needs a bind with 'tls'.")
  if (!hello) return
  const helloRules: readonly (AnyRule | undefined)[] = rules.clientHello ?? []
  for (const [i, rule] of helloRules.entries()) {
    if (rule === undefined || !('kind' in rule)) continue
    const { kind } = rule
    if (kind !== 'certificate' && kind !== 'clientCert') continue
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
  const { tcpRequest, tlsRequest, handshakes } = frontend
  const policies = [
    ...[tcpRequest?.connection, tcpRequest?.session, tcpRequest?.content],
    ...[tlsRequest?.clientHello, tlsRequest?.established, handshakes],
  ]
  const silent = policies.every((list) => list === undefined || list.length === 0)
  // A 'backend' that is there and wrong, or misspelt, was told by the shape check.
  if (!silent || onlyHealth || 'backend' in frontend || context.issues.hasBelow(path)) return
  context.issues.add(
    path,
    'has no backend, and no rule or handshake handler that could choose one.',
  )
}
