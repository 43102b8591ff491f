/**
 * PROXY protocol in and out: a load balancer in front tells the client's
 * address (`conn.src`), and the servers behind are told it in turn, with the
 * connection's id and a checksum.
 *
 *   sluice run -c examples/proxy-protocol/sluice.config.ts
 *   curl --haproxy-protocol http://127.0.0.1:8080/
 */
import { defineConfig } from 'sluice'
import { type Connection, expectProxy } from 'sluice/policy'

export const tryIt = 'curl --haproxy-protocol http://127.0.0.1:8080/'

/** On a port for everybody, a rule decides who sends a header. */
function fromBalancer({ src }: Connection) {
  if (src === '127.0.0.2') return expectProxy()
}

export default defineConfig({
  frontends: {
    // Behind a balancer: everybody else is refused, because a header is believed.
    balanced: {
      bind: { address: '127.0.0.1:8080', acceptProxy: { from: ['127.0.0.1', '10.0.0.0/8'] } },
      backend: 'app',
    },
    // Clients come directly as well.
    mixed: {
      bind: '127.0.0.1:8081',
      backend: 'app',
      rules: { connection: [fromBalancer] },
    },
  },
  backends: {
    app: {
      servers: {
        a: {
          address: '127.0.0.1:9001',
          sendProxy: { version: 2, uniqueId: true, crc32c: true },
        },
      },
    },
  },
})
