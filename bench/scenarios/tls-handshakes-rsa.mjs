/** Full handshakes with an RSA-2048 certificate. */

import { HANDSHAKE_METRICS, handshakes, LOOP } from './tls.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-handshakes-rsa',
  title: 'Full TLS handshakes, RSA-2048',
  note: `${LOOP} No ticket is offered; the certificate is RSA-2048.`,
  tls: 'rsa',
  metrics: HANDSHAKE_METRICS,
  sample: (context) => handshakes(context),
}
