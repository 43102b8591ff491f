/**
 * Rate limiting by source address: a stick table counts what each one does, and
 * rules judge it before a session exists. Whoever goes on after being refused is
 * refused for longer.
 *
 *   sluice run -c examples/rate-limit/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { rateLimit } from 'sluice/plugins/rate-limit'

/** New connections in 10 s, open connections, and refusals in a minute that make an abuser. */
export const limits = { limit: 20, open: 10, ban: 30 }

export const tryIt = 'for i in $(seq 30); do curl -s -o /dev/null http://127.0.0.1:8080/; done'

export default defineConfig({
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      use: [rateLimit({ ...limits, except: ['10.0.0.0/8', '192.168.0.0/16'] })],
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
