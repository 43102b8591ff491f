/** Asking a service over HTTP whether a connection may go on. */

import type { Duration } from 'sluice'
import { type Connection, type Rule, reject, type Verdict } from 'sluice/policy'

export interface AuthorizationOptions {
  /** The service: 200 allows, 403 refuses, everything else is a failure. */
  url: string
  /** Longest time for its answer. */
  deadline: Duration
  /** What its failure means: service for everybody, or for nobody. */
  onError: 'open' | 'close'
}

/** Values of `gpt0`: what the service has said of a source. */
const UNKNOWN = 0
const ALLOWED = 1
const REFUSED = 2
/** ms after which nobody waits for the service, not even the next connection. */
const GIVE_UP = 10_000

/** A rule that asks once for each source that `sc0` tracks, and remembers the answer in `gpt0`. */
export function authorize({ url, deadline, onError }: AuthorizationOptions): Rule {
  return {
    name: 'authorize',
    deadline,
    onError,
    run(conn) {
      // A known source costs nothing: no promise is made.
      const { gpt0 } = conn.sc0
      if (gpt0 === UNKNOWN) return ask(url, conn)
      return gpt0 === REFUSED ? reject() : undefined
    },
  }
}

/** An answer that comes too late for this connection still counts for the next one. */
async function ask(url: string, conn: Connection): Promise<Verdict | undefined> {
  const query = new URLSearchParams({ source: conn.src })
  const signal = AbortSignal.any([conn.signal, AbortSignal.timeout(GIVE_UP)])
  const response = await fetch(`${url}?${query}`, { signal })
  await response.body?.cancel()
  if (response.status !== 200 && response.status !== 403) {
    throw new Error(`${url} answered ${response.status}`)
  }
  conn.sc0.gpt0 = response.status === 200 ? ALLOWED : REFUSED
  return response.status === 200 ? undefined : reject()
}
