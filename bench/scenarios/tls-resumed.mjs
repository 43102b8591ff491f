/** Handshakes that resume a session with a ticket. */

import { HANDSHAKE_METRICS, handshakes, LOOP } from './tls.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-resumed',
  title: 'Resumed TLS handshakes',
  note: `${LOOP} Each offers the newest ticket of its line (PSK with ECDHE); tickets are used once. node:tls (the js engine too) sends no ticket with a resumed handshake, so that every third has to be a full one there; the column "resumed" tells.`,
  tls: 'p256',
  metrics: [
    ...HANDSHAKE_METRICS,
    { key: 'resumed', title: 'resumed', unit: '%', better: 'higher', digits: 0, compare: false },
  ],
  sample: (context) => handshakes(context, { resume: true }),
}
