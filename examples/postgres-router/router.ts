/**
 * A handshake handler for PostgreSQL: the database that a client names in its
 * startup packet chooses the backend. The packet is not consumed, so the server
 * sees it and does the authentication.
 */
import { defineHandshake, type HandshakeHandler } from 'sluice/policy'
import { errorResponse, MAX_STARTUP, readStartup } from './startup.js'

export interface PostgresRouterOptions {
  /** The backend of a database, or undefined where there is no such database. */
  route(database: string, user: string): string | undefined
}

/** Chooses the backend, and sets `conn.vars.database` and `conn.vars.user`. */
export function postgresRouter({ route }: PostgresRouterOptions): HandshakeHandler {
  return defineHandshake({
    name: 'postgres-router',
    limit: MAX_STARTUP,
    // A person may be typing a password now, but nobody types a startup packet.
    deadline: '10s',
    onBytes(conn, bytes) {
      const startup = readStartup(bytes)
      switch (startup.kind) {
        case 'more':
          return 'more'
        case 'encryption':
          // The answer that psql and drivers expect from a server without TLS: they go on in clear
          // text, unless they were told to insist (sslmode=require).
          return { send: 'N', consume: startup.length }
        case 'cancel':
          // Which server's query it is, the packet does not say. A server closes without a word too.
          return { reject: 'close' }
        case 'invalid':
          conn.log.info({ why: startup.why }, 'no valid startup packet')
          return { reply: errorResponse('08P01', `invalid startup packet: ${startup.why}`) }
        case 'startup': {
          const { database, user } = startup
          const backend = route(database, user)
          if (backend === undefined) {
            return { reply: errorResponse('3D000', `database "${database}" does not exist`) }
          }
          return { backend, vars: { database, user } }
        }
      }
    },
  })
}
