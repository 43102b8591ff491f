/** Options of the plugin rate-limit. */

import type { Cidr } from '../../address/set.js'
import type { Duration } from '../../base/units.js'
import { optional, required, section } from '../../options/section.js'
import { duration, flag, fn, integer } from '../../options/type.js'
import type { Connection } from '../../policy.js'
import { networks } from './check.js'

/** Options of `rateLimit`. */
export interface RateLimitOptions {
  /** New connections of one source in `window`; more are refused. */
  limit: number
  /** Time in which they are counted. Default '10s'. */
  window?: Duration
  /** Connections of one source that may be open at once. Default: without limit. */
  open?: number
  /**
   * Refusals of one source in `banWindow` after which nothing of it is accepted, until it has been
   * quiet for so long: every attempt counts again. Default: never.
   */
  ban?: number
  /** Time in which refusals are counted. Default '1m'. */
  banWindow?: Duration
  /** Sources without limits. Default: none. */
  except?: Cidr[]
  /**
   * What is counted instead of sources; undefined is not limited. Default: the source address, of
   * IPv6 its first 64 bits.
   */
  by?: (conn: Connection) => string | undefined
  /** Sources that are remembered at once. Default 100000. */
  size?: number
  /** Refuse by RST instead of FIN. Default true. */
  reset?: boolean
}

const most = 2 ** 31 - 1

export const options = section(
  {
    limit: required(
      integer(1, most),
      'New connections of one source in `window`; more are refused.',
      { example: '100' },
    ),
    window: optional(duration(1), 'Time in which they are counted.', { default: '10s' }),
    open: optional(integer(1, most), 'Connections of one source that may be open at once.', {
      absent: Number.POSITIVE_INFINITY,
      means: 'without limit',
    }),
    ban: optional(
      integer(1, most),
      'Refusals of one source in `banWindow` after which nothing of it is accepted, until it has been quiet for so long: every attempt counts again.',
      { absent: Number.POSITIVE_INFINITY, means: 'never' },
    ),
    banWindow: optional(duration(1), 'Time in which refusals are counted.', { default: '1m' }),
    except: optional(networks, 'Sources without limits.', { default: [], means: 'none' }),
    by: optional(
      fn<(conn: Connection) => string | undefined>('(conn: Connection) => string | undefined'),
      'What is counted instead of sources; undefined is not limited.',
      { means: 'the source address, of IPv6 its first 64 bits' },
    ),
    size: optional(integer(1, 2 ** 24), 'Sources that are remembered at once.', {
      default: 100_000,
    }),
    reset: optional(flag, 'Refuse by RST instead of FIN.', { default: true }),
  },
  'RateLimitOptions',
)
