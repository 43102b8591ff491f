/**
 * Asking somebody else: a service says over HTTP which sources may come in, and
 * its answers are remembered. When it is slow, down or broken, clients are let in
 * (`onError: 'open'`); traffic that is established never waits for it. What Envoy
 * does by ext_authz.
 *
 *   sluice run -c examples/authorization/sluice.config.ts
 */
import { defineConfig } from 'sluice'
import { authorization } from 'sluice/plugins/authorization'

const url = process.env.AUTHORIZATION_URL ?? 'http://127.0.0.1:9100/authorize'

export default defineConfig({
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      use: [authorization({ url, deadline: '250ms', onError: 'open' })],
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
})
