/**
 * One address for several PostgreSQL servers: the database name in the startup
 * packet chooses the server. Unknown databases get PostgreSQL's own error.
 *
 *   sluice run -c examples/postgres-router/sluice.config.ts
 *   psql 'host=127.0.0.1 port=6432 dbname=orders user=app'
 */
import { defineConfig } from 'sluice'
import { postgresRouter } from 'sluice/plugins/postgres-router'

export const tryIt = "psql 'host=127.0.0.1 port=6432 dbname=orders user=app'"

const backends = new Map([
  ['orders', 'primary'],
  ['customers', 'primary'],
  ['reports', 'replicas'],
])

export default defineConfig({
  frontends: {
    postgres: {
      bind: '127.0.0.1:6432',
      // With a certificate, bind: { address, tls: { cert }, startTls: 'rule' }, and tls: 'accept'.
      use: [
        postgresRouter({
          route: (database) =>
            database.startsWith('tenant_') ? 'tenants' : backends.get(database),
        }),
      ],
    },
  },
  backends: {
    primary: { servers: { a: { address: '127.0.0.1:5432', maxconn: 100 } } },
    replicas: { balance: 'leastconn', servers: { b: '127.0.0.1:5433', c: '127.0.0.1:5434' } },
    tenants: { servers: { d: '127.0.0.1:5435' } },
  },
  // Database connections are idle for long: pools hold them open.
  timeouts: { client: '8h', server: '8h', connect: '3s', queue: '30s' },
})
