/** Options of the plugin canary. */

import type { Cidr } from '../../address/set.js'
import { optional, required, section } from '../../options/section.js'
import { either, fn, leaf, text } from '../../options/type.js'
import type { Connection } from '../../policy.js'
import { networks as networkList } from './check.js'

/** Options of `canary`. */
export interface CanaryOptions {
  /** Backend of those who are chosen. */
  backend: string
  /**
   * How many of all clients are chosen, from 0 to 100; a function is asked for each connection.
   */
  percent: number | (() => number)
  /** Sources that are chosen in any case. Default: none. */
  always?: Cidr[]
  /** Sources that never are. Default: none. */
  never?: Cidr[]
  /** What tells clients apart; who has none is never chosen. Default: the source address. */
  by?: (conn: Connection) => string | undefined
}

const percentage = leaf<number>(
  ['number'],
  { type: 'number', expected: 'a number from 0 to 100' },
  (value: number) =>
    value >= 0 && value <= 100
      ? undefined
      : { message: `expected a number from 0 to 100, got ${value}.` },
)

export const options = section(
  {
    backend: required(text('the name of a backend'), 'Backend of those who are chosen.', {
      example: "'next'",
    }),
    percent: required(
      either(
        'a number from 0 to 100, or a function that gives one',
        percentage,
        fn<() => number>('() => number'),
      ),
      'How many of all clients are chosen, from 0 to 100; a function is asked for each connection.',
      { example: '5' },
    ),
    always: optional(networkList, 'Sources that are chosen in any case.', {
      default: [],
      means: 'none',
    }),
    never: optional(networkList, 'Sources that never are.', { default: [], means: 'none' }),
    by: optional(
      fn<(conn: Connection) => string | undefined>('(conn: Connection) => string | undefined'),
      'What tells clients apart; who has none is never chosen.',
      { means: 'the source address' },
    ),
  },
  'CanaryOptions',
)
