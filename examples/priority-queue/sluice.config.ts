/**
 * A server that bears a few connections at once, and a queue that is fair to
 * those who matter: under load, paying customers are served first, batch jobs
 * last; within a class, first come is first served.
 *
 *   sluice run -c examples/priority-queue/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { type Connection, cidrList, priority } from 'sluice/policy'

const customers = cidrList('127.0.0.2', '198.51.100.0/24')
const batch = cidrList('127.0.0.3', '10.9.0.0/16')

/** Lower goes first; 0 is everybody else. */
function serviceClass({ src }: Connection) {
  if (customers.has(src)) return priority(-10)
  if (batch.has(src)) return priority(10)
}

export default defineConfig({
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      rules: { session: [serviceClass] },
    },
  },
  backends: {
    app: {
      servers: { a: { address: '127.0.0.1:9001', maxconn: 2 } },
      maxqueue: 500,
      timeouts: { queue: '20s' },
    },
  },
})
