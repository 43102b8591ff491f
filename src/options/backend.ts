/** Backends: where sessions go. */

import { show } from '../base/units.js'
import type { Connection } from '../policy/types.js'
import { balance } from './balance.js'
import { MAX } from './limits.js'
import { mode } from './mode.js'
import { applet } from './policy.js'
import { optional, type ResolvedBy, required, section } from './section.js'
import { server } from './server.js'
import { backendTimeouts } from './timeouts.js'
import {
  duration,
  either,
  flag,
  fn,
  integer,
  keyed,
  leaf,
  nameOf,
  oneOf,
  type Type,
  text,
} from './type.js'

const off: Type<false> = leaf(
  ['boolean'],
  { type: 'false', expected: 'false' },
  (value: boolean) =>
    value
      ? { message: 'expected false or { failures, backoff, maxBackoff }, got true.' }
      : undefined,
)

/** Passive failure marking. Times in ms. */
export const passive = section({
  failures: optional(integer(1, 1_000_000), 'Connect failures in a row that mark a server.', {
    default: 3,
  }),
  backoff: optional(
    duration(1),
    'Until a session is let through as a trial; its success takes the mark away.',
    { default: '1s' },
  ),
  maxBackoff: optional(
    duration(1),
    'The time doubles with each trial that times out, up to this.',
    { default: '10s', means: "'10s', or backoff where that is longer" },
  ),
})

type StickKey = (conn: Connection) => string | number | undefined
const bySource: StickKey = (conn) => conn.src || undefined

export const stick = section({
  table: required(nameOf('table'), 'A table that stores `serverId`.', { example: "'affinity'" }),
  key: optional(
    fn<StickKey>(
      '(conn) => string | number | undefined',
      '(conn: Connection) => string | number | undefined',
    ),
    'What sticks.',
    { absent: bySource, means: 'the source address' },
  ),
  mode: optional(
    oneOf('on', 'match', 'store'),
    "'on' matches and stores, 'match' only matches, 'store' only stores.",
    { default: 'on' },
  ),
})

const redispatch: Type<boolean | number> = leaf(
  ['boolean', 'number'],
  { type: 'boolean | number', expected: 'true, false or a number of failures' },
  (value: boolean | number) =>
    typeof value === 'boolean' || (Number.isInteger(value) && value >= 0)
      ? undefined
      : { message: `expected true, false or a number of failures, got ${show(value)}.` },
)

export const backend = section(
  {
    mode: optional(mode, 'What is proxied.', { default: 'tcp' }),
    balance: optional(balance, 'How a server is chosen.', {
      default: 'roundrobin',
      example: "{ algorithm: 'hash', boundedLoad: 125 }",
    }),
    servers: required(
      keyed(
        either('an address, { address, ... } or an applet', text('an address'), server, applet),
        (item) => `{ [Name in keyof Servers]: ${item} }`,
      ),
      'Servers by name.',
      { example: "{ a: '127.0.0.1:9001', b: { address: '127.0.0.1:9002', weight: 2 } }" },
    ),
    maxqueue: optional(integer(0, MAX), 'Sessions waiting for a slot; more are refused.', {
      default: 1024,
    }),
    retries: optional(
      integer(0, 100),
      'Connect attempts after the first, each after `retryDelay`; and as many again at once, on servers and addresses that the session has not tried.',
      { default: 3 },
    ),
    redispatch: optional(
      redispatch,
      'Go on with another server: at once (true) or after N failures on one.',
      { means: 'true; with `stick` after as many as there are retries' },
    ),
    retryDelay: optional(
      duration(),
      'From the beginning of an attempt to the next, where nobody else is to be tried; at most the connect time-out.',
      { default: '1s' },
    ),
    allBackups: optional(
      flag,
      'Use every backup server once no other is usable, not the first alone.',
      { default: false },
    ),
    passive: optional(
      either('false or { failures, backoff, maxBackoff }', off, passive),
      'Passive failure marking: traffic goes to the servers without a mark, where there are any; false is off.',
      { default: {}, means: 'on' },
    ),
    stick: optional(stick, 'Stickiness: the same key goes to the same server.', { means: 'off' }),
    timeouts: optional(
      backendTimeouts,
      'Time-outs of this backend; the rest comes from `timeouts`.',
    ),
  },
  'BackendConfig',
  undefined,
  ['Servers = Record<string, unknown>'],
)

export type BackendOptions = ResolvedBy<typeof backend>
export type ResolvedPassive = ResolvedBy<typeof passive>
