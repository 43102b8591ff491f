/** Host names of servers: the look-up, and watching a name for new addresses. */

import { lookup } from 'node:dns/promises'
import { isIP, isIPv6 } from 'node:net'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.js'
import { show } from '../base/units.js'

export interface Resolver {
  /** Every address of `host` in order of preference. Rejects where there is none. */
  lookup(host: string): Promise<string[]>
}

/** The system's resolver (getaddrinfo: hosts file, DNS, whatever nsswitch names). */
export const systemResolver: Resolver = {
  async lookup(host) {
    const found = await lookup(host, { all: true, verbatim: true })
    return found.map(({ address }) => address)
  },
}

/** ms that one look-up may take. */
const RESOLVE_DEADLINE = 5_000

/** ms until a name that never resolved is tried again, doubled up to the interval. */
const FIRST_RETRY = 1_000

interface NameWatchOptions {
  host: string
  resolver: Resolver
  clock: Clock
  /** ms between look-ups. */
  interval: number
  /** Only addresses of this family can be used, where it matters. */
  family: 4 | 6 | undefined
  /** With the server's bindings. */
  log: Logger
  /**
   * Called with the addresses that can be used, at least one, in the resolver's order, after each
   * look-up that found any. May throw: the old ones are then kept.
   */
  onAddresses: (ips: readonly string[]) => void
}

/** Keeps the addresses of one name. A failure keeps the last good ones and is logged once. */
export class NameWatch {
  readonly #options: NameWatchOptions
  #resolved = false
  #failing = false
  #retry: number
  #stopped = false
  #cancelTimer: (() => void) | undefined

  constructor(options: NameWatchOptions) {
    this.#options = options
    this.#retry = Math.min(FIRST_RETRY, options.interval)
  }

  /** Resolves after the first look-up, whatever it brought. */
  start(): Promise<void> {
    return this.#refresh()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  async #refresh(): Promise<void> {
    const { host, resolver, clock } = this.#options
    try {
      // A resolver of the user's may answer at once.
      const answer: Promise<unknown> = Promise.resolve(resolver.lookup(host))
      const found = addressList(host, await within(clock, RESOLVE_DEADLINE, host, answer))
      if (this.#stopped) return
      this.#use(found)
      this.#succeeded()
    } catch (err) {
      if (this.#stopped) return
      this.#failed(err)
    }
    this.#cancelTimer = clock.after(this.#delay(), () => void this.#refresh())
  }

  #use(found: readonly string[]): void {
    const { host, family, onAddresses } = this.#options
    const ofFamily = (ip: string) => family === undefined || isIPv6(ip) === (family === 6)
    const usable = [...new Set(found)].filter(ofFamily)
    if (usable.length === 0) {
      const kind = family === undefined ? '' : ` for IPv${family}, the family of its source address`
      throw new Error(`${host} has no address${kind}`)
    }
    onAddresses(usable)
    this.#resolved = true
  }

  #succeeded(): void {
    const { host, log } = this.#options
    if (this.#failing) log.info({ host }, 'the server name resolves again')
    this.#failing = false
  }

  #failed(err: unknown): void {
    const { host, log } = this.#options
    if (!this.#failing) {
      const message = this.#resolved
        ? 'the server name does not resolve: its last addresses are kept'
        : 'the server name does not resolve: the server is out until it does'
      log.error({ err, host }, message)
    }
    this.#failing = true
  }

  #delay(): number {
    const { interval } = this.#options
    if (this.#resolved) return interval
    const delay = this.#retry
    this.#retry = Math.min(this.#retry * 2, interval)
    return delay
  }
}

/** The answer of a resolver, which may be the user's. Throws where it is no list of IP addresses. */
function addressList(host: string, answer: unknown): readonly string[] {
  const wrong = (got: unknown) =>
    new Error(
      `the resolver answered for ${host}: expected a list of IP addresses, got ${show(got)}`,
    )
  if (!Array.isArray(answer)) throw wrong(answer)
  for (const ip of answer) if (typeof ip !== 'string' || isIP(ip) === 0) throw wrong(ip)
  return answer
}

/** `promise`, or a rejection after `ms`. */
function within<T>(clock: Clock, ms: number, host: string, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(new Error(`looking up ${host} took over ${ms} ms`)))
    promise.then(resolve, reject).finally(cancel)
  })
}
