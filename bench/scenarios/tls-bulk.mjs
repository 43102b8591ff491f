/** 10 MB objects over TLS. */

import { bulkMetrics, bulkSample } from './bulk.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-bulk',
  title: 'Bulk over TLS, 10 MB objects',
  note: 'wrk -t1 -c8 over TLS; 10 MB objects on connections that stay, plain TCP from the upstream; GB is 10^9 bytes of payload.',
  tls: 'p256',
  metrics: bulkMetrics(),
  sample: (context) => bulkSample(context, true),
}
