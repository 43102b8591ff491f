/**
 * Rate limiting by source address, in HAProxy's manner: a stick table counts
 * what each address does, and rules judge it before a session exists. Whoever
 * goes on after being refused is refused for longer.
 *
 *   sluice run -c examples/rate-limit/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { type Connection, cidrList, defineTable, reject } from 'sluice/policy'

/** New connections in 10 s, open connections, and refusals in a minute that make an abuser. */
export const limits = { rate: 20, open: 10, refusals: 30 }

/** What is known of each address. */
const sources = defineTable({
  key: 'ip',
  size: 100_000,
  expire: '10m',
  store: { connCur: true, connRate: '10s', gpc0: true, gpc0Rate: '1m' },
})

const trusted = cidrList('10.0.0.0/8', '192.168.0.0/16')

/** An abuser stays out until it has been quiet for a while: every attempt counts again. */
function abuser(conn: Connection) {
  const seen = sources.track(conn)
  if (seen.gpc0Rate < limits.refusals) return
  seen.gpc0++
  return reject({ reset: true })
}

function tooMany(conn: Connection) {
  if (trusted.has(conn.src)) return
  const seen = sources.track(conn)
  if (seen.connRate <= limits.rate && seen.connCur <= limits.open) return
  seen.gpc0++
  return reject({ reset: true })
}

export const tryIt = 'for i in $(seq 30); do curl -s -o /dev/null http://127.0.0.1:8080/; done'

export default defineConfig({
  tables: { sources },
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      rules: {
        connection: [abuser, tooMany],
      },
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
