/**
 * HTTPS for several names on one port, routed by SNI and not terminated: the
 * certificates stay on the servers. In HAProxy: req.ssl_sni with an inspect
 * delay; in nginx: ssl_preread; in Envoy: the tls_inspector.
 *
 *   sluice run -c examples/sni-routing/sluice.config.ts
 *   curl -k --resolve www.example.com:8443:127.0.0.1 https://www.example.com:8443/
 */
import { defineConfig } from 'sluice'
import { sniRouting } from './sni.js'

export const tryIt =
  'curl -k --resolve www.example.com:8443:127.0.0.1 https://www.example.com:8443/'

export default defineConfig({
  frontends: {
    https: {
      bind: '127.0.0.1:8443',
      handshakes: [
        sniRouting({
          names: {
            'www.example.com': 'site',
            'example.com': 'site',
            '*.api.example.com': 'api',
            '*.example.com': 'tenants',
          },
        }),
      ],
    },
  },
  backends: {
    site: { servers: { a: '127.0.0.1:9441' } },
    api: { balance: 'leastconn', servers: { a: '127.0.0.1:9442' } },
    tenants: { servers: { a: '127.0.0.1:9443' } },
  },
  timeouts: { client: '1m', server: '1m', connect: '3s' },
})
