/** Stick tables. What one can store is in policy/counters.ts. */

import { type CounterTable, counterRows } from '../policy/counters.js'
import { type Option, optional, type ResolvedBy, required, section } from './section.js'
import { alias, duration, flag, integer, oneOf, type WrittenAs } from './type.js'

const window = duration(1)

type Store = {
  readonly [K in keyof CounterTable]: CounterTable[K] extends { rate: true }
    ? Option<WrittenAs<typeof window>, number, false>
    : Option<boolean, boolean, false>
}

/** Counters are there or not, false; a rate names its window, which is 0 ms where it is not stored. */
const store = Object.fromEntries(
  counterRows.map(([name, { doc, rate, example }]) => [
    name,
    rate
      ? optional(window, doc, { absent: 0, means: 'off', ...(example ? { example } : {}) })
      : optional(flag, doc, { default: false }),
  ]),
) as unknown as Store

const keyType = alias('TableKeyType', oneOf('ip', 'ipv6', 'integer', 'string', 'binary'))

export type TableKeyType = WrittenAs<typeof keyType>

export const table = section(
  {
    key: required(keyType, 'Type of the key.', { example: "'ip'" }),
    size: required(integer(1, 2 ** 24), 'Most entries; the least recently used one goes first.', {
      example: '100_000',
    }),
    expire: optional(duration(1), 'An entry that is not touched for this long is forgotten.', {
      absent: 0,
      means: 'never',
      example: "'10m'",
    }),
    keyLength: optional(
      integer(1, 4096),
      'Longest string or binary key in bytes; longer ones are cut.',
      { default: 32 },
    ),
    store: optional(section(store), 'What is kept for each key. Rates name their window.', {
      default: {},
      means: 'nothing but the key',
      example: "{ connRate: '10s', connCur: true }",
    }),
  },
  'TableConfig',
)

/** Times in ms: `expire` 0 is never, a rate's window 0 is not stored. */
export interface ResolvedTable extends ResolvedBy<typeof table> {
  name: string
  /** The handle that it was configured by. */
  handle?: object
}
