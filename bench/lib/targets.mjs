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
    limit: 1.1,
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
    limit: 0.85,
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
    limit: 1,
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
]

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
