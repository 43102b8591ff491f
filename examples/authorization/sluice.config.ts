/**
 * Asking somebody else: an asynchronous rule with a deadline of its own. When
 * the service is slow, down or broken, clients are let in (`onError: 'open'`);
 * traffic that is established never waits for it. What Envoy does by ext_authz.
 *
 *   sluice run -c examples/authorization/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { track } from 'sluice/policy'
import { authorize } from './authorize.js'

export default defineConfig({
  tables: {
    answers: { key: 'ip', size: 100_000, expire: '5m', store: { gpt0: true } },
  },
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      rules: {
        connection: [
          track('sc0', (conn) => conn.src, 'answers'),
          authorize({
            url: process.env.AUTHORIZATION_URL ?? 'http://127.0.0.1:9100/authorize',
            deadline: '250ms',
            onError: 'open',
          }),
        ],
      },
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
