/** What the log says when the status of a server changes. */

import type { Logger } from 'pino'
import type { ServerStatus } from '../policy/live.js'
import type { BackendServer } from './server.js'

export function tellStatus(
  log: Logger,
  server: BackendServer,
  from: ServerStatus,
  to: ServerStatus,
): void {
  const { name, sessions, passive } = server
  const mark = to === 'down' && { failures: passive?.failures, backoff: passive?.backoff }
  const bindings = { server: name, from, to, sessions, ...mark }
  // A server that stays away has a trial every now and then: no news.
  if (to === 'half-open' || (from === 'half-open' && to === 'down')) {
    log.debug(bindings, `server is ${to}`)
  } else if (to === 'down') log.warn(bindings, 'server is down')
  else log.info(bindings, `server is ${to}`)
}
