/** What a rule on every ClientHello costs. */

import { startTlsLoad } from '../lib/tls-load.mjs'
import { HANDSHAKE_METRICS, handshakes, LOOP } from './tls.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-hello-policy',
  title: 'Policy on each ClientHello',
  note: `${LOOP} Full handshakes, P-256. The -hello peers have a rule in JavaScript that reads server name, ALPN and JA4 of each ClientHello; the same proxies without it stand beside them.`,
  tls: 'p256',
  peers: ['native', 'native-hello', 'js', 'js-hello'],
  metrics: HANDSHAKE_METRICS,
  async sample(context) {
    const sample = await handshakes(context)
    if (!(await ruleWorks(context))) sample.errors.push('the rule rejected nothing')
    return sample
  },
}

/**
 * Asks for the name that the rule rejects: a rule that does not run costs nothing.
 * @param {import('./scenario.mjs').SampleContext} context
 */
async function ruleWorks({ peer, options }) {
  if (peer.rejects === undefined) return true
  const args = ['--connections', '1', '--seconds', '1', '--count', '1', '--name', peer.rejects]
  const client = startTlsLoad({ core: options.loadCore, port: peer.port }, args)
  const { handshakes, errors } = JSON.parse(await client.output(10_000))
  return handshakes === 0 && errors > 0
}
