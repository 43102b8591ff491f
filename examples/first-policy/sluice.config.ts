/**
 * The policy of the README: sources that are too fast are rejected, and testers,
 * as a service knows them, get the next version.
 *
 *   sluice run -c examples/first-policy/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { type Connection, reject, track, useBackend } from 'sluice/policy'

function tooFast(conn: Connection) {
  if (conn.sc0.connRate > 100) return reject()
}
async function tester(conn: Connection) {
  const answer = await fetch(`http://127.0.0.1:4000/testers/${conn.src}`, { signal: conn.signal })
  if (answer.ok) return useBackend('next')
}
const rules = [track('sc0', (conn) => conn.src, 'sources'), tooFast, tester]

export default defineConfig({
  tables: { sources: { key: 'ip', size: 100_000, expire: '1m', store: { connRate: '10s' } } },
  frontends: { web: { bind: '127.0.0.1:8080', backend: 'app', rules: { connection: rules } } },
  backends: { app: { servers: { a: '10.0.0.1:80' } }, next: { servers: { b: '10.0.0.2:80' } } },
})
