/** The connects of a session that failed, and what is tried next. Made at the first failure. */

import type { Backend, Server } from '../../backend/backend.js'
import { isLocalFailure } from '../../backend/passive.js'
import { reasonCode } from '../../wire/reason.js'
import { Code } from '../../wire/wire.js'

/** A connect that failed. */
export interface FailedAttempt {
  readonly server: string | undefined
  readonly endpoint: string | undefined
  /** Reason word. */
  readonly reason: number
  /** Or 0. */
  readonly errno: number
}

/** What follows a failure. */
export const Next = {
  /** Nothing: the session ends with the failure. */
  FAIL: 0,
  /** Another address of the same server, at once. */
  ADDRESS: 1,
  /** Another server, at once. */
  LEAVE: 2,
  /** A pause; then the same server, or another one where `leaves` says so. */
  PAUSE: 3,
} as const

/** Failed attempts that are remembered for the log line. */
const MOST_ATTEMPTS = 16

export class Retries {
  /** Attempts that failed, the first ones where there are many. */
  readonly failed: FailedAttempt[] = []
  /** Reason word and errno of the last failure. */
  reason = 0
  errno = 0
  /** Failures on the server of now since it was chosen. */
  failures = 0
  /** Connects that followed them. */
  begun = 0
  /** A pause is under way. */
  cancelPause: (() => void) | undefined = undefined
  /** Another server is to be tried where there is one. */
  leaves = false
  /** Servers that failed since the last pause, and the routes to them. */
  #servers: Server[] = []
  #routes: number[] = []
  /** Attempts that followed a failed one at once, on another server or address. */
  #moves = 0
  /** Attempts that followed a failed one after a pause. */
  #pauses = 0

  /** Of the last failure: a value of `Code`. */
  get code(): number {
    return reasonCode(this.reason)
  }

  /** Servers that failed since the last pause. */
  get servers(): readonly Server[] {
    return this.#servers
  }

  /** An attempt failed. */
  note(attempt: FailedAttempt): void {
    this.failures++
    this.reason = attempt.reason
    this.errno = attempt.errno
    if (this.failed.length < MOST_ATTEMPTS) this.failed.push(attempt)
  }

  /**
   * What follows the failure that was noted, of a connect to `server` by `route`: of `Next`.
   * `strict`: no other server is to be tried.
   */
  next(backend: Backend, server: Server, route: number, strict: boolean): number {
    const { code } = this
    const { retries, redispatch } = backend.config
    const retrySame = worthRetrying(code)
    this.#servers.push(server)
    this.#routes.push(route)
    this.leaves = !strict && redispatch > 0 && (this.failures >= redispatch || !retrySame)
    if (code === Code.INTERNAL) return Next.FAIL
    // Lack of something on this machine is not mended by asking another server.
    const mayMove = this.#moves < retries && !isLocalFailure(code)
    if (mayMove && server.hasUntried(this.#routes)) {
      this.#moves++
      return Next.ADDRESS
    }
    if (mayMove && this.leaves && backend.offers(this.#servers)) {
      this.#moves++
      return Next.LEAVE
    }
    const mayLeave = this.leaves && backend.offers([server])
    if (this.#pauses < retries && (retrySame || mayLeave)) {
      this.#pauses++
      return Next.PAUSE
    }
    return Next.FAIL
  }

  /** Nothing follows the pause that is under way, where one is. */
  leavePause(): void {
    this.cancelPause?.()
    this.cancelPause = undefined
  }

  /** A pause is over that followed a failure on `server` by `route`. */
  paused(server: Server, route: number): void {
    this.#servers = [server]
    this.#routes = [route]
  }
}

/** Failures that the same server may not have next time. */
function worthRetrying(code: number): boolean {
  switch (code) {
    case Code.BAD_ADDRESS:
    case Code.SOCKS_AUTH:
    case Code.SOCKS_NO_METHOD:
    case Code.SOCKS_MALFORMED:
    // What a server is does not change within a turn-around: its certificate, what it speaks.
    case Code.NOT_TLS:
    case Code.TLS_MALFORMED:
    case Code.TLS_VERSION:
    case Code.TLS_CIPHER:
    case Code.TLS_ALPN:
    case Code.TLS_ALERT:
    case Code.TLS_CERT_MISSING:
    case Code.TLS_CERT_EXPIRED:
    case Code.TLS_CERT_NAME:
    case Code.TLS_CERT_UNTRUSTED:
    case Code.TLS_CERT_REVOKED:
    case Code.TLS_CERT_INVALID:
      return false
    default:
      return true
  }
}
