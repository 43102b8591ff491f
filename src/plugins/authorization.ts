/** A service says over HTTP who may come in, as for Envoy's ext_authz. */

import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.js'
import { formatDuration } from '../base/units.js'
import { type Connection, definePlugin, defineTable, type Labels, reject } from '../policy.js'
import { type AuthorizationOptions, options } from './options/authorization.js'
import { optionsOf } from './options/check.js'

export type { AuthorizationOptions }

type Query = Readonly<Record<string, string>>

/** ms after which nobody waits for an answer, not even the next connection. */
const GIVE_UP = 10_000
/** Longest question that is its own key, bytes; it is ASCII. */
const KEY_LENGTH = 64
/** Values of `gpt0`. */
const REFUSED = 1
const ALLOWED = 2

/**
 * Asks before a session exists. Connections with the same question wait for one answer, which is
 * remembered; one that comes too late counts for the next connection.
 */
export const authorization = definePlugin({
  name: 'authorization',
  options: optionsOf<AuthorizationOptions, typeof options.options>(options),
  setup({ url, deadline, onError, remember, size, concurrent, ...how }, context) {
    const { clock, metrics } = context
    const { query = ({ src }: Connection): Query => ({ source: src }) } = how
    const answers = defineTable({
      key: 'string',
      keyLength: KEY_LENGTH,
      size,
      // `gpc0`: ms of the clock until which it holds.
      store: { gpt0: true, gpc0: true },
    })
    const asked = metrics.counter('asked_total', 'Questions to the service, by outcome.')
    const service = new Service({
      url,
      fetch: how.fetch ?? fetch,
      concurrent,
      clock,
      done: (outcome) => asked.inc({ outcome }),
    })
    context.signal.addEventListener('abort', () => service.end())
    const refused = metrics.counter('refused_total', 'Connections that were refused.')
    const verdict = (allowed: boolean, labels: Labels) => {
      if (allowed) return
      refused.inc(labels)
      return reject()
    }
    return {
      tables: { answers },
      rules: {
        connection: [
          {
            name: 'authorize',
            deadline: formatDuration(deadline),
            onError,
            run(conn: Connection) {
              const question = new URLSearchParams(query(conn)).toString()
              const answer = answers.track(conn, keyOf(question))
              const labels = { frontend: conn.frontend }
              if (answer.gpc0 > clock.now()) return verdict(answer.gpt0 === ALLOWED, labels)
              return service.ask(question).then((allowed) => {
                answer.gpt0 = allowed ? ALLOWED : REFUSED
                answer.gpc0 = Math.floor(clock.now() + remember)
                return verdict(allowed, labels)
              })
            },
          },
        ],
      },
    }
  },
})

/** Cutting a long question would make one key of several. */
function keyOf(question: string): string {
  if (question.length <= KEY_LENGTH) return question
  return createHash('sha256').update(question).digest('hex')
}

interface ServiceOptions {
  readonly url: string
  readonly fetch: NonNullable<AuthorizationOptions['fetch']>
  /** Questions at once. */
  readonly concurrent: number
  readonly clock: Clock
  /** Told of each question's end. */
  done(outcome: 'allowed' | 'refused' | 'failed'): void
}

class Service {
  readonly #options: ServiceOptions
  /** What is asked now. */
  readonly #pending = new Map<string, Promise<boolean>>()
  readonly #aborts = new Set<AbortController>()

  constructor(options: ServiceOptions) {
    this.#options = options
  }

  /** Whether it allows. Who asks the same at the same time gets the same answer. */
  ask(question: string): Promise<boolean> {
    const pending = this.#pending.get(question)
    if (pending) return pending
    const { url, concurrent } = this.#options
    if (this.#pending.size >= concurrent) {
      return Promise.reject(new Error(`${concurrent} questions wait for ${url} already`))
    }
    const asking = this.#ask(question).finally(() => this.#pending.delete(question))
    this.#pending.set(question, asking)
    return asking
  }

  /** Nobody waits for answers any more. */
  end(): void {
    for (const abort of this.#aborts) abort.abort()
  }

  async #ask(question: string): Promise<boolean> {
    const { url, fetch, clock, done } = this.#options
    const abort = new AbortController()
    this.#aborts.add(abort)
    const late = () => abort.abort(new Error(`${url} did not answer in ${formatDuration(GIVE_UP)}`))
    const cancel = clock.after(GIVE_UP, late)
    let outcome: 'allowed' | 'refused' | 'failed' = 'failed'
    try {
      const asked = `${url}${url.includes('?') ? '&' : '?'}${question}`
      const response = await fetch(asked, { signal: abort.signal })
      await response.body?.cancel()
      if (response.status !== 200 && response.status !== 403) {
        throw new Error(`${url} answered ${response.status}`)
      }
      outcome = response.status === 200 ? 'allowed' : 'refused'
      return outcome === 'allowed'
    } finally {
      cancel()
      this.#aborts.delete(abort)
      done(outcome)
    }
  }
}
