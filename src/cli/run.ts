/** `sluice run`: the proxy in the foreground, until a signal. */

import { isatty } from 'node:tty'
import { loadConfig } from '../config/load.js'
import { resolveConfig } from '../config/resolve.js'
import type { Config, LogConfig } from '../config/types.js'
import { formatDuration } from '../config/units.js'
import { ConfigError } from '../errors.js'
import { createProxy, type SluiceProxy } from '../proxy.js'
import { banner } from './banner.js'
import { describeError, ExitCode, signalExitCode } from './exit.js'
import { LiveMeter } from './live.js'
import { modules } from './modules.js'
import { Terminal } from './terminal.js'
import { createTerminalLog } from './terminal-log.js'

export interface RunOptions {
  config?: string
  engine?: 'native' | 'js' | 'auto'
  workers?: number
  logLevel?: LogConfig['level']
  /** Undefined: on a terminal only. */
  live?: boolean
}

/** ms between two live lines. */
const TERMINAL_INTERVAL = 1_000
const PLAIN_INTERVAL = 10_000

/** Resolves once the proxy listens; the process then lives until a signal. */
export async function run(options: RunOptions): Promise<void> {
  const loaded = await loadConfig(options.config, { modules })
  const config = override(loaded.config, options)
  const resolved = resolveConfig(config, { file: loaded.displayName })
  const terminal = new Terminal(process.stderr, process.stdout)
  // A terminal gets text; a file or pipe gets the proxy's own asynchronous JSON log.
  const asText = process.stdout.isTTY === true && resolved.log.file === undefined
  const logger = asText ? createTerminalLog(resolved.log.level, terminal) : undefined
  const proxy = named(loaded.displayName, () => createProxy(config, logger ? { logger } : {}))
  guardProcess(proxy, terminal)
  stopOnSignals(proxy, terminal)
  await proxy.start()
  for (const line of banner(proxy, resolved, loaded.displayName, loaded.tryIt)) terminal.line(line)
  showLive(proxy, terminal, options.live)
}

/** Errors of the configuration say which one. */
function named<T>(file: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw error instanceof ConfigError ? new ConfigError(error.issues, file) : error
  }
}

/** The command line wins over the file. */
function override(config: Config, { engine, workers, logLevel }: RunOptions): Config {
  const global = { ...(engine && { engine }), ...(workers && { workers }) }
  return {
    ...config,
    ...(Object.keys(global).length > 0 && { global: { ...config.global, ...global } }),
    ...(logLevel && { log: { ...config.log, level: logLevel } }),
  }
}

function showLive(proxy: SluiceProxy, terminal: Terminal, wanted: boolean | undefined): void {
  const isTerminal = process.stderr.isTTY === true
  if (!(wanted ?? isTerminal)) return
  const meter = new LiveMeter(proxy.stats(), performance.now())
  const show = () => terminal.live(meter.next(proxy.stats(), performance.now()))
  const timer = setInterval(show, isTerminal ? TERMINAL_INTERVAL : PLAIN_INTERVAL)
  timer.unref()
  proxy.once('stopped', () => {
    clearInterval(timer)
    terminal.live('')
  })
}

/** The first signal drains, the second one ends the process at once. SIGHUP reads certificates again. */
function stopOnSignals(proxy: SluiceProxy, terminal: Terminal): void {
  let stopping = false
  const onSignal = (signal: 'SIGHUP' | 'SIGINT' | 'SIGTERM') => {
    if (stopping) {
      terminal.live('')
      terminal.line(`${signal} again: stopping at once`)
      process.exit(signalExitCode(signal))
    }
    stopping = true
    const open = proxy.stats().connections
    const wait = `waiting at most ${formatDuration(proxy.config.drainTimeout)} for ${open} open`
    terminal.line(`${signal}: stopping${open > 0 ? `, ${wait}; again stops at once` : ''}`)
    proxy.stop().then(
      ({ closed }) => {
        if (closed > 0) terminal.line(`${closed} closed at the deadline`)
        // Without its terminal Node cannot exit cleanly; the signal's own action ends it.
        if (signal === 'SIGHUP') hangUp()
        // Explicitly: a configuration may hold timers and watchers of its own.
        else process.exit(ExitCode.OK)
      },
      (error: unknown) => {
        terminal.line(describeError(error))
        process.exit(ExitCode.FATAL)
      },
    )
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // A terminal that was closed sends the signal too.
  process.on('SIGHUP', () => {
    if (process.stderr.isTTY && !isatty(process.stderr.fd)) onSignal('SIGHUP')
    else reload(proxy, terminal)
  })
}

function hangUp(): void {
  process.removeAllListeners('SIGHUP')
  process.kill(process.pid, 'SIGHUP')
}

function reload(proxy: SluiceProxy, terminal: Terminal): void {
  // Before the start and while it stops there is nothing to reload, and no reason to end.
  if (!proxy.running) return
  const say = (text: string) => terminal.line(`SIGHUP: ${text}`)
  proxy.reloadCertificates().then(
    ({ changed, errors }) => {
      const files = changed.length === 1 ? '1 file is' : `${changed.length} files are`
      say(`certificates: ${changed.length === 0 ? 'nothing is' : files} new`)
      for (const error of errors) terminal.line(`  ${error}`)
    },
    (error: unknown) => say(describeError(error)),
  )
}

/**
 * Failures outside of any policy call. A rejection that nobody handles is
 * mostly a forgotten promise in a policy: logged, and the proxy goes on. After
 * an exception the state of that code is unknown (nodejs.org/api/process.html,
 * 'uncaughtException'): sessions drain, then the process ends.
 */
function guardProcess(proxy: SluiceProxy, terminal: Terminal): void {
  process.on('unhandledRejection', (reason) => {
    proxy.logger.error({ err: reason }, 'a promise was rejected and nobody handled it')
  })
  const fail = (error: unknown) => {
    terminal.live('')
    terminal.line(describeError(error))
    const exit = () => process.exit(ExitCode.FATAL)
    proxy.stop().then(exit, exit)
  }
  process.on('uncaughtException', fail)
  proxy.on('error', fail)
}
