import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FailureLog, shortError } from '#sluice/log/failures.js'
import { harness, type LogLine, memoryLogger, web } from '../support/harness.js'

function setUp(level = 'info') {
  const { logger, lines } = memoryLogger(level)
  let now = 0
  const failures = new FailureLog(() => now)
  const fail = (message: string, error: unknown = new Error('no')) =>
    failures.report(logger, () => logger, 'error', { err: error, rule: 'r' }, message)
  const pass = (ms: number) => {
    now += ms
  }
  return { lines, fail, pass }
}

test('five lines in ten seconds, then the number of the others', () => {
  const { lines, fail, pass } = setUp()
  for (let i = 0; i < 1000; i++) fail('a failed')
  fail('b failed')
  assert.equal(lines.length, 6)
  pass(9_999)
  fail('a failed')
  assert.equal(lines.length, 6)
  pass(1)
  for (let i = 0; i < 7; i++) fail('a failed')
  assert.deepEqual(
    lines.slice(6).map(({ suppressed }) => suppressed),
    [996, undefined, undefined, undefined, undefined],
  )
  pass(10_000)
  fail('a failed')
  assert.equal(lines.at(-1)?.suppressed, 2)
})

test("at level 'debug' nothing is held back or shortened", () => {
  const { lines, fail } = setUp('debug')
  for (let i = 0; i < 20; i++) fail('a failed')
  assert.equal(lines.length, 20)
  assert.match(JSON.stringify(lines[0]?.err), /node:/)
})

test('memory does not grow with names', () => {
  const { lines, fail } = setUp()
  for (let i = 0; i < 5_000; i++) fail(`message ${i}`)
  assert.equal(lines.length, 5_000)
})

test('stacks: the frames of the policy, without ours and those of Node', () => {
  const error = new TypeError('bad\n    at forged (/x.js:1:1)')
  const ours = new URL('../../../dist/flow/rules/runner.js', import.meta.url).pathname
  error.stack = [
    `TypeError: ${error.message}`,
    '    at rule (/home/me/sluice.config.ts:3:4)',
    `    at runRules (file://${ours}:10:20)`,
    '    at node:internal/timers:1:2',
    '    at helper (/home/me/helper.ts:5:6)',
  ].join('\n')
  const { lines, fail } = setUp()
  fail('x', error)
  assert.deepEqual(lines[0]?.err, {
    type: 'TypeError',
    message: error.message,
    stack: [
      `TypeError: ${error.message}`,
      '    at rule (/home/me/sluice.config.ts:3:4)',
      '    at helper (/home/me/helper.ts:5:6)',
    ].join('\n'),
  })
})

test('whatever is thrown is logged, and not more than some of it', () => {
  const long = 'x'.repeat(100_000)
  const { lines, fail } = setUp()
  const noStack = new Error('no stack')
  noStack.stack = undefined as unknown as string
  const trap = {
    get message(): string {
      throw new Error('asked')
    },
  }
  const values = [
    ...[new Error(long), long, undefined, null, 7, Symbol('s'), () => 1, { a: 1 }, trap],
    ...[noStack, new Error('')],
  ]
  for (const [i, value] of values.entries()) fail(`m${i}`, value)
  assert.equal(lines.length, values.length)
  // Also what JSON cannot hold.
  for (const line of lines) assert.notEqual(line.err, undefined)
  for (const line of lines) assert.ok(JSON.stringify(line).length < 5_000)
  const caused = shortError(new Error('a', { cause: new Error('b') })) as { cause: unknown }
  assert.equal(caused.cause, 'b')
})

/** Five lines each, and every connection is in the log all the same. */
async function floods(config: Parameters<typeof harness>[0], what: RegExp): Promise<void> {
  const { engine, proxy, lines, sessions } = await harness(config)
  for (let i = 0; i < 100; i++) engine.accept({})
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  const failed = lines.filter(({ msg }: LogLine) => what.test(msg))
  assert.equal(failed.length, 5, JSON.stringify(lines.slice(0, 3)))
  assert.equal(proxy.stats().frontends.web?.connections, 100)
  assert.ok(sessions().every(({ code }) => code === 'policy-error'))
  await proxy.stop({ deadline: '0s' })
  assert.equal(sessions().length, 100)
  const last = lines.filter(({ msg }) => what.test(msg)).at(-1)
  assert.equal(last?.suppressed, 95)
}

test('a rule that throws for every connection', async () => {
  const boom = function boom() {
    throw new Error('no')
  }
  await floods({ frontends: web({ rules: { connection: [boom] } }) }, /^rule boom failed$/)
})

test('a rule that rejects for every connection', async () => {
  const boom = async function boom(): Promise<never> {
    throw new Error('no')
  }
  await floods({ frontends: web({ rules: { connection: [boom] } }) }, /^rule boom failed$/)
})
