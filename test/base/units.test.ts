import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SluiceError } from '#sluice/base/errors.js'
import {
  formatDuration,
  formatSize,
  MAX_DURATION,
  parseDuration,
  parseSize,
} from '#sluice/base/units.js'

const message = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'ERR_SLUICE_ARGUMENT')
    return error.message
  }
  return assert.fail('expected an error')
}

test('durations in every unit', () => {
  assert.equal(parseDuration('250ms'), 250)
  assert.equal(parseDuration('30s'), 30_000)
  assert.equal(parseDuration('5m'), 300_000)
  assert.equal(parseDuration('1h'), 3_600_000)
  assert.equal(parseDuration('1d'), 86_400_000)
  assert.equal(parseDuration('0s'), 0)
  assert.equal(parseDuration('1.5s'), 1500)
  assert.equal(parseDuration('0.1s'), 100)
  assert.equal(parseDuration('2147483647ms'), MAX_DURATION)
})

test('sizes in every unit', () => {
  assert.equal(parseSize('512B'), 512)
  assert.equal(parseSize('64kB'), 65_536)
  assert.equal(parseSize('1.5MB'), 1_572_864)
  assert.equal(parseSize('2GB'), 2_147_483_648)
})

test('every wrong duration says what was expected', () => {
  const expected = "expected a duration such as '250ms', '30s', '5m', '1h' or '1d', got"
  const cases: [unknown, string][] = [
    ['30', `${expected} '30' without a unit.`],
    [30, `${expected} 30 without a unit.`],
    ['', `${expected} ''.`],
    ['s', `${expected} 's'.`],
    ['-1s', `${expected} '-1s'.`],
    ['1e3s', `${expected} '1e3s'.`],
    ['1h30m', `${expected} '1h30m'.`],
    ['5 parsecs', `${expected} '5 parsecs'.`],
    ['1toString', `${expected} '1toString'.`],
    ['30sec', `${expected} '30sec'. Did you mean '30s'?`],
    ['30 s', `${expected} '30 s'. Did you mean '30s'?`],
    ['30S', `${expected} '30S'. Did you mean '30s'?`],
    ['2 minutes', `${expected} '2 minutes'. Did you mean '2m'?`],
    [null, `${expected} null.`],
    [undefined, `${expected} undefined.`],
    [{}, `${expected} an object.`],
    ['0.5ms', "expected a whole number of milliseconds, got '0.5ms'."],
    ['25d', "expected at most '2147483647ms' (about 24.8 days), got '25d'."],
  ]
  for (const [input, text] of cases) {
    assert.equal(
      message(() => parseDuration(input as string)),
      text,
    )
  }
})

test('every wrong size says what was expected', () => {
  const expected = "expected a size such as '512B', '64kB' or '1MB', got"
  const cases: [unknown, string][] = [
    ['64', `${expected} '64' without a unit.`],
    [64, `${expected} 64 without a unit.`],
    ['64KB', `${expected} '64KB'. Did you mean '64kB'?`],
    ['64k', `${expected} '64k'. Did you mean '64kB'?`],
    ['1MiB', `${expected} '1MiB'. Did you mean '1MB'?`],
    ['0.3B', "expected a whole number of bytes, got '0.3B'."],
    ['9007199254740992B', "expected at most 9007199254740991 bytes, got '9007199254740992B'."],
  ]
  for (const [input, text] of cases) {
    assert.equal(
      message(() => parseSize(input as string)),
      text,
    )
  }
})

test('a formatted duration reads as the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_DURATION }), (ms) => {
      assert.equal(parseDuration(formatDuration(ms)), ms)
    }),
  )
})

test('a formatted size reads as the same', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (bytes) => {
      assert.equal(parseSize(formatSize(bytes)), bytes)
    }),
  )
})

test('formatting takes the largest unit that divides', () => {
  assert.equal(formatDuration(90_000), '90s')
  assert.equal(formatDuration(120_000), '2m')
  assert.equal(formatDuration(0), '0ms')
  assert.equal(formatSize(65_536), '64kB')
  assert.equal(formatSize(65_537), '65537B')
  assert.throws(() => formatSize(-1), /expected a whole number from 0 on, got -1/)
})

test('decimal fractions are exact, whatever binary floating point makes of them', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999 }), (ms) => {
      const text = `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}s`
      assert.equal(parseDuration(text), ms)
    }),
  )
})

test('no text makes the parser do anything but answer or throw its own error', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 20 }), (text) => {
      try {
        const ms = parseDuration(text)
        assert.ok(Number.isInteger(ms) && ms >= 0 && ms <= MAX_DURATION)
      } catch (error) {
        assert.ok(error instanceof SluiceError && error.code === 'ERR_SLUICE_ARGUMENT')
      }
    }),
  )
})
