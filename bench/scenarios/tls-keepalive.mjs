/** Small messages on established TLS connections, TLS to clear. */

import { measure, operationMetrics, operationSample } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-keepalive',
  title: 'Keep-alive small messages over TLS',
  note: 'wrk -t1 -c64 over TLS; request and 25-byte reply on connections that stay, plain TCP to the upstream.',
  tls: 'p256',
  metrics: operationMetrics('message'),
  sample: async (context) =>
    operationSample(await measure(context, { connections: 64, tls: true })),
}
