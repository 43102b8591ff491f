/** Options of the plugin authorization. */

import type { Duration } from '../../base/units.js'
import { optional, required, section } from '../../options/section.js'
import { duration, fn, integer, leaf, oneOf } from '../../options/type.js'
import type { Connection } from '../../policy.js'

/** Options of `authorization`. */
export interface AuthorizationOptions {
  /** The service: 200 allows, 403 refuses, everything else is a failure. */
  url: string
  /** Longest time for its answer. Default '250ms'. */
  deadline?: Duration
  /** What its failure means: service for nobody, or for everybody. Default 'close'. */
  onError?: 'close' | 'open'
  /** How long an answer is remembered; '0s' asks for every connection. Default '5m'. */
  remember?: Duration
  /** Answers that are remembered at once. Default 100000. */
  size?: number
  /** Questions at once; one more is a failure. Default 256. */
  concurrent?: number
  /** What the service is told, as the query of the URL. Default: { source: conn.src }. */
  query?: (conn: Connection) => Record<string, string>
  /** Asks; for tests, and for a client of its own. Default: the global fetch. */
  fetch?: (url: string, init: { signal: AbortSignal }) => Promise<Response>
}

const httpUrl = leaf<string>(
  ['string'],
  { type: 'string', expected: 'an HTTP URL' },
  (value: string) =>
    URL.canParse(value) && /^https?:/.test(value)
      ? undefined
      : { message: `expected a URL such as 'http://127.0.0.1:9100/authorize', got '${value}'.` },
)

export const options = section(
  {
    url: required(httpUrl, 'The service: 200 allows, 403 refuses, everything else is a failure.', {
      example: "'http://127.0.0.1:9100/authorize'",
    }),
    deadline: optional(duration(1), 'Longest time for its answer.', { default: '250ms' }),
    onError: optional(
      oneOf('close', 'open'),
      'What its failure means: service for nobody, or for everybody.',
      { default: 'close' },
    ),
    remember: optional(
      duration(),
      "How long an answer is remembered; '0s' asks for every connection.",
      { default: '5m' },
    ),
    size: optional(integer(1, 2 ** 24), 'Answers that are remembered at once.', {
      default: 100_000,
    }),
    concurrent: optional(integer(1, 65_536), 'Questions at once; one more is a failure.', {
      default: 256,
    }),
    query: optional(
      fn<(conn: Connection) => Record<string, string>>(
        '(conn: Connection) => Record<string, string>',
      ),
      'What the service is told, as the query of the URL.',
      { means: '{ source: conn.src }' },
    ),
    fetch: optional(
      fn<NonNullable<AuthorizationOptions['fetch']>>(
        '(url: string, init: { signal: AbortSignal }) => Promise<Response>',
      ),
      'Asks; for tests, and for a client of its own.',
      { means: 'the global fetch' },
    ),
  },
  'AuthorizationOptions',
)
