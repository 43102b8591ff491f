/** Options of the plugin postgres-router. */

import type { Duration } from '../../base/units.js'
import { optional, required, section } from '../../options/section.js'
import { duration, either, fn, named, oneOf, text } from '../../options/type.js'

type Route = (database: string, user: string) => string | undefined

/** Options of `postgresRouter`. */
export interface PostgresRouterOptions {
  /** The backend of each database, or a function that gives it; undefined: there is none. */
  route: Record<string, string> | ((database: string, user: string) => string | undefined)
  /**
   * What a client gets that asks for TLS. 'accept' and 'require' need a bind with `tls` and
   * `startTls: 'rule'`; who does not ask is refused by 'require'. Default 'refuse'.
   */
  tls?: 'refuse' | 'accept' | 'require'
  /** How long the first packet may take. Default '10s'. */
  deadline?: Duration
}

export const options = section(
  {
    route: required(
      either(
        '{ DATABASE: backend }, or a function that gives the backend of a database',
        named(text('the name of a backend')),
        fn<Route>('(database: string, user: string) => string | undefined'),
      ),
      'The backend of each database, or a function that gives it; undefined: there is none.',
      { example: "{ orders: 'primary', reports: 'replicas' }" },
    ),
    tls: optional(
      oneOf('refuse', 'accept', 'require'),
      "What a client gets that asks for TLS. 'accept' and 'require' need a bind with `tls` and `startTls: 'rule'`; who does not ask is refused by 'require'.",
      { default: 'refuse' },
    ),
    deadline: optional(duration(1), 'How long the first packet may take.', { default: '10s' }),
  },
  'PostgresRouterOptions',
)
