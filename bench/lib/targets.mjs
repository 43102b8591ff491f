/** The figures to reach, from the issue that asked for them. */

/**
 * @typedef {object} Target
 * @property {string} scenario
 * @property {string} metric
 * @property {string} title
 * @property {string[]} [versus] peers; native is held against the best of them. None: the figure itself
 * @property {'at least' | 'at most'} op
 * @property {number} limit ratio of native to the peer, or the figure
 */

/** @type {Target[]} */
export const TARGETS = [
  {
    scenario: 'connections',
    metric: 'rate',
    title: 'connections/s with a rule on each',
    versus: ['haproxy'],
    op: 'at least',
    limit: 1.05,
  },
  {
    scenario: 'connections',
    metric: 'cpu',
    title: 'CPU per connection',
    versus: ['haproxy'],
    op: 'at most',
    limit: 0.9,
  },
  {
    scenario: 'keepalive',
    metric: 'rate',
    title: 'keep-alive small messages/s',
    versus: ['haproxy', 'nginx'],
    op: 'at least',
    limit: 1.05,
  },
  {
    scenario: 'bulk',
    metric: 'cpu',
    title: 'bulk, CPU per GB',
    versus: ['haproxy', 'haproxy-splice'],
    op: 'at most',
    limit: 0.9,
  },
  {
    scenario: 'connections',
    metric: 'rate',
    title: 'connections/s against the js engine',
    versus: ['js'],
    op: 'at least',
    limit: 2.5,
  },
  {
    scenario: 'bulk',
    metric: 'cpu',
    title: 'CPU per GB against the js engine',
    versus: ['js'],
    op: 'at most',
    limit: 0.35,
  },
  {
    scenario: 'idle',
    metric: 'rss',
    title: 'memory per idle connection, B',
    op: 'at most',
    limit: 1024,
  },
  {
    scenario: 'latency',
    metric: 'keepalive.p50',
    title: 'latency of one client, keep-alive p50',
    versus: ['haproxy'],
    op: 'at most',
    limit: 1,
  },
  {
    scenario: 'latency',
    metric: 'close.p50',
    title: 'latency of one client, connection each p50',
    versus: ['haproxy'],
    op: 'at most',
    limit: 1.2,
  },
  {
    scenario: 'latency',
    metric: 'close.switches',
    title: 'context switches, connection each',
    op: 'at most',
    limit: 5,
  },
  {
    scenario: 'blocked',
    metric: 'change',
    title: 'p99 while the policy is blocked / before',
    op: 'at most',
    limit: 1.1,
  },
  {
    scenario: 'boundary',
    metric: 'ring',
    title: 'ring, million events/s',
    op: 'at least',
    limit: 1,
  },
  ...handshakeTargets('tls-handshakes-p256', 'full TLS handshakes, P-256'),
  ...handshakeTargets('tls-handshakes-rsa', 'full TLS handshakes, RSA-2048'),
  ...handshakeTargets('tls-resumed', 'resumed TLS handshakes'),
  {
    scenario: 'tls-keepalive',
    metric: 'rate',
    title: 'TLS keep-alive small messages/s',
    versus: ['haproxy'],
    op: 'at least',
    limit: 1.1,
  },
  {
    scenario: 'tls-keepalive',
    metric: 'cpu',
    title: 'TLS keep-alive, CPU per message',
    versus: ['haproxy'],
    op: 'at most',
    limit: 0.91,
  },
  {
    scenario: 'tls-bulk',
    metric: 'cpu',
    title: 'TLS bulk, CPU per GB',
    versus: ['haproxy'],
    op: 'at most',
    limit: 0.9,
  },
  {
    scenario: 'tls-idle',
    metric: 'rss',
    title: 'memory per idle TLS connection',
    versus: ['haproxy'],
    op: 'at most',
    limit: 1,
  },
  {
    scenario: 'tls-hello-policy',
    metric: 'rate',
    title: 'TLS handshakes/s without a ClientHello rule / with it',
    versus: ['native-hello'],
    op: 'at most',
    limit: 1.03,
  },
  {
    scenario: 'tls-hello-policy',
    metric: 'cpu',
    title: 'CPU per TLS handshake without a ClientHello rule / with it',
    versus: ['native-hello'],
    op: 'at least',
    limit: 0.97,
  },
  {
    scenario: 'tls-flood',
    metric: 'during.p99',
    title: 'p99 of established TLS connections in a flood of handshakes',
    versus: ['haproxy'],
    op: 'at most',
    limit: 1,
  },
]

/**
 * The rate, and CPU for where the load core is full before the proxy's.
 * @param {string} scenario
 * @param {string} title
 * @returns {Target[]}
 */
function handshakeTargets(scenario, title) {
  const versus = ['haproxy']
  return [
    { scenario, metric: 'rate', title: `${title}/s`, versus, op: 'at least', limit: 1.2 },
    { scenario, metric: 'cpu', title: `${title}, CPU each`, versus, op: 'at most', limit: 0.83 },
  ]
}

/**
 * @typedef {object} Verdict
 * @property {string} title
 * @property {string} wanted
 * @property {string} measured
 * @property {boolean | undefined} reached nothing where it was not measured
 */

/**
 * @param {import('./summary.mjs').ScenarioSummary[]} summaries
 * @returns {Verdict[]} for the scenarios that ran
 */
export function judge(summaries) {
  const verdicts = []
  for (const target of TARGETS) {
    const summary = summaries.find(({ name }) => name === target.scenario)
    if (summary === undefined) continue
    const versus = target.versus ?? []
    const wanted = `${target.op} ${target.limit}${versus.length > 0 ? ` x ${versus.join(', ')}` : ''}`
    const spread = measured(summary, target)
    const reached =
      spread === undefined
        ? undefined
        : target.op === 'at least'
          ? spread.median >= target.limit
          : spread.median <= target.limit
    const text =
      spread === undefined
        ? 'not measured'
        : `${digits(spread.median)} (${digits(spread.min)} to ${digits(spread.max)})`
    verdicts.push({ title: target.title, wanted, measured: text, reached })
  }
  return verdicts
}

/**
 * @param {import('./summary.mjs').ScenarioSummary} summary
 * @param {Target} target
 * @returns {import('./stats.mjs').Spread | undefined}
 */
function measured(summary, { metric, versus, op }) {
  if (versus === undefined) {
    return summary.peers.find(({ name }) => name === 'native')?.values[metric]
  }
  const ratios = versus.map((peer) => summary.ratios[metric]?.[peer])
  // Against the better of several, every one of them has to be there.
  let worst
  for (const spread of ratios) {
    if (spread === undefined) return undefined
    if (
      worst === undefined ||
      (op === 'at least' ? spread.median < worst.median : spread.median > worst.median)
    ) {
      worst = spread
    }
  }
  return worst
}

/** @param {number} value */
function digits(value) {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2)
}
