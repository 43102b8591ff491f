/** Small messages on established connections. */

import { measure, operationMetrics, operationSample } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'keepalive',
  title: 'Keep-alive small messages',
  note: 'wrk -t1 -c64; request and 25-byte reply on connections that stay.',
  metrics: operationMetrics('message'),
  sample: async (context) => operationSample(await measure(context, { connections: 64 })),
}
