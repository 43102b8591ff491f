/** PostgreSQL: the database that a client names in its first packet chooses the backend. */

import { formatDuration } from '../base/units.js'
import {
  accept,
  definePlugin,
  type FirstBytes,
  type HandshakeRule,
  more,
  reject,
  reply,
  send,
  setVar,
  startTls,
  useBackend,
  type Verdict,
} from '../policy.js'
import { optionsOf } from './options/check.js'
import { options, type PostgresRouterOptions } from './options/postgres-router.js'
import { errorResponse, MAX_STARTUP, readStartup } from './postgres-startup.js'

export type { PostgresRouterOptions }

/**
 * Chooses the backend and sets `conn.vars.database` and `conn.vars.user`. The packet is not
 * consumed: the server sees it, and does the authentication.
 */
export const postgresRouter = definePlugin({
  name: 'postgres-router',
  options: optionsOf<PostgresRouterOptions, typeof options.options>(options),
  setup({ route, tls, deadline }, { metrics, useBackend: checked }) {
    const clients = metrics.counter('clients_total', 'First packets, by what came of them.')
    const common = { limit: MAX_STARTUP, deadline: formatDuration(deadline) }
    const backendOf = routes(route, checked)
    const router: HandshakeRule = {
      ...common,
      name: 'route',
      run({ bytes, log, frontend, tls: secured }: FirstBytes) {
        const startup = readStartup(bytes)
        const end = (outcome: string, ...answer: Verdict[]) => {
          clients.inc({ frontend, outcome })
          return answer
        }
        switch (startup.kind) {
          case 'more':
            return more()
          case 'encryption':
            // As a server without it does: clients go on in clear text, unless they insist.
            return [send('N', { consume: startup.length }), more()]
          case 'cancel':
            // Which server's query it is, the packet does not say. A server closes without a word too.
            return end('cancel', reject())
          case 'invalid':
            log.info({ why: startup.why }, 'no valid startup packet')
            return end('invalid', failure('08P01', `invalid startup packet: ${startup.why}`))
          case 'startup': {
            const { database, user } = startup
            const chosen = backendOf(database, user)
            if (chosen === undefined)
              return end('unknown', failure('3D000', `database "${database}" does not exist`))
            const vars = [setVar('database', database), setVar('user', user)]
            // Where TLS could have been asked for, who goes on in clear is let through.
            const inClear = tls === 'accept' && secured === undefined ? [accept()] : []
            return end('routed', chosen, ...vars, ...inClear)
          }
        }
      },
    }
    return { rules: { handshake: tls === 'refuse' ? [router] : [starter(tls, common), router] } }
  },
})

type Limits = Pick<
  Exclude<HandshakeRule, ((...args: never) => unknown) | Verdict>,
  'limit' | 'deadline'
>

/** Grants what asks for TLS, which then starts; the router sees what was encrypted. */
function starter(tls: 'accept' | 'require', limits: Limits): HandshakeRule {
  const required = failure('28000', 'this server requires TLS')
  return {
    ...limits,
    name: 'tls',
    run({ bytes }: FirstBytes) {
      const startup = readStartup(bytes)
      if (startup.kind === 'more') return more()
      if (startup.kind === 'encryption') {
        const { wants, length } = startup
        return wants === 'tls'
          ? [send('S', { consume: length }), startTls()]
          : [send('N', { consume: length }), more()]
      }
      if (startup.kind === 'startup' && tls === 'require') return required
    },
  }
}

function routes(
  route: PostgresRouterOptions['route'],
  checked: (backend: string) => Verdict,
): (database: string, user: string) => Verdict | undefined {
  if (typeof route === 'function') {
    return (database, user) => {
      const backend = route(database, user)
      return backend === undefined ? undefined : useBackend(backend)
    }
  }
  const known = new Map(Object.entries(route).map(([name, backend]) => [name, checked(backend)]))
  return (database) => known.get(database)
}

function failure(sqlState: string, message: string): Verdict {
  return reply(errorResponse(sqlState, message))
}
