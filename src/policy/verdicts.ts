/**
 * Verdicts: what a rule returns, or stands in a list of rules as it is. One declaration each: how
 * it is written in TypeScript and, with the same fields, in JSON, and which stage it is for. What
 * it does is in flow/rules/verdicts.ts.
 */

import { type Duration, parseDuration, show } from '../base/units.js'
import {
  type Base64,
  bytesOf,
  content,
  count,
  duration,
  finite,
  flag,
  key,
  name,
  oneOf,
  optional,
  plain,
  shortContent,
  variable,
} from './fields.js'
import type { NamesBackend, NamesTable } from './names.js'
import { type TrackedBy, trackedBy } from './tracked.js'
import type { ClientCertDemand, Connection, CounterName, Key } from './types.js'
import type { Variable, Variables } from './vars.js'
import { answersRight, declare, type Shape } from './verdict.js'

const ACCEPT = Object.freeze({ kind: 'accept' })
const CLOSE = Object.freeze({ kind: 'reject' })
const RESET = Object.freeze({ kind: 'reject', reset: true })
const EXPECT_PROXY = Object.freeze({ kind: 'expectProxy' })
const MORE = Object.freeze({ kind: 'more' })
const START_TLS = Object.freeze({ kind: 'startTls' })
const PASSTHROUGH = Object.freeze({ kind: 'passthrough' })

/** Ends this ruleset: the rules behind it are not run. */
export const accept = declare({
  kind: 'accept',
  call: 'accept()',
  ends: 'list',
  fields: {},
  make: () => ACCEPT,
})

/** Closes the connection; with `reset` by RST instead of FIN. */
export const reject = declare({
  kind: 'reject',
  call: 'reject()',
  ends: 'connection',
  fields: { reset: optional(flag) },
  make: (options?: { reset?: boolean }) => (options?.reset ? RESET : CLOSE),
})

/** Holds the connection silently for `duration` ('5s'), then closes it. */
export const tarpit = declare({
  kind: 'tarpit',
  call: "tarpit('5s')",
  ends: 'connection',
  fields: { duration },
  make(duration: Duration) {
    // Told where it is written, which a rule that returns it is not.
    parseDuration(duration)
    return { kind: 'tarpit', duration } as const
  },
})

/** Sends `content`, text or bytes, at most 1 MiB, and closes the connection. */
export const reply = declare({
  kind: 'reply',
  call: "reply('text')",
  ends: 'connection',
  fields: { content },
  // Bytes are made of it once, and not for each client.
  make: (content: string | Uint8Array | Base64) =>
    ({ kind: 'reply', content: bytesOf(content) }) as const,
})

const trackFields = {
  counter: oneOf('sc0', 'sc1', 'sc2'),
  key: optional(key),
  by: optional(oneOf(...(Object.keys(trackedBy) as TrackedBy[]))),
  table: name,
}

/** What `track` makes. `Table`: the table that it names, where the compiler knows. */
export interface Track<Table extends string = string>
  extends Shape<'track', typeof trackFields>,
    NamesTable<Table> {}

function makeTrack<const Table extends string>(
  counter: CounterName,
  key: (conn: Connection) => Key,
  table: Table,
): (conn: Connection) => Track<Table> | undefined
function makeTrack<const Table extends string>(
  counter: CounterName,
  key: Key | { by: TrackedBy },
  table: Table,
): Track<Table>
function makeTrack(
  counter: CounterName,
  key: Key | { by: TrackedBy } | ((conn: Connection) => Key),
  table: string,
): Track | ((conn: Connection) => Track | undefined) {
  if (typeof key === 'object' && 'by' in key) return { kind: 'track', counter, by: key.by, table }
  if (typeof key !== 'function') return { kind: 'track', counter, key, table }
  const rule = (conn: Connection): Track | undefined => {
    const value = key(conn)
    if (value === undefined) return undefined
    if (!trackFields.key.fits(value)) throw new TypeError(`a key of ${show(value)}`)
    return { kind: 'track', counter, key: value, table }
  }
  if (trackFields.counter.fits(counter) && trackFields.table.fits(table)) answersRight.add(rule)
  // Checking a configuration looks at what a rule refers to, and cannot look into a function.
  return Object.defineProperties(rule, {
    name: { value: `track-${counter}` },
    counter: { value: counter },
    table: { value: table },
  })
}

/**
 * Tracks a key in a stick table through one of the three counters of the connection: a constant, a
 * function of the connection, or `{ by: 'src' }`. The first `track` of a counter wins. A key of
 * `undefined` tracks nothing.
 */
export const track = declare({
  kind: 'track',
  call: "track('sc0', key, 'table')",
  fields: trackFields,
  either: ['key', 'by'],
  make: makeTrack,
}) as typeof makeTrack

const setVarFields = { name, value: variable }

/** Sets a variable of the connection, for later rules and applets. */
export const setVar = declare({
  kind: 'setVar',
  call: "setVar('name', value)",
  fields: setVarFields,
  make: (name: string, value: Variable) => ({ kind: 'setVar', name, value }) as const,
}) as <N extends keyof Variables & string>(
  name: N,
  value: Variables[N] & Variable,
) => Shape<'setVar', typeof setVarFields>

const useBackendFields = { backend: name }

/** What `useBackend` makes. `Backend`: the backend that it names, where the compiler knows. */
export interface UseBackend<Backend extends string = string>
  extends Shape<'useBackend', typeof useBackendFields>,
    NamesBackend<Backend> {}

/** Chooses the backend. The last one chosen is used. */
export const useBackend = declare({
  kind: 'useBackend',
  call: "useBackend('name')",
  fields: useBackendFields,
  make: (backend: string) => ({ kind: 'useBackend', backend }) as const,
}) as <const Backend extends string>(backend: Backend) => UseBackend<Backend>

const useServerFields = { backend: name, server: name, strict: optional(flag) }

/** What `useServer` makes. `Backend`: the backend that it names, where the compiler knows. */
export interface UseServer<Backend extends string = string>
  extends Shape<'useServer', typeof useServerFields>,
    NamesBackend<Backend> {}

/**
 * Chooses the backend, and one of its servers: it is taken, or waited for while it is full, also
 * where it drains. Where it is down or in maintenance, or a connect to it has failed, the backend
 * balances; with `strict` no other server is taken, and it is waited for as long as the queue
 * time-out says. The last choice counts, one of a backend alone too.
 */
export const useServer = declare({
  kind: 'useServer',
  call: "useServer('backend', 'server')",
  fields: useServerFields,
  make: (backend: string, server: string, options?: { strict?: boolean }) =>
    options?.strict
      ? ({ kind: 'useServer', backend, server, strict: true } as const)
      : ({ kind: 'useServer', backend, server } as const),
}) as <const Backend extends string>(
  backend: Backend,
  server: string,
  options?: { strict?: boolean },
) => UseServer<Backend>

/** Connection rules: a PROXY header is awaited before the session. */
export const expectProxy = declare({
  kind: 'expectProxy',
  call: 'expectProxy()',
  only: 'connection',
  fields: {},
  make: () => EXPECT_PROXY,
})

/** Place in a backend's queue: lower numbers are served first. Default 0. */
export const priority = declare({
  kind: 'priority',
  call: 'priority(number)',
  fields: { value: finite },
  make: (value: number) => ({ kind: 'priority', value }) as const,
})

/**
 * Handshake rules: the same rule is called again when more bytes came, at the latest with
 * `last`, where wanting more is a failure.
 */
export const more = declare({
  kind: 'more',
  call: 'more()',
  only: 'handshake',
  fields: {},
  make: () => MORE,
})

/**
 * Handshake rules: takes bytes of the client away, so that neither the rules behind it nor the
 * server see them. Standing in a list as it is, it waits for them.
 */
export const consume = declare({
  kind: 'consume',
  call: 'consume(4)',
  only: 'handshake',
  fields: { bytes: count },
  make: (bytes: number) => ({ kind: 'consume', bytes }) as const,
})

/**
 * Handshake rules: sends at most 16 kB to the client, before anything that the server says.
 * `consume`: takes so many bytes away as well.
 */
export const send = declare({
  kind: 'send',
  call: "send('text')",
  only: 'handshake',
  fields: { content: shortContent, consume: optional(count) },
  make: (content: string | Uint8Array | Base64, options: { consume?: number } = {}) =>
    ({ kind: 'send', content: plain(content), ...options }) as const,
})

/**
 * Handshake rules: puts at most 16 kB in front of the bytes that are left, as if the client had
 * sent them. With `consume` they replace what it said.
 */
export const prepend = declare({
  kind: 'prepend',
  call: "prepend('text')",
  only: 'handshake',
  fields: { content: shortContent },
  make: (content: string | Uint8Array | Base64) =>
    ({ kind: 'prepend', content: plain(content) }) as const,
})

/**
 * Handshake rules, on a bind with `startTls: 'rule'`: TLS begins with the client's next byte. The
 * rules behind this one see what was decrypted. Where bytes in clear are left, the client is closed.
 */
export const startTls = declare({
  kind: 'startTls',
  call: 'startTls()',
  only: 'handshake',
  fields: {},
  make: () => START_TLS,
})

/**
 * ClientHello rules: shows the certificate of this name, instead of that of the name
 * the client asked for. The last one chosen is used.
 */
export const useCertificate = declare({
  kind: 'useCertificate',
  call: "useCertificate('name')",
  only: 'clientHello',
  fields: { name },
  make: (name: string) => ({ kind: 'useCertificate', name }) as const,
})

/**
 * ClientHello rules: asks the client for a certificate ('required', or 'optional': one
 * that comes is verified), or does not ('none'), whatever the bind says.
 */
export const clientCert = declare({
  kind: 'clientCert',
  call: "clientCert('required')",
  only: 'clientHello',
  fields: { demand: oneOf('none', 'optional', 'required') },
  make: (demand: ClientCertDemand) => ({ kind: 'clientCert', demand }) as const,
})

/**
 * ClientHello rules: does not terminate TLS. The backend gets the bytes as they are, and
 * the rules behind it are not run: choose the backend before.
 */
export const passthrough = declare({
  kind: 'passthrough',
  call: 'passthrough()',
  only: 'clientHello',
  ends: 'list',
  fields: {},
  make: () => PASSTHROUGH,
})
