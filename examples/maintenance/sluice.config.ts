/**
 * Maintenance: while a file exists, everybody but the operators gets a polite
 * answer and no server is touched. Connections that are open go on.
 *
 *   sluice run -c examples/maintenance/sluice.config.ts
 *   touch /tmp/maintenance; curl -i http://127.0.0.1:8080/; rm /tmp/maintenance
 */
import { defineConfig } from 'sluice'
import { type Connection, cidrList, reply } from 'sluice/policy'
import { flagFile } from './flag-file.js'

export const tryIt = 'touch /tmp/maintenance; curl -i http://127.0.0.1:8080/'

const maintenance = flagFile(process.env.MAINTENANCE_FILE ?? '/tmp/maintenance')
const operators = cidrList('10.0.0.0/24')
const page = 'Back at 14:00 UTC.\n'
const answer = reply(
  [
    'HTTP/1.1 503 Service Unavailable',
    'content-type: text/plain',
    `content-length: ${page.length}`,
    'retry-after: 600',
    'connection: close',
    '',
    page,
  ].join('\r\n'),
)

function downForMaintenance({ src }: Connection) {
  if (maintenance() && !operators.has(src)) return answer
}

export default defineConfig({
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      // A handshake rule runs when the request is there: some clients are confused by an answer
      // that comes before.
      rules: { handshake: [downForMaintenance] },
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
