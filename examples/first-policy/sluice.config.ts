/**
 * The policy of the README: sources that are too fast are rejected, and testers,
 * as a service knows them, get the next version.
 *
 *   sluice run -c examples/first-policy/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { type Connection, defineTable, reject, useBackend } from 'sluice/policy'

const sources = defineTable({ key: 'ip', size: 100_000, expire: '1m', store: { connRate: '10s' } })

function tooFast(conn: Connection) {
  if (sources.track(conn).connRate > 100) return reject()
}
async function tester(conn: Connection) {
  const answer = await fetch(`http://127.0.0.1:4000/testers/${conn.src}`, { signal: conn.signal })
  if (answer.ok) return useBackend('next')
}

export default defineConfig({
  tables: { sources },
  frontends: { web: { bind: ':8080', backend: 'app', rules: { connection: [tooFast, tester] } } },
  backends: { app: { servers: { a: '10.0.0.1:80' } }, next: { servers: { b: '10.0.0.2:80' } } },
})
