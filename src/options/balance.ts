/** How a server is chosen: algorithms, and the options that two of them have. */

import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import type { Connection } from '../policy/types.js'
import { foreignBalance } from './foreign.js'
import { optional, type ResolvedBy, required, section } from './section.js'
import {
  alias,
  anyOf,
  becomes,
  either,
  fn,
  integer,
  leaf,
  oneOf,
  type Type,
  type WrittenAs,
} from './type.js'

const ALGORITHMS = ['roundrobin', 'leastconn', 'first', 'random', 'source'] as const
const expectedAlgorithm = anyOf(ALGORITHMS.map(show))

/** The name of an algorithm; those of others are told ours. */
const algorithm: Type<(typeof ALGORITHMS)[number]> = leaf(
  ['string'],
  { type: ALGORITHMS.map(show).join(' | '), expected: expectedAlgorithm },
  (value: string) => {
    if (ALGORITHMS.some((name) => name === value)) return undefined
    const meant = foreignBalance(value)
    const why = meant === undefined ? '' : `: ${meant}`
    const near = meant === undefined ? suggest(value, ALGORITHMS) : undefined
    const message = `expected ${expectedAlgorithm}, got ${show(value)}${why}.`
    return near === undefined ? { message } : { message, suggestion: near }
  },
)

type HashKey = (conn: Connection) => string | number
const bySource: HashKey = (conn) => conn.src

const choice = 'The algorithm that has options.'

const random = section({
  algorithm: required(oneOf('random'), choice),
  draws: optional(integer(1, 100), "'random': servers drawn, of which the least loaded is taken.", {
    default: 2,
  }),
})

const PERCENT = '0 (off) or a whole percentage from 101 to 1000'

const hash = section({
  algorithm: required(oneOf('hash'), choice),
  key: optional(
    fn<HashKey>('(conn) => string | number', '(conn: Connection) => string | number'),
    "'hash': what is hashed.",
    { absent: bySource, means: 'the source address' },
  ),
  type: optional(
    oneOf('map', 'consistent'),
    "'hash': 'map' is fast and moves many keys when servers come and go, 'consistent' moves few.",
    { default: 'consistent' },
  ),
  boundedLoad: optional(
    leaf(['number'], { type: 'number', expected: PERCENT }, (value: number) =>
      value === 0 || (Number.isInteger(value) && value > 100 && value <= 1000)
        ? undefined
        : { message: `expected ${PERCENT}, got ${show(value)}.` },
    ) as Type<number>,
    "'hash': most load of a server in percent of the mean, 125 is 1.25 x; for 'consistent' only.",
    { default: 0, means: '0 (off)' },
  ),
})

/** Options by the algorithm that has them. */
export const algorithmOptions = { random: random.options, hash: hash.options }

/** Checked as one, so that an option of the other algorithm is told so. */
const both = section({
  ...random.options,
  ...hash.options,
  algorithm: required(oneOf('random', 'hash'), choice),
})
const EXPECTED = "an algorithm, { algorithm: 'random', ... } or { algorithm: 'hash', ... }"
const written = either(EXPECTED, algorithm, random, hash)

export type BalanceConfig = WrittenAs<typeof written>

export type ResolvedBalance =
  | { algorithm: 'roundrobin' | 'leastconn' | 'first' }
  | ResolvedBy<typeof random>
  | ResolvedBy<typeof hash>

export const balance = becomes(
  alias('BalanceConfig', {
    ...written,
    schema: either(EXPECTED, algorithm, both).schema,
  }),
  (value): ResolvedBalance => {
    if (value === 'random') return random.resolve({ algorithm: 'random' })
    if (value === 'source') return { algorithm: 'hash', key: bySource, type: 'map', boundedLoad: 0 }
    if (typeof value === 'string') return { algorithm: value }
    return value.algorithm === 'random' ? random.resolve(value) : hash.resolve(value)
  },
)
