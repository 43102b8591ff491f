/** A proxy is made of a configuration. */

import type { Logger } from 'pino'
import { systemClock } from '../base/clock.js'
import { ConfigError, SluiceError } from '../base/errors.js'
import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import { findLoops } from '../config/loops.js'
import { resolveConfig } from '../config/resolve.js'
import type { Config } from '../config/types.js'
import { createLog, type LogOptions, type ProxyLog } from '../log/logger.js'
import type { BackendNames } from '../policy/names.js'
import { newProxy, type SluiceProxy } from './proxy.js'
import type { ProxyOptions, ProxyParts } from './types.js'

const ENGINES = ['native', 'js', 'auto']

/** Makes a proxy. Throws ConfigError with every mistake of the configuration at once. */
export function createProxy<
  const Frontends extends string,
  const Backends extends BackendNames,
  const Tables extends string = never,
  const Used extends string = '',
>(
  config: Config<Frontends, Backends, Tables, Used>,
  options: ProxyOptions = {},
): SluiceProxy<Backends, Tables> {
  return assembleProxy(config as Config, options) as SluiceProxy<Backends, Tables>
}

/** As `createProxy`. `chooseLogger` is asked with the options of the log, where no logger is given. */
export function assembleProxy(
  config: Config,
  options: ProxyParts,
  chooseLogger?: (log: LogOptions) => Logger | undefined,
): SluiceProxy {
  checkEngine(options.engine)
  let { logger } = options
  let log: ProxyLog | undefined
  // Plugins have a log before there is a proxy.
  const loggerFor = (written: LogOptions): Logger => {
    logger ??= chooseLogger?.(written)
    log ??= logger === undefined ? createLog(written) : undefined
    logger ??= (log as ProxyLog).logger
    return logger
  }
  const host = { clock: options.clock ?? systemClock, logger: loggerFor }
  const resolved = resolveConfig(config, { host })
  const loops = findLoops(resolved).certain
  if (loops.length > 0) {
    for (const plugin of resolved.plugins) plugin.end()
    throw new ConfigError(loops)
  }
  return newProxy(resolved, { ...options, logger: loggerFor(resolved.log) }, log)
}

/** Before anything is made: a misspelt one would be told when the proxy starts. */
function checkEngine(engine: unknown): void {
  if (engine === undefined || (typeof engine === 'object' && engine !== null)) return
  if (typeof engine === 'string' && ENGINES.includes(engine)) return
  const near = typeof engine === 'string' ? suggest(engine, ENGINES) : undefined
  const hint = near === undefined ? '' : ` Did you mean '${near}'?`
  const message = `engine: expected ${ENGINES.map(show).join(', ')}, got ${show(engine)}.${hint}`
  throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
}
