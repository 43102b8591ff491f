/**
 * What systemd is told of the service (sd_notify(3)), where it asked: that it is ready, that it
 * reads certificates again, that it stops, and that it lives. Node has no datagrams on unix
 * sockets, so the addon sends them; without it the program `systemd-notify` does.
 */

import { spawn } from 'node:child_process'

/** Sends one message. Throws where it cannot. */
export type Send = (socket: string, message: string) => void

const USEC_PER_MS = 1000
const ALIVE = 'WATCHDOG=1'
/** A stop ends within its deadline and so many ms. */
const STOP_MARGIN = 5_000

export class Notifier {
  readonly #socket: string | undefined
  readonly #send: Send
  readonly #failed: (error: unknown) => void
  readonly #watchdog: number
  #timer: NodeJS.Timeout | undefined

  /**
   * `send`: undefined where there is no addon. `failed` hears of messages that did not go out.
   * Takes the variables out of `env`: they are not meant for programs that a policy starts.
   */
  constructor(
    env: NodeJS.ProcessEnv,
    send: Send | undefined,
    failed: (error: unknown) => void,
    pid = process.pid,
  ) {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: watched } = env
    this.#socket = socket || undefined
    this.#send = send ?? byProgram(failed)
    this.#failed = failed
    const mine = watched === undefined || watched === String(pid)
    this.#watchdog = mine && /^[1-9]\d*$/.test(usec ?? '') ? Number(usec) / USEC_PER_MS : 0
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name]
  }

  /** Somebody listens. */
  get wanted(): boolean {
    return this.#socket !== undefined
  }

  /** It listens, or goes on after a reload. `status`: one line for people. */
  ready(status?: string): void {
    this.#tell(['READY=1', ...(status === undefined ? [] : [`STATUS=${status}`])])
    if (this.#watchdog === 0 || this.#timer !== undefined) return
    // Half of the time, as sd_watchdog_enabled(3) has it.
    this.#timer = setInterval(() => this.#tell([ALIVE]), this.#watchdog / 2)
    this.#timer.unref()
  }

  /** `ready` follows. */
  reloading(): void {
    const monotonic = process.hrtime.bigint() / BigInt(USEC_PER_MS)
    this.#tell(['RELOADING=1', `MONOTONIC_USEC=${monotonic}`])
  }

  /** It ends, within `ms`. */
  stopping(ms: number): void {
    const usec = (ms + STOP_MARGIN) * USEC_PER_MS
    this.#tell(['STOPPING=1', 'STATUS=draining', `EXTEND_TIMEOUT_USEC=${usec}`])
  }

  #tell(lines: string[]): void {
    if (this.#socket === undefined) return
    try {
      this.#send(this.#socket, lines.join('\n'))
    } catch (error) {
      this.#failed(error)
    }
  }
}

/** Needs NotifyAccess=all: messages come from processes of their own. */
function byProgram(failed: (error: unknown) => void): Send {
  let running = 0
  return (socket, message) => {
    // A sign of life can wait for one that is on its way; a machine that is slow has enough to do.
    if (running > 0 && message === ALIVE) return
    const env = { ...process.env, NOTIFY_SOCKET: socket }
    const child = spawn('systemd-notify', message.split('\n'), { env, stdio: 'ignore' })
    running++
    child.on('error', (error) => {
      running--
      failed(error)
    })
    child.on('exit', (code) => {
      running--
      if (code !== 0) failed(new Error(`systemd-notify ended with ${code}`))
    })
    child.unref()
  }
}
