/** Rules run on any scope: here on one that is no connection. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRules } from '#sluice/flow/rules/compile.js'
import { RuleRunner } from '#sluice/flow/rules/runner.js'
import { Outcome, type Scope } from '#sluice/flow/rules/scope.js'
import type { Wait } from '#sluice/flow/rules/wait.js'
import type { Rule } from '#sluice/policy/rule.js'
import type { Connection } from '#sluice/policy/types.js'
import type { Variable } from '#sluice/policy/vars.js'
import { accept, expectProxy, reject, setVar } from '#sluice/policy.js'
import { settle, VirtualClock } from '#sluice/testing/clock.js'
import { unpackReason } from '#sluice/wire/reason.js'
import { Phase } from '#sluice/wire/wire.js'

/** A request, say. */
class Thing implements Scope<string> {
  readonly subject = 'thing'
  readonly conn = {} as Connection
  readonly phase = Phase.TCP_RULES
  readonly final = true
  readonly counts = { policyErrors: 0, lateVerdicts: 0 }
  readonly vars: Record<string, Variable> = {}
  readonly told: string[] = []
  over = false
  kept = false
  wait: Wait | undefined = undefined
  rule: string | undefined = undefined
  backend = undefined
  priority = 0
  wanted: undefined
  want() {}
  track(): void {}
  close(reason: number): void {
    this.over = true
    this.told.push(unpackReason(reason).code)
  }
  reply(_bytes: Uint8Array, reason: number): void {
    this.close(reason)
  }
  failClosed(late: boolean): void {
    this.over = true
    this.told.push(late ? 'late' : 'failed')
  }
  failed(_level: string, _fields: object, message: string): void {
    this.told.push(message)
  }
  guard(fn: () => void): void {
    fn()
  }
}

function world(rules: Rule<string>[]) {
  const clock = new VirtualClock()
  const resumed: number[] = []
  const called: string[] = []
  const placed = rules.map((rule, i) => ({ rule, path: ['rules', i] }))
  const set = compileRules(placed, { stage: 'session', budget: 100, opens: false })
  const targets = { tables: new Map(), backends: new Map() }
  const observer = {
    onRule: (_scope: object, stage: string, name: string, answer: unknown, error?: unknown) => {
      called.push(
        `${stage} ${name} ${error ?? (answer instanceof Promise ? 'waits' : typeof answer)}`,
      )
    },
  }
  const runner = new RuleRunner<string, Thing>(
    set,
    { clock, targets, observer },
    (_thing, outcome) => resumed.push(outcome),
  )
  return { runner, clock, resumed, called, thing: new Thing() }
}

test('what is synchronous is answered at once, and nothing is made for it', () => {
  const { runner, resumed, thing } = world([setVar('a', 1), (it) => setVar('b', it), accept()])
  assert.equal(runner.run(thing), Outcome.PASS)
  assert.deepEqual({ ...thing.vars }, { a: 1, b: 'thing' })
  assert.equal(thing.rule, 'accept')
  assert.equal(thing.wait, undefined)
  assert.equal(thing.kept, false)
  assert.deepEqual(resumed, [])
})

test('a rule that waits is gone on from, with one wait for the whole list', async () => {
  const waits: unknown[] = []
  const { runner, resumed, thing } = world([
    async () => setVar('first', true),
    () => void waits.push(thing.wait),
    async () => void waits.push(thing.wait),
  ])
  assert.equal(runner.run(thing), Outcome.HELD)
  await settle()
  assert.deepEqual(resumed, [Outcome.PASS])
  assert.equal(thing.vars.first, true)
  assert.equal(waits.length, 2)
  assert.ok(waits[0])
  assert.equal(waits[0], waits[1])
  assert.equal(thing.wait, undefined)
})

test('an end by a verdict, a failure, a deadline', async () => {
  const ended = world([reject(), () => assert.fail('behind the end')])
  assert.equal(ended.runner.run(ended.thing), Outcome.HELD)
  assert.deepEqual(ended.thing.told, ['rejected'])

  const failing = world([
    function bad() {
      throw new Error('no')
    },
  ])
  assert.equal(failing.runner.run(failing.thing), Outcome.HELD)
  assert.deepEqual(failing.thing.told, ['rule bad failed', 'failed'])
  assert.equal(failing.thing.counts.policyErrors, 1)

  const slow = world([{ name: 'slow', run: () => new Promise(() => {}) }])
  slow.runner.run(slow.thing)
  slow.clock.advance('99ms')
  assert.deepEqual(slow.thing.told, [])
  slow.clock.advance('1ms')
  assert.deepEqual(slow.thing.told, ['rule slow did not answer in time', 'late'])
  assert.equal(slow.thing.counts.lateVerdicts, 1)
})

test('a promise that is awaited no more has no say, also where the next rule awaits it again', async () => {
  let answer: (value: undefined) => void = () => {}
  const promise = new Promise<undefined>((resolve) => {
    answer = resolve
  })
  const { runner, clock, resumed, thing } = world([
    { name: 'first', run: () => promise, onError: 'open' },
  ])
  runner.run(thing)
  clock.advance('100ms')
  assert.deepEqual(resumed, [Outcome.PASS])
  runner.run(thing)
  answer(undefined)
  await settle()
  assert.deepEqual(resumed, [Outcome.PASS, Outcome.PASS])
})

test('verdicts of other scopes are refused, and an observer hears of every call', () => {
  const { runner, called, thing } = world([
    () => undefined,
    accept,
    () => ({ kind: 'expectProxy' }) as const,
  ])
  runner.run(thing)
  assert.deepEqual(called, ['session rules[0] undefined', 'session accept object'])
  const strange = world([expectProxy])
  strange.runner.run(strange.thing)
  assert.deepEqual(strange.thing.told, ['rule expectProxy failed', 'failed'])
})
