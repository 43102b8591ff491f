/** Stick tables: node --expose-gc bench/micro/tables.mjs (after npm run build:ts). */

import { systemClock } from '#sluice/base/clock.js'
import { StickTable } from '#sluice/tables/stick-table.js'
import { dotted, garbage, measure, random32 } from './measure.mjs'

const KEYS = 1_000_000
const NOTHING = {
  ...{ connCur: false, connCnt: false, connRate: 0, sessCnt: false, sessRate: 0 },
  ...{ bytesInCnt: false, bytesOutCnt: false, bytesInRate: 0, bytesOutRate: 0 },
  ...{ gpc0: false, gpc1: false, gpc0Rate: 0, gpt0: false, serverId: false },
}
const USUAL = { ...NOTHING, connCur: true, connRate: 10_000 }
const ALL = {
  ...{ connCur: true, connCnt: true, connRate: 10_000, sessCnt: true, sessRate: 10_000 },
  ...{ bytesInCnt: true, bytesOutCnt: true, bytesInRate: 10_000, bytesOutRate: 10_000 },
  ...{ gpc0: true, gpc1: true, gpc0Rate: 10_000, gpt0: true, serverId: true },
}

function make(key, store, size = KEYS, expire = 600_000) {
  return new StickTable({ name: key, key, size, expire, keyLength: 32, store }, systemClock)
}

/** Address of the n-th key: spread over 32 bits without repeating. */
const spread = (n) => Math.imul(n, 2654435761) >>> 0
const group = (n) => (n & 0xffff).toString(16)
const keys = {
  ip: (n) => dotted(spread(n)),
  ipv6: (n) => `2001:db8:${group(spread(n) >>> 16)}:${group(spread(n))}::1`,
  integer: spread,
  string: (n) => `host-${n}.example.com`,
}

function trackAndCount(table, asked) {
  return (operations) => {
    for (let i = 0; i < operations; i++) {
      const entry = table.track(asked[i & 0xffff])
      table.add(entry, 'connCur', 1)
      table.add(entry, 'connCnt', 1)
    }
    return table
  }
}

function fill(table, keyOf, from = 0) {
  const start = process.hrtime.bigint()
  for (let n = from; n < from + KEYS; n++) table.track(keyOf(n))
  return Number(process.hrtime.bigint() - start) / KEYS
}

const small = Array.from({ length: 1 << 16 }, (_, i) => keys.ip(i % 1000))
const few = make('ip', USUAL)
measure(
  'ip, 1000 keys: track + add connCur + add connCnt (rate)',
  1_000_000,
  trackAndCount(few, small),
)
garbage('ip, 1000 keys: the same', 1_000_000, trackAndCount(few, small))
const frozen = new StickTable({ ...few.config }, { now: () => 1, after: () => () => {} })
garbage(
  'ip, 1000 keys: the same, without reading the clock',
  1_000_000,
  trackAndCount(frozen, small),
)
const entry = few.track('10.0.0.1')
measure('ip: get connRate', 1_000_000, (operations) => {
  let sum = 0
  for (let i = 0; i < operations; i++) sum += few.get(entry, 'connRate')
  return sum
})
measure('clock alone', 1_000_000, (operations) => {
  let sum = 0
  for (let i = 0; i < operations; i++) sum += systemClock.now()
  return sum
})

const random = random32(7)
for (const [key, keyOf] of Object.entries(keys)) {
  console.log(`\n${key}, ${KEYS} keys, storing connCur and connRate`)
  globalThis.gc?.()
  const before = process.memoryUsage()
  const table = make(key, USUAL)
  const first = fill(table, keyOf)
  globalThis.gc?.()
  const after = process.memoryUsage()
  console.log(`  fill ${first.toFixed(0)} ns/key, longest stalls included`)
  const perEntry = (bytes) => (bytes / KEYS).toFixed(1)
  console.log(
    `  bytes per entry: ${perEntry(table.bytes)} counted, ${perEntry(after.arrayBuffers - before.arrayBuffers)} in array buffers, ` +
      `${perEntry(after.heapUsed - before.heapUsed)} in the heap, ${perEntry(after.rss - before.rss)} resident`,
  )
  const asked = Array.from({ length: 1 << 16 }, () => keyOf(random() % KEYS))
  measure(
    '  track + 2 adds, one of 65536 keys of a million',
    1_000_000,
    trackAndCount(table, asked),
  )
  const evicting = fill(table, keyOf, KEYS)
  console.log(`  evict and create ${evicting.toFixed(0)} ns/key (evicted ${table.evicted})`)
}

console.log('\nbytes per entry with every data type stored')
for (const [key, keyOf] of Object.entries(keys)) {
  const table = make(key, ALL, 100_000)
  for (let n = 0; n < 100_000; n++) table.track(keyOf(n))
  console.log(`  ${key.padEnd(8)} ${(table.bytes / 100_000).toFixed(1)}`)
}

let now = 0
const aging = new StickTable(
  { ...make('ip', USUAL).config },
  { now: () => now, after: () => () => {} },
)
for (let n = 0; n < KEYS; n++) aging.track(keys.ip(n))
now = 600_000
const start = performance.now()
aging.entries
console.log(
  `\nreading entries after all ${KEYS} have expired: ${(performance.now() - start).toFixed(0)} ms`,
)
