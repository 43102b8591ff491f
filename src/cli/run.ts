/** `sluice run`: the proxy in the foreground, until a signal. */

import type { Logger } from 'pino'
import { loadConfig, reading } from '../config/load.js'
import type { Config, LogConfig } from '../config/types.js'
import { addonNotify } from '../engine/select.js'
import { wantsColours } from '../log/format.js'
import type { LogOptions } from '../log/logger.js'
import { assembleProxy } from '../proxy/create.js'
import { internalsOf, type SluiceProxy } from '../proxy/proxy.js'
import { banner, statusLine } from './banner.js'
import { describeError, ExitCode } from './exit.js'
import { LiveMeter } from './live.js'
import { modules } from './modules.js'
import { Notifier } from './notify.js'
import { Signals } from './signals.js'
import { Terminal } from './terminal.js'
import { createTerminalLog } from './terminal-log.js'

export interface RunOptions {
  config?: string
  engine?: 'native' | 'js' | 'auto'
  workers?: number
  logLevel?: LogConfig['level']
  logFormat?: LogConfig['format']
  /** Undefined: on a terminal only. */
  live?: boolean
}

/** ms between two live lines. */
const TERMINAL_INTERVAL = 1_000
const PLAIN_INTERVAL = 10_000

/** Resolves once the proxy listens; the process then lives until a signal. */
export async function run(options: RunOptions): Promise<void> {
  const terminal = new Terminal(process.stderr, process.stdout)
  const notifier = makeNotifier(terminal)
  // Before anything that takes time: the first process of a container has no other way to end.
  const signals = new Signals(terminal, notifier)
  const loaded = await loadConfig(options.config, { modules })
  const chooseLogger = (log: LogOptions) => terminalLogger(log, terminal)
  const proxy = reading(loaded, () =>
    assembleProxy(override(loaded.config, options), {}, chooseLogger),
  )
  signals.proxy = proxy
  guardProcess(proxy, terminal)
  try {
    await proxy.start()
  } catch (error) {
    // A signal that came meanwhile ends the process in its own way.
    if (signals.stopping) return
    throw error
  }
  const lines = banner(proxy, internalsOf(proxy).config, loaded.displayName, loaded.tryIt)
  for (const line of lines) terminal.line(line)
  notifier.ready(statusLine(lines))
  showLive(proxy, terminal, options.live)
}

/** A terminal gets text above its live line; a file or pipe gets the proxy's own asynchronous log. */
function terminalLogger(log: LogOptions, terminal: Terminal): Logger | undefined {
  if (process.stdout.isTTY !== true || log.file !== undefined) return undefined
  const { level, format = 'pretty' } = log
  const colours = wantsColours(process.stdout, process.env)
  return createTerminalLog({ level, format, colours }, terminal)
}

function makeNotifier(terminal: Terminal): Notifier {
  let told = false
  const send = process.env.NOTIFY_SOCKET ? addonNotify() : undefined
  return new Notifier(process.env, send, (error) => {
    if (told) return
    told = true
    terminal.line(`systemd could not be told (NOTIFY_SOCKET): ${describeError(error)}`)
  })
}

/** The command line wins over the file. */
function override(config: Config, options: RunOptions): Config {
  const { engine, workers, logLevel: level, logFormat: format } = options
  const global = { ...(engine && { engine }), ...(workers && { workers }) }
  const log = { ...(level && { level }), ...(format && { format }) }
  return {
    ...config,
    ...(Object.keys(global).length > 0 && { global: { ...config.global, ...global } }),
    ...(Object.keys(log).length > 0 && { log: { ...config.log, ...log } }),
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
