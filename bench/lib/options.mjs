/** Command line of `npm run bench`. */

import { parseArgs } from 'node:util'

export const SCENARIOS = [
  'connections',
  'keepalive',
  'bulk',
  'idle',
  'latency',
  'blocked',
  'boundary',
  'tls-handshakes-p256',
  'tls-handshakes-rsa',
  'tls-resumed',
  'tls-keepalive',
  'tls-bulk',
  'tls-idle',
  'tls-hello-policy',
  'tls-flood',
]
export const PEERS = [
  'native',
  'native-hello',
  'baseline',
  'js',
  'js-hello',
  'node-pipe',
  'node-tls',
  'haproxy',
  'haproxy-splice',
  'nginx',
  'direct',
]
const DEFAULT_PEERS = PEERS.filter((name) => name !== 'direct' && name !== 'baseline')

export const HELP = `npm run bench -- [options]

  --scenario a,b      of ${SCENARIOS.join(', ')} (default: all; 'tls' is all of TLS)
  --peers a,b         of ${PEERS.join(', ')} (default: all but direct)
  --rounds N          interleaved rounds, each peer once a round (default 5)
  --seconds S         length of one sample, whole seconds (default 3)
  --quick             1 round of 1 s, 500 idle connections, a block of 2 s: does it run at all
  --connections N     of the idle scenarios (default 5000)
  --block S           seconds for which the policy blocks in the blocked scenario (default 10)
  --spin              the policy computes meanwhile, on the proxy's core, instead of waiting
  --haproxy PATH      another HAProxy (or SLUICE_BENCH_HAPROXY)
  --baseline DIR      another checkout of Sluice, built: the peer 'baseline' beside this one
  --nginx PATH        another nginx for the peer and the upstream (or SLUICE_BENCH_NGINX)
  --proxy-core N      core of the proxy (default 0)
  --load-core N       core of the load generator and the upstream (default 1)
  --host-network      run in the machine's own network namespace
  --output DIR        where results go (default bench/results)
  --no-write          print only
`

/**
 * @typedef {object} Options
 * @property {string[]} scenarios
 * @property {string[]} peers
 * @property {number} rounds
 * @property {number} seconds
 * @property {boolean} quick
 * @property {number} connections
 * @property {number} block seconds
 * @property {boolean} spin
 * @property {string} haproxy
 * @property {string} nginx
 * @property {string | undefined} baseline
 * @property {number} proxyCore
 * @property {number} loadCore
 * @property {boolean} hostNetwork
 * @property {string} output
 * @property {boolean} write
 */

/**
 * @param {string[]} argv
 * @returns {Options | 'help'}
 * @throws {Error} whose message names the wrong option
 */
export function readOptions(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      scenario: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      connections: { type: 'string' },
      block: { type: 'string' },
      spin: { type: 'boolean', default: false },
      haproxy: { type: 'string' },
      nginx: { type: 'string' },
      baseline: { type: 'string' },
      'proxy-core': { type: 'string' },
      'load-core': { type: 'string' },
      'host-network': { type: 'boolean', default: false },
      output: { type: 'string' },
      'no-write': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return 'help'
  const quick = values.quick ?? false
  return {
    scenarios: list('--scenario', expand(values.scenario), SCENARIOS, SCENARIOS),
    peers: list(
      '--peers',
      values.peers,
      PEERS,
      values.baseline === undefined ? DEFAULT_PEERS : [...DEFAULT_PEERS, 'baseline'],
    ),
    rounds: whole('--rounds', values.rounds, quick ? 1 : 5, 1, 100),
    seconds: whole('--seconds', values.seconds, quick ? 1 : 3, 1, 60),
    quick,
    connections: whole('--connections', values.connections, quick ? 500 : 5000, 10, 50_000),
    block: whole('--block', values.block, quick ? 2 : 10, 1, 60),
    spin: values.spin ?? false,
    haproxy: values.haproxy ?? process.env.SLUICE_BENCH_HAPROXY ?? 'haproxy',
    baseline: values.baseline,
    nginx: values.nginx ?? process.env.SLUICE_BENCH_NGINX ?? 'nginx',
    proxyCore: whole('--proxy-core', values['proxy-core'], 0, 0, 1023),
    loadCore: whole('--load-core', values['load-core'], 1, 0, 1023),
    hostNetwork: values['host-network'] ?? false,
    output: values.output ?? new URL('../results', import.meta.url).pathname,
    write: !values['no-write'],
  }
}

/** @param {string} scenario */
export const needsTls = (scenario) => scenario.startsWith('tls-')

/**
 * @param {string | undefined} text
 * @returns {string | undefined} with 'tls' replaced by the scenarios it stands for
 */
function expand(text) {
  const all = SCENARIOS.filter(needsTls).join(',')
  return text?.replace(/(^|,)tls(?=,|$)/, `$1${all}`)
}

/**
 * @param {string} option
 * @param {string | undefined} text
 * @param {string[]} known
 * @param {string[]} fallback
 */
function list(option, text, known, fallback) {
  if (text === undefined) return fallback
  const names = text.split(',').filter((name) => name !== '')
  for (const name of names) {
    if (!known.includes(name))
      throw new Error(`${option}: '${name}' is none of ${known.join(', ')}`)
  }
  if (names.length === 0) throw new Error(`${option}: names none of ${known.join(', ')}`)
  return [...new Set(names)]
}

/**
 * @param {string} option
 * @param {string | undefined} text
 * @param {number} fallback
 * @param {number} min
 * @param {number} max
 */
function whole(option, text, fallback, min, max) {
  if (text === undefined) return fallback
  const value = Number(text)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${option}: '${text}' is not a whole number from ${min} to ${max}`)
  }
  return value
}
