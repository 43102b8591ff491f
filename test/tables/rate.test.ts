import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { feedRate, RATE_CELLS, readRate, SLICES, setRate } from '#sluice/tables/rate.js'

const steps = fc.record({
  window: fc.constantFrom(4, 10, 1000, 60_000),
  start: fc.nat(1_000_000),
  steps: fc.array(
    // Gaps from nothing to more than a window, in sixteenths of it.
    fc.record({ gap: fc.nat(24), jitter: fc.nat(100), delta: fc.integer({ min: 1, max: 1000 }) }),
    { minLength: 1, maxLength: 60 },
  ),
})

for (const Cells of [Uint32Array, Float64Array]) {
  test(`the error of a rate is within the stated bound (${Cells.name})`, () => {
    fc.assert(
      fc.property(steps, ({ window, start, steps }) => {
        const cells = new Cells(RATE_CELLS + 3)
        const slice = window / SLICES
        const events: { at: number; delta: number }[] = []
        let now = start
        for (const { gap, jitter, delta } of steps) {
          now += (gap * window) / 16 + (jitter * window) / 1600
          const edge = Math.floor(now / slice) - SLICES
          const passed = now / slice - Math.floor(now / slice)
          const sum = (of: (at: number) => boolean) =>
            events.reduce((total, event) => total + (of(event.at) ? event.delta : 0), 0)
          const exact = sum((at) => at > now - window)
          const atEdge = sum((at) => Math.floor(at / slice) === edge)
          const bound = atEdge * Math.max(passed, 1 - passed) + 0.5
          const read = readRate(cells, 2, slice, now)
          assert.ok(
            Math.abs(read - exact) <= bound + 1e-6,
            `${read}, exactly ${exact}, bound ${bound}`,
          )
          if (atEdge === 0) assert.equal(read, exact)
          feedRate(cells, 2, slice, now, delta)
          events.push({ at: now, delta })
        }
        assert.deepEqual([cells[0], cells[1], cells[RATE_CELLS + 2]], [0, 0, 0])
      }),
      { numRuns: 1000 },
    )
  })
}

test('a burst is counted in full for a window, and gone a slice later', () => {
  const cells = new Uint32Array(RATE_CELLS)
  for (let i = 0; i < 100; i++) feedRate(cells, 0, 250, 5000, 1)
  assert.equal(readRate(cells, 0, 250, 5000), 100)
  assert.equal(readRate(cells, 0, 250, 6000), 100)
  assert.equal(readRate(cells, 0, 250, 6125), 50)
  assert.equal(readRate(cells, 0, 250, 6250), 0)
})

test('an even load is read as it is, at every time', () => {
  const cells = new Float64Array(RATE_CELLS)
  for (let now = 0; now < 5000; now += 1) {
    feedRate(cells, 0, 250, now, 3)
    if (now > 1250) assert.ok(Math.abs(readRate(cells, 0, 250, now) - 3000) <= 3)
  }
})

test('counts stop at 32 bits, bytes do not', () => {
  const counts = new Uint32Array(RATE_CELLS)
  const bytes = new Float64Array(RATE_CELLS)
  for (const cells of [counts, bytes]) {
    feedRate(cells, 0, 250, 0, 0xffff_fff0)
    feedRate(cells, 0, 250, 0, 0xffff_fff0)
  }
  assert.equal(readRate(counts, 0, 250, 0), 0xffff_ffff)
  assert.equal(readRate(bytes, 0, 250, 0), 0x1_ffff_ffe0)
})

test('a rate that is set reads what it was set to', () => {
  const cells = new Uint32Array(RATE_CELLS)
  feedRate(cells, 0, 250, 0, 7)
  setRate(cells, 0, 250, 600, 40)
  assert.equal(readRate(cells, 0, 250, 600), 40)
  setRate(cells, 0, 250, 600, 0)
  assert.equal(readRate(cells, 0, 250, 600), 0)
})
