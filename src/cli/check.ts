/** `sluice check`: says whether a configuration is right, without starting anything. */

import { ConfigError, type ConfigIssue, SluiceError } from '../base/errors.js'
import { type LoadedConfig, loadConfig, orRejected, reading } from '../config/load.js'
import { findLoops } from '../config/loops.js'
import { resolveConfig } from '../config/resolve.js'
import type { ResolvedConfig } from '../config/resolved.js'
import { inspectCertificates } from '../tls/inspect.js'
import { certificateError } from '../tls/library.js'
import { checkMachine, warnOfMachine } from './machine.js'
import { modules } from './modules.js'

export interface CheckOptions {
  config?: string
  /** One JSON object on stdout instead of lines. */
  json?: boolean
}

/** What `sluice check --json` prints. */
export interface CheckReport {
  ok: boolean
  /** As messages show it; undefined where no configuration was found. */
  file: string | undefined
  /** '1 frontend on 2 addresses, ...'; undefined where it is not ok. */
  summary: string | undefined
  /** `path` is '' for what concerns the whole file. */
  errors: ConfigIssue[]
  warnings: ConfigIssue[]
}

/**
 * Prints one line where all is well; rejects with a ConfigError, or a SluiceError about
 * certificates, that names the file where not. Warnings go to stderr. With `json` a report
 * comes first, whatever the result.
 */
export async function check(options: CheckOptions): Promise<void> {
  const report: CheckReport = {
    ok: false,
    file: options.config,
    summary: undefined,
    errors: [],
    warnings: [],
  }
  try {
    await inspect(options, report)
    report.ok = true
  } catch (error) {
    if (options.json && error instanceof SluiceError) report.errors.push(...issuesOf(error, report))
    throw error
  } finally {
    if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    else tell(report)
  }
}

async function inspect(options: CheckOptions, report: CheckReport): Promise<void> {
  const loaded = await loadConfig(options.config, { modules })
  const { config, displayName } = loaded
  report.file = displayName
  const resolved = reading(loaded, () => resolveConfig(config, { allowNoSockets: true }))
  try {
    await look(resolved, loaded, report)
  } finally {
    // Nothing comes of them.
    for (const plugin of resolved.plugins) plugin.end()
  }
}

async function look(
  resolved: ResolvedConfig,
  { file, displayName }: LoadedConfig,
  report: CheckReport,
): Promise<void> {
  report.warnings.push(...resolved.warnings, ...warnOfMachine(resolved))
  const errors = [...findLoops(resolved).certain, ...checkMachine(resolved)]
  if (errors.length > 0) throw new ConfigError(errors, displayName)
  const found = await orRejected(file, displayName, inspectCertificates(resolved, Date.now()))
  report.warnings.push(...found.warnings)
  if (found.errors.length > 0) {
    report.errors.push(...found.errors)
    const lines = found.errors.map(({ path, message }) => `${path}: ${message}`)
    throw certificateError(lines, displayName)
  }
  report.summary = summarize(resolved, found.certificates)
}

function tell({ ok, file, summary, warnings }: CheckReport): void {
  for (const { path, message } of warnings)
    process.stderr.write(`${file}: warning: ${path}: ${message}\n`)
  if (ok) process.stdout.write(`${file}: ok: ${summary}\n`)
}

/** Nothing for errors that the report has already. */
function issuesOf(error: SluiceError, { errors }: CheckReport): readonly ConfigIssue[] {
  if (error instanceof ConfigError) return error.issues
  return errors.length > 0 ? [] : [{ path: '', message: error.message }]
}

/** '1 frontend on 2 addresses, 1 backend with 2 servers, 1 table'. */
export function summarize(config: ResolvedConfig, certificates = 0): string {
  const binds = config.frontends.reduce((sum, frontend) => sum + frontend.binds.length, 0)
  const servers = config.backends.reduce((sum, backend) => sum + backend.servers.length, 0)
  const parts = [
    `${count(config.frontends.length, 'frontend')} on ${count(binds, 'address', 'addresses')}`,
    `${count(config.backends.length, 'backend')} with ${count(servers, 'server')}`,
    ...(config.tables.length > 0 ? [count(config.tables.length, 'table')] : []),
    ...(certificates > 0 ? [count(certificates, 'certificate')] : []),
  ]
  return parts.join(', ')
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`
}
