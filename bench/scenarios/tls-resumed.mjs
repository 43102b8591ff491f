/** Handshakes that resume a session with a ticket. */

import { HANDSHAKE_METRICS, handshakes, LOOP } from './tls.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-resumed',
  title: 'Resumed TLS handshakes',
  note: `${LOOP} Each offers the newest ticket of its line (PSK with ECDHE); a sample in which fewer than 95 % were resumed has failed.`,
  tls: 'p256',
  metrics: HANDSHAKE_METRICS,
  sample: (context) => handshakes(context, { resume: true }),
}
