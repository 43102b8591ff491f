/**
 * A trap for scanners: a port that nobody has a reason to connect to. Who does
 * is marked, held there in silence, and held on the real port as well. A held
 * connection costs a descriptor and a timer, and the scanner its time; `maxconn`
 * keeps the trap from eating the proxy's own connections.
 *
 *   sluice run -c examples/tarpit/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { type Connection, tarpit, track } from 'sluice/policy'

const SCANNER = 1
const HOLD = '30s'
const trackSource = track('sc0', (conn) => conn.src, 'scanners')

function trap(conn: Connection) {
  if (conn.sc0.gpt0 !== SCANNER) conn.log.warn('a scanner')
  conn.sc0.gpt0 = SCANNER
  return tarpit(HOLD)
}

function scanner({ sc0 }: Connection) {
  if (sc0.gpt0 === SCANNER) return tarpit(HOLD)
}

export default defineConfig({
  tables: {
    scanners: { key: 'ip', size: 50_000, expire: '1h', store: { gpt0: true } },
  },
  frontends: {
    trap: {
      bind: '127.0.0.1:2323',
      maxconn: 500,
      rules: { connection: [trackSource, trap] },
      // The mark is logged; the connections are not worth a line each.
      log: { sample: 0 },
    },
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      rules: { connection: [trackSource, scanner] },
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
