/**
 * HTTPS for several names on one port, routed by SNI and not terminated: the
 * certificates stay on the servers. The names are a table of the bind; rules on
 * the ClientHello do what a table cannot. In HAProxy: req.ssl_sni with an inspect
 * delay; in nginx: ssl_preread; in Envoy: the tls_inspector.
 *
 *   sluice run -c examples/sni-routing/sluice.config.ts
 *   curl -k --resolve www.example.com:8443:127.0.0.1 https://www.example.com:8443/
 */
import { defineConfig } from 'sluice'
import { below, within } from './sni.js'

export const tryIt =
  'curl -k --resolve www.example.com:8443:127.0.0.1 https://www.example.com:8443/'

export default defineConfig({
  frontends: {
    https: {
      bind: {
        address: '127.0.0.1:8443',
        sniRoutes: {
          'www.example.com': 'site',
          'example.com': 'site',
          // One label, whatever it is.
          '*.example.com': 'tenants',
        },
      },
      rules: { clientHello: [within('example.com'), below('api.example.com', 'api')] },
    },
  },
  backends: {
    site: { servers: { a: '127.0.0.1:9441' } },
    api: { balance: 'leastconn', servers: { a: '127.0.0.1:9442' } },
    tenants: { servers: { a: '127.0.0.1:9443' } },
  },
  timeouts: { client: '1m', server: '1m', connect: '3s', handshake: '5s' },
})
