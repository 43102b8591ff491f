import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MetricRegistry } from '#sluice/policy/metrics.js'

function registry() {
  const full: string[] = []
  return { metrics: new MetricRegistry('rate-limit', (name) => full.push(name)), full }
}

test('counters and gauges count by labels, whatever their order', () => {
  const { metrics } = registry()
  const counter = metrics.counter('seen_total', 'Seen.')
  counter.inc()
  counter.inc(2)
  counter.inc({ a: 'x', b: 1 })
  counter.inc({ b: 1, a: 'x' }, 5)
  const gauge = metrics.gauge('load', 'Load.')
  gauge.set({ a: 'x' }, 4)
  gauge.dec({ a: 'x' })
  gauge.inc({ a: 'x' }, 0.5)
  gauge.dec(2)
  const { seen_total, load } = metrics.stats()
  assert.deepEqual(seen_total?.values, [
    { labels: {}, value: 3 },
    { labels: { a: 'x', b: '1' }, value: 6 },
  ])
  assert.deepEqual(load?.values, [
    { labels: { a: 'x' }, value: 3.5 },
    { labels: {}, value: -2 },
  ])
  assert.equal(seen_total?.name, 'rate_limit_seen_total')
})

test('a metric that is asked for again is the same one', () => {
  const { metrics } = registry()
  metrics.counter('seen', 'Seen.').inc()
  metrics.counter('seen', 'Seen.').inc()
  assert.equal(metrics.stats().seen?.values[0]?.value, 2)
  assert.throws(() => metrics.gauge('seen', ''), /the metric 'seen' is a counter already/)
  assert.throws(() => metrics.counter('Seen', ''), /lower-case letters, digits and '_', got 'Seen'/)
})

test('what cannot be counted is refused', () => {
  const { metrics } = registry()
  const counter = metrics.counter('seen', 'Seen.')
  assert.throws(() => counter.inc(-1), /rate_limit_seen: a counter goes up only, got -1/)
  assert.throws(() => counter.inc(Number.NaN), /expected a finite number, got NaN/)
  assert.throws(
    () => metrics.gauge('load', '').set({ a: 1 }, 'x' as never),
    /a finite number, got 'x'/,
  )
  assert.throws(() => counter.inc({ 'a-b': 1 }), /a label has letters, digits and '_', got 'a-b'/)
  assert.deepEqual(metrics.stats().seen?.values, [])
})

test('labels without bound are counted together', () => {
  const { metrics, full } = registry()
  const counter = metrics.counter('seen', 'Seen.')
  for (let i = 0; i < 1_500; i++) counter.inc({ src: i })
  counter.inc({ src: 7 })
  const values = metrics.stats().seen?.values ?? []
  assert.equal(values.length, 1_001)
  assert.deepEqual(values[7], { labels: { src: '7' }, value: 2 })
  assert.deepEqual(values[1_000], { labels: { src: 'other' }, value: 500 })
  assert.deepEqual(full, ['rate_limit_seen'])
})
