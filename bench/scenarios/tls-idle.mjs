/** Memory of TLS connections on which nothing happens. */

import { loadErrors, startTlsLoad, tlsLoad } from '../lib/tls-load.mjs'
import { IDLE_METRICS, IDLE_NOTE, idleSample } from './idle.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-idle',
  title: 'Idle TLS connections',
  note: IDLE_NOTE,
  tls: 'p256',
  fresh: true,
  warm: false,
  metrics: IDLE_METRICS,
  async sample({ peer, options }) {
    const to = { core: options.loadCore, port: peer.port }
    const churn = await tlsLoad({ ...to, connections: 64, seconds: 1 })
    return idleSample({ peer, options }, loadErrors(churn), (numbers) =>
      startTlsLoad(to, ['--hold', numbers.join(',')]),
    )
  },
}
