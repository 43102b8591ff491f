/** What there is to say about the certificates of a configuration, without an engine. */

import { byName } from '../address/host-name.js'
import type { ConfigIssue } from '../base/errors.js'
import { formatPath } from '../config/issues.js'
import type {
  ResolvedBind,
  ResolvedConfig,
  ResolvedDownstreamTls,
  ResolvedFrontend,
} from '../config/resolved.js'
import { overdueLists } from './authorities.js'
import { type Certificate, daysLeft, describeOcsp, describeValidity } from './certificates.js'
import {
  certificatesOf,
  Library,
  lineOf,
  type Problem,
  pathsOf,
  type Snapshot,
  systemProblems,
  trustOf,
} from './library.js'
import { NameTable } from './names.js'

export interface Inspection {
  /** Messages name the file. What concerns several paths has all of them, with commas between. */
  readonly errors: readonly ConfigIssue[]
  readonly warnings: readonly ConfigIssue[]
  /** Certificates that could be read. */
  readonly certificates: number
}

/** Certificates are warned of when this many days are left. */
const WARN_DAYS = 30

/** Reads every file that the configuration names. `now`: ms since 1970. */
export async function inspectCertificates(
  config: Pick<ResolvedConfig, 'frontends' | 'backends'>,
  now: number,
): Promise<Inspection> {
  const binds = config.frontends.flatMap((frontend) => frontend.binds)
  const sets = [...new Set(binds.flatMap(({ tls }) => tls ?? []))]
  const servers = config.backends.flatMap((one) => one.servers.flatMap(({ tls }) => tls ?? []))
  const { snapshot, problems } = await new Library(sets, servers, () => now).look(true)
  const errors = [...problems, ...systemProblems(servers)]
  const warnings: Problem[] = []
  const paths = pathsOf(snapshot, servers)
  for (const [id, certificate] of snapshot.certificates) {
    judge(certificate, paths.get(id) ?? [], now, errors, warnings)
  }
  for (const { ca, crl, path } of [...sets, ...servers]) {
    for (const trust of [trustOf(snapshot, 'ca', ca), trustOf(snapshot, 'crl', crl)]) {
      warnings.push(...trust.warnings.map((fault) => ({ ...fault, paths: [path] })))
      errors.push(...overdueLists(trust, now).map((fault) => ({ ...fault, paths: [path] })))
    }
  }
  for (const frontend of config.frontends) {
    const { binds, rules } = frontend
    warnings.push(...unknownCertificates(frontend, snapshot))
    // Rules may ask for a certificate all the same.
    if (rules.clientHello.length === 0)
      for (const bind of binds) warnings.push(...hidden(bind, snapshot))
  }
  return {
    errors: issuesOf(errors),
    warnings: issuesOf(warnings),
    certificates: snapshot.certificates.size,
  }
}

function judge(
  certificate: Certificate,
  paths: readonly string[],
  now: number,
  errors: Problem[],
  warnings: Problem[],
): void {
  const file = certificate.source.cert
  const wrong = describeValidity(certificate, now)
  const days = daysLeft(certificate, now)
  if (wrong) errors.push({ file, message: wrong, paths })
  else if (days < WARN_DAYS) {
    const left = days === 1 ? '1 day' : `${days} days`
    warnings.push({ file, message: `expires in ${left}.`, paths })
  }
  warnings.push(...certificate.warnings.map((fault) => ({ ...fault, paths })))
  const stapled = describeOcsp(certificate, now)
  if (stapled) warnings.push({ file: certificate.source.ocsp ?? '', message: stapled, paths })
}

/** Names of constant useCertificate rules that no certificate of the frontend is for. */
function unknownCertificates({ binds, rules }: ResolvedFrontend, snapshot: Snapshot): Problem[] {
  const sets = binds.flatMap(({ tls }) => tls ?? [])
  const names = new NameTable(sets.flatMap((set) => certificatesOf(snapshot, set)))
  return rules.clientHello.flatMap(({ rule, path }): Problem[] => {
    if (!('kind' in rule) || rule.kind !== 'useCertificate') return []
    const wanted = rule.name.toLowerCase()
    // Where no certificate can be read, that is told.
    if (!names.fallback || names.exact(wanted) || names.wildcard(wanted)) return []
    const message =
      'no certificate is for it; names without one get the first, or an alert with strictSni.'
    return [{ file: `useCertificate('${wanted}')`, message, paths: [formatPath(path)] }]
  })
}

/** Certificates for names that `sniRoutes` sends through unterminated. */
function hidden({ path, tls, sniRoutes }: ResolvedBind, snapshot: Snapshot): Problem[] {
  if (!sniRoutes) return []
  return (tls ?? []).flatMap((set: ResolvedDownstreamTls) =>
    certificatesOf(snapshot, set).flatMap(({ names, source }) => {
      const routed = names.filter((name) => byName(sniRoutes, name) !== undefined)
      if (routed.length === 0) return []
      const message = `is not shown for ${routed.join(', ')}: sniRoutes sends ${routed.length > 1 ? 'them' : 'it'} through unterminated.`
      return [{ file: source.cert, message, paths: [`${path}.sniRoutes`] }]
    }),
  )
}

/** Each once: a file may be used several times at one path. */
function issuesOf(problems: readonly Problem[]): ConfigIssue[] {
  const issues = problems.map((problem) => {
    const { file, message, paths } = problem
    return [lineOf(problem), { path: paths.join(', '), message: `${file}: ${message}` }] as const
  })
  return [...new Map(issues).values()]
}
