/**
 * A trap for scanners: a port that nobody has a reason to connect to. Who does
 * is marked, held there in silence, and held on the real port as well. A held
 * connection costs a descriptor and a timer, and the scanner its time; `maxconn`
 * keeps the trap from eating the proxy's own connections.
 *
 *   sluice run -c examples/tarpit/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { type Connection, defineTable, tarpit } from 'sluice/policy'

const SCANNER = 1
const HOLD = '30s'
const sources = defineTable({ key: 'ip', size: 50_000, expire: '1h', store: { gpt0: true } })

function trap(conn: Connection) {
  const seen = sources.track(conn)
  if (seen.gpt0 !== SCANNER) conn.log.warn('a scanner')
  seen.gpt0 = SCANNER
  return tarpit(HOLD)
}

function scanner(conn: Connection) {
  if (sources.track(conn).gpt0 === SCANNER) return tarpit(HOLD)
}

export default defineConfig({
  tables: { sources },
  frontends: {
    trap: {
      bind: '127.0.0.1:2323',
      maxconn: 500,
      rules: { connection: [trap] },
      // The mark is logged; the connections are not worth a line each.
      log: { sample: 0 },
    },
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      rules: { connection: [scanner] },
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
