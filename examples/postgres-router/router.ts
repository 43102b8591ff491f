/**
 * Handshake rules for PostgreSQL: the database that a client names in its
 * startup packet chooses the backend. The packet is not consumed, so the server
 * sees it and does the authentication. TLS ends at the proxy where it has a
 * certificate.
 */
import {
  accept,
  type HandshakeRule,
  more,
  reject,
  reply,
  send,
  setVar,
  startTls,
  useBackend,
} from 'sluice/policy'
import { errorResponse, MAX_STARTUP, readStartup } from './startup.js'

export interface PostgresRouterOptions {
  /** The backend of a database, or undefined where there is no such database. */
  route(database: string, user: string): string | undefined
}

/**
 * Chooses the backend, and sets `conn.vars.database` and `conn.vars.user`. A request for
 * encryption is refused as a server without TLS does it: clients go on in clear text, unless they
 * were told to insist (sslmode=require).
 */
export function postgresRouter({ route }: PostgresRouterOptions): HandshakeRule {
  return {
    name: 'postgres-router',
    limit: MAX_STARTUP,
    // A person may be typing a password now, but nobody types a startup packet.
    deadline: '10s',
    run({ bytes, log }) {
      const startup = readStartup(bytes)
      switch (startup.kind) {
        case 'more':
          return more()
        case 'encryption':
          return [send('N', { consume: startup.length }), more()]
        case 'cancel':
          // Which server's query it is, the packet does not say. A server closes without a word too.
          return reject()
        case 'invalid':
          log.info({ why: startup.why }, 'no valid startup packet')
          return reply(errorResponse('08P01', `invalid startup packet: ${startup.why}`))
        case 'startup': {
          const { database, user } = startup
          const backend = route(database, user)
          if (backend === undefined) {
            return reply(errorResponse('3D000', `database "${database}" does not exist`))
          }
          // In clear text too, where the bind has TLS.
          return [useBackend(backend), setVar('database', database), setVar('user', user), accept()]
        }
      }
    },
  }
}

/**
 * In front of it, on a bind with `tls` and `startTls: 'rule'`: a request for TLS is granted.
 * `required`: who does not ask is told so.
 */
export function postgresTls({ required = false } = {}): HandshakeRule {
  return {
    name: 'postgres-tls',
    limit: MAX_STARTUP,
    deadline: '10s',
    run({ bytes }) {
      const startup = readStartup(bytes)
      if (startup.kind === 'more') return more()
      if (startup.kind !== 'encryption') {
        const refused = required && startup.kind === 'startup'
        return refused ? reply(errorResponse('28000', 'this server requires TLS')) : undefined
      }
      const { wants, length } = startup
      if (wants === 'gssapi') return [send('N', { consume: length }), more()]
      return [send('S', { consume: length }), startTls()]
    },
  }
}
