/** Full handshakes with an ECDSA P-256 certificate. */

import { HANDSHAKE_METRICS, handshakes, LOOP } from './tls.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-handshakes-p256',
  title: 'Full TLS handshakes, P-256',
  note: `${LOOP} No ticket is offered; the certificate is ECDSA P-256.`,
  tls: 'p256',
  metrics: HANDSHAKE_METRICS,
  sample: (context) => handshakes(context),
}
