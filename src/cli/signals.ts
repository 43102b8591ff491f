/** What `sluice run` does on signals. */

import { isatty } from 'node:tty'
import { formatDuration } from '../base/units.js'
import { internalsOf, type SluiceProxy } from '../proxy/proxy.js'
import { describeError, ExitCode, signalExitCode } from './exit.js'
import type { Notifier } from './notify.js'
import type { Terminal } from './terminal.js'

type StopSignal = 'SIGHUP' | 'SIGINT' | 'SIGTERM'

/**
 * One Ctrl-C reaches a process more than once: from the terminal, and from npm or a shell that
 * hands it on. Signals to stop within so many ms are one.
 */
const ONE_SIGNAL = 150

const NO_RELOAD =
  'a process keeps its configuration: for a new one start a second process beside this one ' +
  '(reusePort, or sockets of systemd), then stop this one with SIGTERM. ' +
  'SIGHUP reads certificates again'

export class Signals {
  readonly #terminal: Terminal
  readonly #notifier: Notifier
  #proxy: SluiceProxy | undefined
  /** When the first signal to stop came; of a clock in ms. */
  #stoppedAt: number | undefined

  constructor(terminal: Terminal, notifier: Notifier) {
    this.#terminal = terminal
    this.#notifier = notifier
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const early = process.listeners(signal)
      process.on(signal, () => this.#stop(signal))
      // Behind the new one: a moment without any would leave it to the system.
      for (const listener of early) process.off(signal, listener)
    }
    process.on('SIGHUP', () => {
      // A terminal that was closed sends the signal too.
      if (process.stderr.isTTY && !isatty(process.stderr.fd)) this.#stop('SIGHUP')
      else this.#reload()
    })
    process.on('SIGUSR1', () => this.#reopen())
    process.on('SIGUSR2', () => terminal.line(`SIGUSR2: ${NO_RELOAD}`))
  }

  /** The proxy that the signals are about. */
  set proxy(proxy: SluiceProxy) {
    this.#proxy = proxy
  }

  /** A signal has asked to stop; the process ends by itself. */
  get stopping(): boolean {
    return this.#stoppedAt !== undefined
  }

  /** The first signal drains, the second one ends the process at once. */
  #stop(signal: StopSignal): void {
    const now = performance.now()
    const terminal = this.#terminal
    if (this.#stoppedAt !== undefined) {
      if (now - this.#stoppedAt < ONE_SIGNAL) return
      terminal.live('')
      terminal.line(`${signal} again: stopping at once`)
      process.exit(signalExitCode(signal))
    }
    this.#stoppedAt = now
    const proxy = this.#proxy
    if (proxy === undefined) {
      terminal.line(`${signal}: stopped before the start`)
      process.exit(ExitCode.OK)
    }
    terminal.line(`${signal}: ${stopText(proxy)}`)
    const { grace, drainTimeout } = internalsOf(proxy).config
    this.#notifier.stopping(grace + drainTimeout)
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

  /** Certificates are read again. */
  #reload(): void {
    const proxy = this.#proxy
    const terminal = this.#terminal
    // Before the start and while it stops there is nothing to reload, and no reason to end.
    if (!proxy?.running) return
    const say = (text: string) => terminal.line(`SIGHUP: ${text}`)
    this.#notifier.reloading()
    proxy
      .reloadCertificates()
      .then(
        ({ changed, errors }) => {
          const files = changed.length === 1 ? '1 file is' : `${changed.length} files are`
          say(`certificates: ${changed.length === 0 ? 'nothing is' : files} new`)
          for (const error of errors) terminal.line(`  ${error}`)
        },
        (error: unknown) => say(describeError(error)),
      )
      .finally(() => {
        // systemd takes it for the end of the stop, were it told while that is under way.
        if (!this.stopping) this.#notifier.ready()
      })
  }

  /** The log's file was moved away: goes on under its name. */
  #reopen(): void {
    const proxy = this.#proxy
    const say = (text: string) => this.#terminal.line(`SIGUSR1: ${text}`)
    if (proxy === undefined) return
    const { file } = internalsOf(proxy).config.log
    if (file === undefined) {
      say('the log is on stdout: nothing to open anew')
      return
    }
    proxy.reopenLog().then(
      () => say(`the log goes on in ${file}`),
      (error: unknown) => say(describeError(error)),
    )
  }
}

function stopText(proxy: SluiceProxy): string {
  const { grace, drainTimeout } = internalsOf(proxy).config
  const open = proxy.stats().connections
  if (grace === 0 && open === 0) return 'stopping'
  const parts = [
    ...(grace > 0 ? [`accepting for ${formatDuration(grace)} while health says no`] : []),
    `waiting at most ${formatDuration(drainTimeout)} for ${open} open`,
  ]
  return `stopping, ${parts.join(', then ')}; again stops at once`
}

function hangUp(): void {
  process.removeAllListeners('SIGHUP')
  process.kill(process.pid, 'SIGHUP')
}
