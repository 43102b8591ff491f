/** `sluice check`: says whether a configuration is right, without starting anything. */

import { loadConfig } from '../config/load.js'
import { resolveConfig } from '../config/resolve.js'
import type { ResolvedConfig } from '../config/resolved.js'
import { ConfigError } from '../errors.js'
import { inspectCertificates } from '../tls/inspect.js'
import { certificateError } from '../tls/library.js'
import { checkMachine } from './machine.js'
import { modules } from './modules.js'

export interface CheckOptions {
  config?: string
}

/**
 * Prints one line where all is well; rejects with a ConfigError, or a SluiceError about
 * certificates, that names the file where not. Warnings go to stderr.
 */
export async function check(options: CheckOptions): Promise<void> {
  const { config, displayName } = await loadConfig(options.config, { modules })
  const resolved = resolveConfig(config, { file: displayName, allowNoSockets: true })
  for (const { path, message } of resolved.warnings)
    process.stderr.write(`${displayName}: warning: ${path}: ${message}\n`)
  const missing = checkMachine(resolved)
  if (missing.length > 0) throw new ConfigError(missing, displayName)
  const found = await inspectCertificates(resolved, Date.now())
  for (const line of found.warnings) process.stderr.write(`${displayName}: warning: ${line}\n`)
  if (found.errors.length > 0) throw certificateError(found.errors, displayName)
  process.stdout.write(`${displayName}: ok: ${summarize(resolved, found.certificates)}\n`)
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
