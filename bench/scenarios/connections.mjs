/** Connect, request, reply, close: what a connection costs with a rule on each. */

import { measure, operationMetrics, operationSample } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'connections',
  title: 'Connections',
  note: 'wrk -t1 -c64 with Connection: close; a rule on every connection; connect, request, 25-byte reply, close.',
  metrics: operationMetrics('connection'),
  sample: async (context) =>
    operationSample(await measure(context, { connections: 64, close: true })),
}
