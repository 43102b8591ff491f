/**
 * From the configuration as written to the one that everything works on: the
 * shape, then references and overlaps. Every error is told at once.
 */

import { ConfigError } from '../base/errors.js'
import { formatDuration } from '../base/units.js'
import { config as configSection } from '../options/config.js'
import { MOST_RECORDS } from '../options/limits.js'
import { global as globalSection, log as logSection } from '../options/process.js'
import type { Checked } from '../options/section.js'
import type { Config } from '../options/written.js'
import { type Context, entries } from './context.js'
import { checkShape, Issues } from './issues.js'
import { checkJsEngine } from './js-engine.js'
import { checkNames } from './names.js'
import { shareDescriptors } from './nofile.js'
import { type PluginHost, Plugins } from './plugins.js'
import { resolveBackend } from './resolve-backend.js'
import { checkOverlaps } from './resolve-bind.js'
import { resolveFrontend } from './resolve-frontend.js'
import { checkPorts } from './resolve-ports.js'
import { resolveTable } from './resolve-table.js'
import type { ResolvedConfig } from './resolved.js'
import { addWarnings } from './warnings.js'

export interface ResolveOptions {
  /** Named in errors. */
  file?: string
  /** Where LISTEN_FDS is read from. Default: process.env. */
  env?: NodeJS.ProcessEnv
  /** Accept 'systemd' binds where systemd passed no socket; they resolve to nothing. For checking only. */
  allowNoSockets?: boolean
  /** Descriptors that the process may have. Default: as the system says. */
  fileLimit?: number
  /** For whom plugins are set up. Default: nobody, the configuration is checked only. */
  host?: PluginHost
}

/** Checks a configuration and applies the defaults. Throws a ConfigError that holds every issue. */
export function resolveConfig(config: Config, options: ResolveOptions = {}): ResolvedConfig {
  const issues = new Issues()
  const shaped = checkShape(configSection.schema, config, issues) as Checked<Config> | undefined
  if (!shaped) throw new ConfigError(issues.list, options.file)
  const plugins = new Plugins(shaped, issues, options.host)
  try {
    return resolveChecked(shaped, issues, plugins, options)
  } catch (error) {
    plugins.giveUp()
    throw error
  }
}

function resolveChecked(
  shaped: Checked<Config>,
  issues: Issues,
  plugins: Plugins,
  options: ResolveOptions,
): ResolvedConfig {
  // Names that users wrote; those that plugins bring are checked where they are from.
  for (const section of ['tables', 'applets', 'frontends', 'backends'] as const) {
    checkNames(issues, [section], Object.keys(shaped[section] ?? {}))
  }
  const checked: Checked<Config> = { ...shaped }
  for (const section of ['tables', 'backends'] as const) {
    const whole = plugins.added(shaped, section)
    if (whole) Object.assign(checked, { [section]: whole })
  }
  const global = globalSection.resolve(checked.global ?? {})
  const context: Context = {
    issues,
    warnings: new Issues(),
    names: {
      tables: sectionNames(checked, 'tables'),
      backends: sectionNames(checked, 'backends'),
      applets: sectionNames(checked, 'applets'),
    },
    config: checked,
    plugins,
    env: options.env ?? process.env,
    allowNoSockets: options.allowNoSockets ?? false,
    maxconn: shareDescriptors(checked.global ?? {}, options.fileLimit).maxconn,
  }
  plugins.checkChosen(context.names.backends)
  const { verdictTimeout, tlsHandshakes: handshakes, workers } = global
  const written = checked.global?.tlsHandshakes?.queueTimeout
  if (written !== undefined && handshakes.queueTimeout > verdictTimeout) {
    issues.add(
      ['global', 'tlsHandshakes', 'queueTimeout'],
      `is longer than global.verdictTimeout, which is '${formatDuration(verdictTimeout)}'.`,
    )
  }
  if (checked.frontends && Object.keys(checked.frontends).length === 0) {
    issues.add(['frontends'], 'expected at least one frontend.')
  }
  const tables = entries(checked.tables).map(([name, table]) => resolveTable(name, table, context))
  const frontends = entries(checked.frontends).map(([name, one]) =>
    resolveFrontend(name, one, context),
  )
  const backends = entries(checked.backends).map(([name, one]) =>
    resolveBackend(name, one, context),
  )
  checkOverlaps(
    issues,
    frontends.flatMap((frontend) => frontend.binds),
  )
  if (context.maxconn * workers > MOST_RECORDS) {
    const most = Math.floor(MOST_RECORDS / workers)
    issues.add(
      ['global', 'maxconn'],
      `${context.maxconn} is too much for ${workers} workers, each of which may hold all of them: at most ${most}, or fewer workers.`,
    )
  }
  checkPorts(frontends, backends, issues)
  if (global.engine === 'js') checkJsEngine(frontends, backends, issues)
  if (issues.list.length > 0) throw new ConfigError(issues.list, options.file)
  const binds = frontends.flatMap((frontend) => frontend.binds)
  const resolved: Omit<ResolvedConfig, 'warnings'> = {
    ...global,
    ...resolveDescriptors(binds.length * workers, context, options.fileLimit),
    tlsHandshakes: {
      ...handshakes,
      queueTimeout: Math.min(handshakes.queueTimeout, verdictTimeout),
    },
    tables,
    frontends,
    backends,
    plugins: plugins.resolved,
    started: checked.started,
    log: logSection.resolve(checked.log ?? {}),
  }
  addWarnings(resolved, context)
  return { ...resolved, warnings: context.warnings.list }
}

/** Limits that the descriptors of the process allow; those that are lowered are told. */
function resolveDescriptors(
  sockets: number,
  { config, warnings }: Context,
  limit?: number,
): { maxconn: number; maxpipes: number } {
  const wanted = config.global ?? {}
  const { maxconn, maxpipes, missing } = shareDescriptors({ ...wanted, sockets }, limit)
  if (missing) {
    const { needed, limit } = missing
    const lowered = wanted.maxconn !== undefined && wanted.maxconn > maxconn
    warnings.add(
      ['global', lowered ? 'maxconn' : 'maxpipes'],
      `needs ${needed} file descriptors, and this process may have ${limit}: ${lowered ? `${maxconn} sessions` : `${maxpipes} pipes`} at once it is. ` +
        "Raise the limit (ulimit -n, systemd's LimitNOFILE), or lower it.",
    )
  }
  return { maxconn, maxpipes }
}

/** A section that is there and wrong as a whole has unknown names; one that is missing has none. */
function sectionNames(
  config: Checked<Config>,
  section: 'tables' | 'backends' | 'applets',
): string[] | undefined {
  const value = config[section]
  if (value) return Object.keys(value)
  return section in config || section === 'backends' ? undefined : []
}
