/**
 * Constructors of verdicts: what a rule returns, or stands in a list of rules
 * as it is.
 */

import { parseDuration } from '../base/units.js'
import type {
  ClientCertDemand,
  Connection,
  CounterName,
  Key,
  RuleFunction,
  Verdict,
} from './types.js'
import type { Variable, Variables } from './vars.js'

const ACCEPT: Verdict = Object.freeze({ kind: 'accept' })
const CLOSE: Verdict = Object.freeze({ kind: 'reject', how: 'close' })
const RESET: Verdict = Object.freeze({ kind: 'reject', how: 'reset' })
const EXPECT_PROXY: Verdict = Object.freeze({ kind: 'expectProxy' })
const MORE: Verdict = Object.freeze({ kind: 'more' })
const PASSTHROUGH: Verdict = Object.freeze({ kind: 'passthrough' })
const encoder = new TextEncoder()

/** Ends this ruleset: the rules behind it are not run. */
export function accept(): Verdict {
  return ACCEPT
}

/** Closes the connection; with `reset` by RST instead of FIN. */
export function reject(options?: { reset?: boolean }): Verdict {
  return options?.reset ? RESET : CLOSE
}

/** Holds the connection silently for `duration` ('5s', or ms), then closes it. */
export function tarpit(duration: number | string): Verdict {
  return { kind: 'tarpit', ms: typeof duration === 'number' ? duration : parseDuration(duration) }
}

/** Sends `content` and closes the connection. */
export function reply(content: Uint8Array | string): Verdict {
  return {
    kind: 'reply',
    bytes: typeof content === 'string' ? encoder.encode(content) : content,
  }
}

/**
 * Tracks a key in a stick table through one of the three counters of the
 * connection. The first `track` of a counter wins. A key of `undefined`
 * tracks nothing.
 */
export function track(
  counter: CounterName,
  key: (conn: Connection) => Key,
  table: string,
): RuleFunction
export function track(counter: CounterName, key: Key, table: string): Verdict
export function track(
  counter: CounterName,
  key: Key | ((conn: Connection) => Key),
  table: string,
): Verdict | RuleFunction {
  if (typeof key !== 'function') return { kind: 'track', counter, key, table }
  const rule: RuleFunction = (conn) => ({ kind: 'track', counter, key: key(conn), table })
  // Checking a configuration looks at what a rule refers to, and cannot look into a function.
  Object.defineProperties(rule, {
    name: { value: `track-${counter}` },
    counter: { value: counter },
    table: { value: table },
  })
  return rule
}

/** Sets a variable of the connection, for later rules, handlers and applets. */
export function setVar<N extends keyof Variables & string>(
  name: N,
  value: Variables[N] & Variable,
): Verdict {
  return { kind: 'setVar', name, value }
}

/** Chooses the backend. The last one chosen is used. */
export function useBackend(backend: string): Verdict {
  return { kind: 'backend', backend }
}

/** Connection rules: a PROXY header is awaited before the session. */
export function expectProxy(): Verdict {
  return EXPECT_PROXY
}

/** Place in a backend's queue: lower numbers are served first. Default 0. */
export function priority(value: number): Verdict {
  return { kind: 'priority', value }
}

/** Content rules: waits for more payload, within inspectDelay and inspectLimit. */
export function more(): Verdict {
  return MORE
}

/**
 * ClientHello rules: shows the certificate of this name, instead of that of the name
 * the client asked for. The last one chosen is used.
 */
export function useCertificate(name: string): Verdict {
  return { kind: 'certificate', name: name.toLowerCase() }
}

/**
 * ClientHello rules: asks the client for a certificate ('required', or 'optional': one
 * that comes is verified), or does not ('none'), whatever the bind says.
 */
export function clientCert(demand: ClientCertDemand): Verdict {
  return { kind: 'clientCert', demand }
}

/**
 * ClientHello rules: does not terminate TLS. The backend gets the bytes as they are, and
 * the rules behind it are not run: choose the backend before.
 */
export function passthrough(): Verdict {
  return PASSTHROUGH
}
