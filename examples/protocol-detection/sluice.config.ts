/**
 * SSH, HTTPS and HTTP on one port: the first bytes choose the backend. Nothing
 * is consumed, so the servers see what the client sent. What sslh does, with
 * the rest of your policy beside it.
 *
 *   sluice run -c examples/protocol-detection/sluice.config.ts
 *   ssh -p 8443 127.0.0.1        curl http://127.0.0.1:8443/        curl -k https://127.0.0.1:8443/
 */
import { defineConfig } from 'sluice'
import { protocolDetection } from 'sluice/plugins/protocol-detection'

export const tryIt = 'ssh -p 8443 127.0.0.1'

export default defineConfig({
  frontends: {
    any: {
      bind: '127.0.0.1:8443',
      // Clients that say nothing: an SSH client that waits for the server's line.
      backend: 'ssh',
      use: [protocolDetection({ backends: { ssh: 'ssh', tls: 'https', http: 'http' } })],
    },
  },
  backends: {
    ssh: { servers: { local: '127.0.0.1:22' }, timeouts: { server: '1h', tunnel: '1h' } },
    https: { servers: { a: '127.0.0.1:9443' } },
    http: { servers: { a: '127.0.0.1:9080' } },
  },
  timeouts: { client: '5m', server: '1m', connect: '3s' },
})
